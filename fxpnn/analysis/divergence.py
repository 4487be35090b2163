"""Where the words of a device differ from a fixed network's: the first layer, value, and why.

Each layer is judged twice: by what the network computes of the input, and by what it makes of the
words that the device gave for the layer's inputs, so that one wrong layer does not hide the next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from fxpnn.analysis.causes import Cause, miscomputed, misspelled
from fxpnn.analysis.element import Element, element
from fxpnn.analysis.tracing import trace
from fxpnn.errors import DataError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.golden import Unit, compute
from fxpnn.network.fixed import FixedNetwork, FixedNode, RawArray
from fxpnn.network.graph import INPUT
from fxpnn.network.images import words_of
from fxpnn.network.layers import Array, Shape
from fxpnn.network.rows import Images


class Mismatch(msgspec.Struct, frozen=True):
    """A value of a layer, by its index, that must be ``wanted`` and was ``found``: raw words."""

    index: tuple[int, ...]
    wanted: int
    found: int


class LayerDifference(msgspec.Struct, frozen=True):
    """How the words of one layer, or of the input, compare.

    A layer's ``state`` is ``equal`` if its words are those that the network computes; ``follows``
    if they are what the layer makes of the device's words for its inputs, of which some are wrong,
    or none can be judged; else it ``differs``. It is ``missing`` where the device gave no words,
    and ``unknown`` where there is nothing to compare them with. ``differing`` counts values unlike
    the network's, ``own_differing`` values unlike what the layer makes of the device's words; each
    is null where that is not known. ``first`` is the first value of a layer that differs, ``cause``
    what explains all that do.
    """

    name: str
    op: str
    format: str
    values: int
    state: Literal["equal", "follows", "differs", "missing", "unknown"]
    differing: int | None = None
    own_differing: int | None = None
    first: Mismatch | None = None
    cause: Cause | None = None


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """How the words of all layers compare, in the network's order, the input first.

    ``element`` is how the first value of the first layer that differs ought to come about; it is
    null where none differs, or that is the input.
    """

    layers: tuple[LayerDifference, ...]
    element: Element | None

    @property
    def differing(self) -> tuple[LayerDifference, ...]:
        """The layers that differ by their own fault."""
        return tuple(layer for layer in self.layers if layer.state == "differs")

    @property
    def missing(self) -> tuple[str, ...]:
        """Name the layers whose words were not given."""
        return tuple(layer.name for layer in self.layers if layer.state == "missing")


def diff(
    fixed: FixedNetwork, words: Mapping[str, Array], image: Images | None = None
) -> Divergence:
    """Compare the words of a device with those that a network computes.

    Args:
        fixed: the network.
        words: raw words by the names of layers, integers of a layer's shape; ``"input"`` names the
            network's input where it has one, and any may be missing.
        image: the image that the device was given, as ``tracing.trace`` takes it; without one, the
            words of the input are taken to be right.

    Raises:
        DataError: there is no layer with something to compare it with; words are of no layer, of
            another length, or none of the layer's format; or the image does not fit.
    """
    words = {name: _words(fixed, name, array) for name, array in words.items()}
    right = _right(fixed, words, image)
    seen: dict[str, RawArray] = {}
    meant: dict[str, RawArray] = {}
    layers: list[LayerDifference] = []
    shown = None
    for name in fixed.shapes:
        node = fixed.node(name)
        found, known = words.get(name), right.get(name)
        if node is not None:
            made = _made(fixed, node, seen, meant)
        elif image is None or known is None:
            made, known = [], None  # the input's words are all that is known of it
        else:
            made = [_Made(known, ())]
        own = min(made, key=lambda it: _unlike(it.words, found) or 0, default=None)
        layer = _compared(fixed, name, found, known, own)
        first = layer.first
        if first is not None and found is not None and own is not None:
            layer = msgspec.structs.replace(layer, cause=_cause(fixed, name, found, own))
            if node is not None and all(it.state != "differs" for it in layers):
                shown = element(node, _formats(fixed, node), own.inputs, first.index)
        layers.append(layer)
        if found is None and made:
            seen[name], meant[name] = made[0].words, made[-1].words
        elif found is not None:
            seen[name] = meant[name] = found
            if own is not None and layer.cause is not None and layer.cause.misplaced:
                meant[name] = own.words
            elif len(made) > 1 and layer.own_differing == 0:
                meant[name] = made[-1].words
    if all(layer.state in ("missing", "unknown") for layer in layers):
        raise DataError(f"words must be those of a layer of {fixed.name} and of what it reads")
    return Divergence(layers=tuple(layers), element=shown)


def computed(
    node: FixedNode, formats: Sequence[QFormat], inputs: Sequence[RawArray], shape: Shape
) -> RawArray:
    """Compute one node of its inputs' raw words, int64 of ``shape``.

    What reads one tensor is a network of its own for the engine; what joins several works value by
    value, and the golden model does that.
    """
    if len(inputs) == 1:
        alone = (replace(node, inputs=(INPUT,)),)
        network = FixedNetwork(node.name, inputs[0].shape, formats[0], alone)
        return trace(network, inputs[0].astype(np.int16))[node.name].astype(np.int64)
    unit = Unit(node, tuple(formats))
    made = compute(node.layer, unit, *(words.astype(object) for words in inputs))
    return made.astype(np.int64).reshape(shape)


def _words(fixed: FixedNetwork, name: str, array: Array) -> RawArray:
    if name not in fixed.shapes:
        raise DataError(f"words must be those of layers of {fixed.name}, not of {name!r}")
    try:
        return words_of(array, fixed.shapes[name], fixed.formats[name])
    except DataError as error:
        raise DataError(f"words of {name}: {error}") from None


class _Made(NamedTuple):
    """What a layer makes of its inputs."""

    words: RawArray
    inputs: tuple[RawArray, ...]


def _right(
    fixed: FixedNetwork, words: Mapping[str, RawArray], image: Images | None
) -> Mapping[str, RawArray]:
    """Compute all layers of the image, or else of the words for the input; none without either."""
    if image is None:
        if not all(it.name in words for it in fixed.inputs):
            return MappingProxyType({})
        image = {it.name: words[it.name].astype(np.int16) for it in fixed.inputs}
    return {name: array.astype(np.int64) for name, array in trace(fixed, image).items()}


def _made(
    fixed: FixedNetwork,
    node: FixedNode,
    seen: Mapping[str, RawArray],
    meant: Mapping[str, RawArray],
) -> list[_Made]:
    """Compute a layer of the device's words, and of these in their right order if they are not."""
    if not all(name in seen for name in node.inputs):
        return []
    inputs = [tuple(source[name] for name in node.inputs) for source in (seen, meant)]
    if all(a is b for a, b in zip(*inputs, strict=True)):
        inputs.pop()
    formats, shape = _formats(fixed, node), fixed.shapes[node.name]
    return [_Made(computed(node, formats, arrays, shape), arrays) for arrays in inputs]


