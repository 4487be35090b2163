"""What keeps a layer from overflowing: it is tried on the same images before it is told."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fxpnn.analysis.overflow import overflowed
from fxpnn.analysis.report import LayerReport
from fxpnn.analysis.summary import Report
from fxpnn.engine.inference import Engine
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.casting import to_float
from fxpnn.fixedpoint.qformat import TENSOR_BITS, QFormat
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import chosen_at
from fxpnn.network.inputs import entrance, split
from fxpnn.network.layers import Array, Flatten, Relu
from fxpnn.quantization.calibration import fitting
from fxpnn.quantization.dequantizer import float_layer
from fxpnn.reference import compute, scale

BLOCK = 256
"""So many images are tried at once."""
SAFE = "with --softmax max, which subtracts the largest logit, it cannot"


def remedy(fixed: FixedNetwork, layer: LayerReport, x: Array, threads: int | None) -> str | None:
    """Return what keeps a layer that overflowed from it, on these images; ``None`` if not known.

    The network up to the layer is run with it: nothing is told that a user could not choose, that
    was not seen to help, or that is farther from the layer's exact outputs than what overflowed.
    """
    names = chosen_at(fixed, layer.name)
    if fixed.node(names[0]) is None and x.dtype.kind == "i":
        return None  # raw words have the input's format already
    try:
        trials = _Trials(fixed, names, x, threads)
    except ModelError:  # a bias beyond every float: its exact outputs are not known
        return None
    known = trials.run()
    for changes, fmt, text in _remedies(fixed, layer, names, known):
        try:
            found = trials.run(changes, fmt)
        except ModelError:  # a layer on the way takes no such format
            continue
        if found.counts == Counts() and found.noise <= known.noise:
            return text
    return None


class _Found(NamedTuple):
    """What layers counted, how far the last is from its exact outputs, and the range of all."""

    counts: Counts
    noise: float
    low: float
    high: float


def _remedies(
    fixed: FixedNetwork, layer: LayerReport, names: Sequence[str], known: _Found
) -> Iterator[tuple[dict[str, Any], QFormat | None, str]]:
    """Give what a user may choose: changes of the last layer, a format, and how to tell both."""
    node = fixed.node(layer.name)
    changes: dict[str, Any] = {}
    told = []
    if node and node.accumulator and layer.accumulator_overflows:
        register = node.accumulator.holding(layer.accumulator_bits_needed or 0)
        if register is None:
            return
        changes = {"accumulator": register}
        told = [
            f"an accumulator of {f'{register.word} bits' if register.frac is None else register}"
        ]
        yield changes, None, f"{told[0]} would have fitted"
    for fmt in _formats(fixed, names, known):
        where = f"as the format of {names[0]}, which it keeps," if names[1:] else "at its output"
        yield changes, fmt, f"{' and '.join([*told, f'{fmt} {where}'])} would have fitted"
    if node and node.softmax_shift is not None:
        yield {"softmax_shift": None}, None, SAFE


def _formats(fixed: FixedNetwork, names: Sequence[str], known: _Found) -> Iterator[QFormat]:
    """Give formats that hold a range: of the same word, then of one that is as fine as now."""
    fmt = fixed.formats[names[0]]
    if (node := fixed.node(names[0])) and node.layer.traits.format is not None:
        return
    signed = fmt.signed or known.low < 0
    try:
        first = fitting(known.low, known.high, fmt.word, signed).frac
    except FormatError:  # it is endless
        return
    if signed == fmt.signed:
        first = min(first, fmt.frac - 1)
    for frac in (first, max(first - 1, -1000)):  # a mode may round away from 0
        yield QFormat(fmt.word, frac, signed)
        word = fmt.word + fmt.frac - frac
        if fmt.word < word <= TENSOR_BITS - (not signed):
            yield QFormat(word, fmt.frac, signed)


class _Trials:
    """The last of some layers, which have one format, run on images as it is and otherwise."""

    def __init__(
        self, fixed: FixedNetwork, names: Sequence[str], x: Array, threads: int | None
    ) -> None:
        self.fixed, self.names, self.x, self.threads = fixed, names, x, threads
        self.inner = [node for name in names if (node := fixed.node(name))]
        self.exact = [float_layer(n, fixed.formats[n.inputs[0]]) for n in self.inner]
        self.begin = fixed.node(names[0])
        self.sources = self.begin.inputs if self.begin else ()

    def run(self, changes: dict[str, Any] | None = None, fmt: QFormat | None = None) -> _Found:
        """Run the layers in a format, the last with changes."""
        cut = self._cut(changes or {}, fmt)
        engine, last = Engine(cut), self.names[-1]
        counts, noise, low, high = Counts(), 0.0, np.inf, -np.inf
        for start in range(0, len(self.x), BLOCK):
            block = self.x[start : start + BLOCK]
            run = engine.run(block, self.threads, [last, *self.sources])
            values = {n: to_float(run.tensors[n], cut.formats[n]) for n in (last, *self.sources)}
            counts = sum((run.layers[name] for name in self.names), counts)
            with np.errstate(all="ignore"):  # inputs may be endless
                for exact in self._ideal(block, values):
                    low, high = min(low, float(exact.min())), max(high, float(exact.max()))
                noise += float(np.square(exact - values[last]).sum())
        return _Found(replace(counts, below_zero=0), noise, low, high)

    def _ideal(self, block: Array, values: dict[str, Array]) -> Iterator[Array]:
        """Give the exact outputs of each of the layers, from what the first reads."""
        inputs = [values[name] for name in self.sources]
        if not self.sources:
            entered = scale(block, self.fixed.scaling, np.float64)
            if self.fixed.normalisation is not None:
                entered = self.fixed.normalisation.apply(entered)
            inputs = [split(self.fixed.inputs, entered)[self.names[0]]]
            yield inputs[0]
        for node, layer in zip(self.inner, self.exact, strict=True):
            output = compute(layer, *inputs)
            inputs = [np.maximum(output, 0) if node.name in self.fixed.rectified else output]
            yield inputs[0]

    def _cut(self, changes: dict[str, Any], fmt: QFormat | None) -> FixedNetwork:
        """Return the network up to the layer, and one behind it that takes its words as they are.

        That is a ReLU where the layer's clamp at 0 stands for one.
        """
        fixed, last = self.fixed, self.names[-1]
        made = fmt or fixed.formats[last]
        nodes = [replace(node, output_format=made) for node in self.inner]
        if nodes:
            nodes[-1] = replace(nodes[-1], **changes)
        needed, before = {*self.sources}, list[FixedNode]()
        for node in reversed(fixed.nodes):
            if node.name in needed:
                needed.update(node.inputs)
                before.insert(0, node)
        behind = Relu() if last in fixed.rectified else Flatten()
        unused = "/".join(fixed.shapes)
        end = FixedNode(unused, behind, (last,), made)
        inputs = [replace(it, format=made) if it.name in self.names else it for it in fixed.inputs]
        all_nodes = (*before, *nodes, end)
        return replace(fixed, **entrance(inputs), nodes=all_nodes, outputs=(end.name,))


def with_remedy(report: Report, fixed: FixedNetwork, x: Array, threads: int | None) -> Report:
    """Say what keeps the first layer that overflowed from it."""
    first = next(filter(overflowed, report.layers), None)
    if first is None:
        return report
    told = msgspec.structs.replace(first, remedy=remedy(fixed, first, x, threads))
    layers = tuple(told if layer is first else layer for layer in report.layers)
    return msgspec.structs.replace(report, layers=layers)
