"""A fixed network with formats of some layers changed: what is not changed keeps its integers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf

import numpy as np

from fxpnn.fixedpoint.qformat import WIDEST, Accumulator, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import BIAS_BITS, FixedNetwork, FixedNode, RawArray
from fxpnn.network.graph import Network, Node
from fxpnn.network.inputs import entrance
from fxpnn.network.layers import Layer
from fxpnn.network.rounded import Rounded, WeightRounding
from fxpnn.network.traits import Output
from fxpnn.quantization.moments import Moments
from fxpnn.quantization.parameters import raw_layer
from fxpnn.quantization.settings import Settings


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes otherwise in a layer, or in the input; what is ``None`` stays.

    ``weight`` are the formats to which the float weights and bias are rounded anew, with feedback
    where there are ``moments`` of the layer's inputs. ``output`` is another cast.
    """

    weight: tuple[QFormat, ...] | None = None
    output: Shift | None = None
    accumulator: Accumulator | None = None
    moments: Moments | None = None


def changed(network: Network, fixed: FixedNetwork, changes: Mapping[str, Change]) -> FixedNetwork:
    """Return the fixed network with some formats changed.

    ``network`` is the float network that it came from. Weights that are not changed keep their
    words. Where the products of a layer become finer, by its own weights or by its input, its bias
    is aligned to them, and its accumulator grows by as many bits, to at most 62: it holds the same
    range of numbers.

    Raises:
        FormatError, ModelError: there is no such network.
    """
    casts = {it.name: changes.get(it.name, Change()).output for it in fixed.inputs}
    inputs = [
        replace(it, format=cast.format) if (cast := casts[it.name]) else it for it in fixed.inputs
    ]
    formats = {it.name: it.format for it in inputs}
    nodes = []
    for node in fixed.nodes:
        change = changes.get(node.name, Change())
        sources = formats[node.inputs[0]], fixed.formats[node.inputs[0]]
        finer = sum(formats[name].frac - fixed.formats[name].frac for name in node.inputs)
        nodes.append(_changed(network[node.name], node, change, *sources, finer))
        formats[node.name] = nodes[-1].output_format
    return replace(fixed, **entrance(inputs), nodes=tuple(nodes))


def _changed(
    real: Node, node: FixedNode, change: Change, source: QFormat, before: QFormat, finer: int
) -> FixedNode:
    """Return a node behind an input in another format than ``before``; ``real`` has its floats.

    By ``finer`` bits all its inputs together are finer than they were.
    """
    cast = _cast(node, change, source, before)
    if change.weight is None and source == before:
        layer, formats, losses = node.layer, node.weight_formats, node.losses
    else:
        formats = change.weight or node.weight_formats
        settings = Settings(
            weight=formats or None,
            weight_rounding=_rounding(change),
            weight_overflow=node.rounded.overflow,
        )
        layer, formats, losses = raw_layer(real, source, settings, inf, change.moments)
        if change.weight is None:
            layer = _with_words(layer, node.layer, source.frac - before.frac)
            losses = replace(node.losses, clipped_constants=losses.clipped_constants)
    return replace(
        node,
        layer=layer,
        weight_formats=formats,
        output_format=cast.format,
        rounding=cast.rounding,
        overflow=cast.overflow,
        accumulator=change.accumulator or _grown(node, formats, finer),
        softmax_shift=_softmax_shift(node, source, before),
        losses=losses,
        rounded=node.rounded if change.weight is None else _rounded(node, change),
    )


def _rounded(node: FixedNode, change: Change) -> Rounded:
    return Rounded(_rounding(change), overflow=node.rounded.overflow)


def _rounding(change: Change) -> WeightRounding:
    return WeightRounding.NEAREST if change.moments is None else WeightRounding.FEEDBACK


def _cast(node: FixedNode, change: Change, source: QFormat, before: QFormat) -> Shift:
    """Return the cast to the output; where it has the input's format, that of the new input."""
    traits = node.layer.traits
    follows = traits.output is not Output.OWN and node.output_format == before
    if traits.output is Output.KEPT or (follows and change.output is None):
        return replace(node.requantize, format=source)
    if traits.format is not None:
        return node.requantize
    return change.output or node.requantize


def _with_words(layer: Layer, given: Layer, finer: int) -> Layer:
    """Return a layer with the words of the one given, its bias aligned to finer products."""
    weight, bias = given.traits.weight, given.traits.bias
    words = {} if weight is None else {weight: getattr(given, weight)}
    if bias is not None:
        aligned = _aligned(np.atleast_1d(getattr(given, bias)), finer)
        words[bias] = aligned if np.ndim(getattr(given, bias)) else int(aligned[0])
    return replace(layer, **words)


def _aligned(bias: RawArray, finer: int) -> RawArray:
    """Shift raw values by fraction bits, rounded to nearest even, within a bias's word."""
    limit = (1 << BIAS_BITS - 1) - 1
    values = (round(int(value) * Fraction(2) ** finer) for value in bias)
    return np.array([max(-limit, min(value, limit)) for value in values], np.int64)


def _grown(node: FixedNode, formats: tuple[QFormat, ...], finer: int) -> Accumulator | None:
    """Return the accumulator for finer products; one with fraction bits of its own holds them."""
    register = node.accumulator
    if register is None or register.frac is not None:
        return register
    now, before = (np.array([fmt.frac for fmt in made]) for made in (formats, node.weight_formats))
    growth = max((int((now - before).max()) if formats else 0) + finer, 0)
    return replace(register, word=max(register.word, min(register.word + growth, WIDEST)))


def _softmax_shift(node: FixedNode, source: QFormat, before: QFormat) -> int | None:
    """Return the raw constant that softmax subtracts, at the scale of the new input."""
    if node.softmax_shift is None:
        return None
    return int(Shift(source).floats([node.softmax_shift * before.lsb])[0])