def _formats(fixed: FixedNetwork, node: FixedNode) -> list[QFormat]:
    return [fixed.formats[name] for name in node.inputs]


def _unlike(wanted: RawArray | None, found: RawArray | None) -> int | None:
    """Count the values that differ, where both are known."""
    return None if wanted is None or found is None else int((wanted != found).sum())


def _compared(
    fixed: FixedNetwork,
    name: str,
    found: RawArray | None,
    known: RawArray | None,
    own: _Made | None,
) -> LayerDifference:
    """Compare a layer's words with those that are ``known`` to be right, and with its ``own``."""
    all_of_it = _unlike(known, found)
    node = fixed.node(name)
    of_inputs = None if own is None or node is None else _unlike(own.words, found)
    state: Literal["equal", "follows", "differs", "missing", "unknown"]
    first = None
    if found is None:
        state = "missing"
    elif own is None:
        state = "unknown"
    elif 0 in (all_of_it, of_inputs):
        state = "equal" if all_of_it == 0 else "follows"
    else:
        state = "differs"
        index = tuple(int(i) for i in np.argwhere(own.words != found)[0])
        first = Mismatch(index, int(own.words[index]), int(found[index]))
    return LayerDifference(
        name=name,
        op="Input" if node is None else node.op,
        format=str(fixed.formats[name]),
        values=prod(fixed.shapes[name]),
        state=state,
        differing=all_of_it,
        own_differing=of_inputs,
        first=first,
    )


def _cause(fixed: FixedNetwork, name: str, found: RawArray, own: _Made) -> Cause | None:
    """Say what explains all words of a layer, or of the input, that differ from its own."""
    node = fixed.node(name)
    if node is None:
        return misspelled(own.words, found, fixed.formats[name])
    formats, shape = _formats(fixed, node), fixed.shapes[node.name]
    others = [x.shape for x in own.inputs[:1] if x.size == found.size]
    return misspelled(own.words, found, node.output_format, others) or miscomputed(
        node, found, lambda other: computed(other, formats, own.inputs, shape)
    )
