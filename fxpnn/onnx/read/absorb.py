"""Casts are absorbed by the layers before them, so that each value is rounded once.

Behind a layer that computes (a dense layer, a convolution, an addition, an activation, a pool that
averages) a cast is that layer's own. Layers that keep the order of values, such as ReLU and max
pooling, may stand between: the largest of casts is the cast of the largest. Leaky slopes round to
the format of their input; a cast to another format rounds what they give once more. What no layer
takes is a layer that casts.

A pool that averages would round to the format of its input first. Behind one that others read
otherwise, a cast is a pool of its own; where layers stand between, the pool gets the finest format.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from fxpnn.fixedpoint.casting import from_float, to_float
from fxpnn.fixedpoint.qformat import TENSOR_BITS, Overflow, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network import layers
from fxpnn.network.graph import Node
from fxpnn.network.layers import Layer
from fxpnn.network.traits import Output

REACH = 16
"""So many layers may stand between a cast and the one that takes it; no network has more."""

SYMMETRIC = Overflow.SATURATE_SYMMETRIC


class Absorbed(NamedTuple):
    """The nodes that are left, the outputs, and the cast of each tensor whose format is fixed."""

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    casts: dict[str, Shift]


def absorb(nodes: Sequence[Node], outputs: Sequence[str], casts: Mapping[str, Shift]) -> Absorbed:
    """Let layers take the casts behind them; ``casts`` holds what each Quantize casts to."""
    graph = _Graph(nodes, outputs, casts)
    for node in nodes:
        if node.name in casts:
            graph.settle(node)
    return graph.absorbed()


class _Graph:
    """The nodes, who reads each, and the casts that layers have taken so far."""

    def __init__(
        self, nodes: Sequence[Node], outputs: Sequence[str], casts: Mapping[str, Shift]
    ) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._outputs = list(outputs)
        self._casts = casts
        self._taken: dict[str, Shift] = {}
        self._became: dict[str, str] = {}
        self._agreed: dict[str, bool] = {}
        self._readers: dict[str, set[str]] = {name: set() for name in self._nodes}
        for node in nodes:
            for name in node.inputs:
                self._readers.setdefault(name, set()).add(node.name)
        self._inputs = self._readers.keys() - self._nodes.keys()

    def absorbed(self) -> Absorbed:
        """Return what is left."""
        nodes = (node for node in self._nodes.values() if node.name not in self._became)
        left = tuple(replace(node, inputs=self._sources(node)) for node in nodes)
        return Absorbed(left, tuple(self._outputs), self._taken)

    def settle(self, node: Node) -> None:
        """Drop a cast that another layer takes or that changes nothing, or keep it."""
        (name,), cast = self._sources(node), self._casts[node.name]
        home = self._home(name, cast)
        if home in self._inputs and cast != Shift(cast.format):
            if (finest := _finest(cast.format)) != cast.format:  # else no input is fine enough
                self._taken[home] = Shift(finest)
        elif home is not None:
            self._taken[home] = cast
            if not self._drop(node, name):
                self._taken[node.name] = cast
            return
        pool = self._inheriting(name)
        if pool is not None and pool.name == name:
            self._repeat(pool, node, cast)
            return
        before = self._format(name)
        if pool is not None and before is not None:
            before = self._taken[pool.name] = Shift(_finest(before.format))
        if before is None or before.format != cast.format:
            self._taken[node.name] = cast
            return
        if self._takes_modes(name):
            self._taken[name] = before = cast
        if cast.overflow is SYMMETRIC and before.overflow is not SYMMETRIC:
            limit = float(to_float(cast.format.max, cast.format))
            self._nodes[node.name] = replace(node, layer=layers.Clip(-limit, limit))
        elif not self._drop(node, name):
            self._taken[node.name] = cast

    def _inheriting(self, name: str) -> Node | None:
        """Return the layer that inherits the format of a tensor, which it or layers behind make."""
        for _ in range(REACH):
            if name in self._taken or name in self._inputs:
                return None
            node = self._nodes[name]
            if node.layer.traits.output is not Output.KEPT:
                return node if node.layer.traits.output is Output.INHERITED else None
            (name,) = self._sources(node)
        return None

    def _repeat(self, made: Node, node: Node, cast: Shift) -> None:
        """Let a cast compute what it casts; the layer before it goes if no other reads it."""
        self._nodes[node.name] = replace(made, name=node.name)
        self._taken[node.name] = cast
        self._readers[made.name].discard(node.name)
        (source,) = self._sources(made)
        self._readers[source].add(node.name)
        if not self._readers[made.name] and made.name not in self._outputs:
            del self._nodes[made.name]
            self._readers[source].discard(made.name)

    def _takes_modes(self, name: str) -> bool:
        """Tell whether a slope is yet to be rounded, by the modes of the cast behind it."""
        if name in self._inputs or name in self._taken:
            return False
        return _rounds_to_its_input(self._nodes[name].layer) and self._agree(name)

    def _sources(self, node: Node) -> tuple[str, ...]:
        return tuple(self._became.get(name, name) for name in node.inputs)

    def _drop(self, node: Node, name: str) -> bool:
        """Let the readers of a node read ``name``; an output must stay a layer of its own."""
        if node.name in self._outputs:
            if name in self._inputs or name in self._outputs:
                return False
            self._outputs[self._outputs.index(node.name)] = name
        self._became[node.name] = name
        self._readers[name].discard(node.name)
        self._readers[name] |= self._readers.pop(node.name)
        return True

    def _home(self, name: str, cast: Shift) -> str | None:
        """Return the tensor that can be cast instead of ``name``, which layers make of it."""
        if not self._agree(name):
            return None
        for _ in range(REACH):
            if name in self._taken:
                return None
            if name in self._inputs:
                return name
            node = self._nodes[name]
            if node.layer.traits.output is not Output.KEPT:
                settled = isinstance(node.layer, layers.Quantize) or node.layer.traits.format
                return None if settled else name
            (name,) = self._sources(node)
            alone = len(self._readers[name]) == 1 and name not in self._outputs
            if not alone or not _orderly(node.layer, cast):
                return None
        return None

    def _agree(self, name: str) -> bool:
        """Tell whether all that read a tensor cast it alike, before any of them is dropped."""
        if name not in self._agreed:
            casts = {self._cast(reader) for reader in self._readers[name]}
            self._agreed[name] = (
                name not in self._outputs and len(casts - {None}) == len(casts) == 1
            )
        return self._agreed[name]

    def _cast(self, name: str) -> Shift | None:
        """Return the cast that a node is and nothing else."""
        made = isinstance(self._nodes[name].layer, layers.Quantize)
        return self._casts.get(name) if made else None

    def _format(self, name: str) -> Shift | None:
        """Return the format that a tensor has if it is fixed, and the modes that led to it."""
        for _ in range(REACH):
            if name in self._taken or name in self._inputs:
                return self._taken.get(name)
            node = self._nodes[name]
            traits = node.layer.traits
            if traits.output is Output.OWN:  # what has one format is a softmax: never negative
                return Shift(traits.format, overflow=SYMMETRIC) if traits.format else None
            (name,) = self._sources(node)
        return None


def _finest(fmt: QFormat) -> QFormat:
    """Return the format of the same range that fills an int16, so that a cast to ``fmt`` rounds."""
    more = max(TENSOR_BITS - fmt.word - (not fmt.signed), 0)
    return QFormat(fmt.word + more, fmt.frac + more, fmt.signed)


def _rounds_to_its_input(layer: Layer) -> bool:
    """Tell whether a layer rounds, by its node's modes, to the format of its input."""
    return layer.traits.casts and layer.traits.output is Output.KEPT


def _orderly(layer: Layer, cast: Shift) -> bool:
    """Tell whether a layer of cast values gives its cast values.

    It chooses among its inputs by order or place, and its limits are cast as the quantizer does.
    """
    if not (layer.traits.exact and layer.traits.monotone):
        return False
    limits = [getattr(layer, name) for name in layer.traits.limits]
    finite = [value for value in limits if math.isfinite(value)]
    return bool((cast.floats(finite) == from_float(finite, cast.format)).all())
