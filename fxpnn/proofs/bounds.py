"""Bounds of every layer: what can overflow, and the accumulator that cannot.

An interval holds the smallest and largest raw value of each element for every possible input. The
proof for sums: where each input's interval contains 0, so does each term's; then the interval of
the final sum (the bias and every term's own extreme) also bounds every prefix, in every order.

Nothing is run for a proof: numpy's integers, and floats that hold them exactly, are all it needs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np

from fxpnn.fixedpoint.casting import Flags, Raw
from fxpnn.fixedpoint.interval import Interval, full, once
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.layers import Array, Layer, Shape
from fxpnn.network.lookup import response
from fxpnn.proofs import windows
from fxpnn.proofs.norms import norm_ends
from fxpnn.proofs.registers import EFFORT, sums_of
from fxpnn.proofs.sums import product_interval

Formats = Sequence[QFormat]
Intervals = Sequence[Interval]
WIDEST = np.min, np.max


@dataclass(frozen=True, eq=False)
class Proof:
    """What is known of a layer for every possible input.

    ``output`` bounds its raw output, in int16. ``saturates`` says whether its cast can overflow,
    ``below_zero`` whether it can clamp at 0 what the ReLU behind it would clamp. For a layer
    that sums products, ``total`` is the range of the sum, bias and all, at every step; ``terms`` is
    that of the products' sum alone, unless the accumulator drops bits; both are counts of its last
    bit. ``bits`` is the narrowest accumulator that holds every step (64 stands for more);
    ``proved`` says that its own cannot overflow.
    """

    output: Interval
    saturates: bool
    total: tuple[int, int] | None = None
    terms: tuple[int, int] = (0, 0)
    bits: int | None = None
    proved: bool = True
    below_zero: bool = False


def prove(fixed: FixedNetwork) -> dict[str, Proof]:
    """Bound every layer of a network for every input that its input format can hold."""
    known = {it.name: full(it.format, it.shape) for it in fixed.inputs}
    proofs, effort = {}, EFFORT // len(fixed.nodes)
    for node in fixed.nodes:
        formats = [fixed.formats[name] for name in node.inputs]
        inputs = [known[name] for name in node.inputs]
        proofs[node.name] = prove_node(node, inputs, formats, node.name in fixed.rectified, effort)
        known[node.name] = proofs[node.name].output
    return proofs


def prove_node(
    node: FixedNode,
    inputs: Intervals,
    formats: Formats,
    rectified: bool = False,
    effort: int = EFFORT,
) -> Proof:
    """Bound one layer for inputs inside the given intervals.

    ``rectified`` says that its clamp at 0 is that of the ReLU behind it, and no overflow. The ends
    of large tensors (``windows.HELD``), and of convolutions that would take more than ``effort``
    (``registers.reached``), are those of each channel: as sound, and wider near the edges alone.
    """
    wide = [x.wide() for x in inputs]
    if isinstance(node.layer, layers.Dense | layers.Conv2D | layers.MatMul):
        proof = _prove_sum(node.layer, node, wide, formats, effort)
    else:
        proof = _prove(node.layer, node, wide, formats)
    if proof.below_zero and not rectified:
        proof = replace(proof, saturates=True, below_zero=False)
    return replace(proof, output=proof.output.within(windows.HELD).narrow())


def signed_bits(low: int, high: int) -> int:
    """Return the narrowest two's complement word that holds ``low..high``.

    >>> signed_bits(-128, 127), signed_bits(0, 128), signed_bits(0, 0)
    (8, 9, 1)
    """
    return (
        max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1
    )


@singledispatch
def _prove(layer: Layer, node: FixedNode, inputs: Intervals, formats: Formats) -> Proof:
    """Bound a function of single values from its answers to all words that the input can be."""
    return _prove_response(node, inputs[0], formats[0])


def _prove_response(node: FixedNode, x: Interval, fmt: QFormat) -> Proof:
    low, high = x.limits
    answers = response(node, fmt)
    assert answers is not None, f"no way to bound {node.op}"
    raw, over, below = (_rising(array, low, high) for array in answers)
    values = raw.astype(np.int64)
    if (values[1:] >= values[:-1]).all():
        ends = Interval(*(values[end - low] for end in x.once))
    else:
        ends = Interval(values.min(), values.max())
    return Proof(ends.spread(x.low.shape), bool(over.any()), below_zero=bool(below.any()))


def _rising(answers: Array, low: int, high: int) -> Array:
    """Return the answers to words from ``low`` to ``high``; those below 0 stand at the end."""
    below, above = answers[low : min(high + 1, 0) or None], answers[max(low, 0) : high + 1]
    if low >= 0:
        return above
    return np.concatenate([below, above]) if high >= 0 else below


def _prove_sum(
    layer: layers.Dense | layers.Conv2D | layers.MatMul,
    node: FixedNode,
    inputs: Intervals,
    formats: Formats,
    effort: int,
) -> Proof:
    register, fracs = node.accumulator, node.sum_fracs(*formats)
    assert register is not None
    found = sums_of(layer, inputs, register, node.dropped(*formats), effort)
    total, (lowest, highest) = found.total, found.limits
    proved = register.min <= lowest and highest <= register.max
    axes = (-1, *[1] * (total.low.ndim - 1))
    held = total
    if not proved:  # a clamped or wrapped sum may end anywhere in the register
        ends = Interval(np.array(register.min), np.array(register.max))
        held = ends.spread(total.low.shape)
    cast = _cast(node.requantize, held, fracs.reshape(axes))
    return replace(
        cast,
        total=total.limits,
        terms=found.terms,
        bits=signed_bits(lowest, highest),
        proved=proved,
    )


def _cast(cast: Shift, exact: Interval, fracs: int | Raw) -> Proof:
    """Bound the cast of exact values from their ends, which it keeps in order."""
    (low, under), (high, over) = (cast.array(end, fracs) for end in exact.once)
    ends = _unless_torn(cast, low, high, under | over).spread(exact.low.shape)
    negative = exact.once.low < 0, exact.once.high < 0
    return _judged(cast, ends, (under, negative[0]), (over, negative[1]))


def _judged(cast: Shift, output: Interval, low: Sequence[Flags], high: Sequence[Flags]) -> Proof:
    """Say how a cast can overflow, given whether either end does, and whether it is below 0."""
    if cast.format.signed:
        return Proof(output, bool(low[0].any() or high[0].any()))  # ends may have other shapes
    above, below = (high[0] & ~high[1]).any(), (low[0] & low[1]).any()
    return Proof(output, bool(above), below_zero=bool(below))


def _unless_torn(cast: Shift, low: Raw, high: Raw, overflowed: Flags) -> Interval:
    """Widen to the whole format where an overflow may land anywhere in it."""
    if cast.clamps or not overflowed.any():
        return Interval(low, high)
    fmt = cast.format
    return Interval(np.where(overflowed, fmt.min, low), np.where(overflowed, fmt.max, high))


@_prove.register
def _prove_add(layer: layers.Add, node: FixedNode, inputs: Intervals, formats: Formats) -> Proof:
    finer = max(fmt.frac for fmt in formats)
    x, y = (
        [end << (finer - fmt.frac) for end in ends.once]
        for ends, fmt in zip(inputs, formats, strict=True)
    )
    exact = Interval(x[0] + y[0], x[1] + y[1]).spread(inputs[0].low.shape)
    return _cast(node.requantize, exact, finer)


@_prove.register
def _prove_mul(layer: layers.Mul, node: FixedNode, inputs: Intervals, formats: Formats) -> Proof:
    frac = sum(fmt.frac for fmt in formats)
    return _cast(node.requantize, product_interval(*inputs), frac)


@_prove.register
def _prove_concat(
    layer: layers.Concat, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    parts = [_prove_response(node, x, fmt) for x, fmt in zip(inputs, formats, strict=True)]
    output = Interval(
        *(_join(ends, layer.axis) for ends in zip(*(p.output for p in parts), strict=True))
    )
    saturates, below = (
        any(getattr(part, name) for part in parts) for name in ("saturates", "below_zero")
    )
    return Proof(output, saturates, below_zero=below)


def _join(ends: Sequence[Raw], axis: int) -> Raw:
    """Join ends; along the other axes, what is the same in all stays once."""
    axis %= ends[0].ndim
    sizes = np.max([once(end).shape for end in ends], axis=0)
    shapes = [(*sizes[:axis], end.shape[axis], *sizes[axis + 1 :]) for end in ends]
    pairs = zip(ends, shapes, strict=True)
    joined = np.concatenate([np.broadcast_to(once(end), shape) for end, shape in pairs], axis)
    shape = (*ends[0].shape[:axis], joined.shape[axis], *ends[0].shape[axis + 1 :])
    return np.broadcast_to(joined, shape)


@_prove.register
def _prove_softmax(
    layer: layers.Softmax, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    ends = Interval(np.array(0), np.array(node.output_format.max))
    return Proof(ends.spread(inputs[0].low.shape), node.softmax_shift is not None)


@_prove.register
def _prove_layer_norm(
    layer: layers.LayerNorm, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    ends, fracs = norm_ends(node, layer, formats[0])
    return _cast(node.requantize, ends.spread(inputs[0].low.shape), fracs)


@_prove.register
def _prove_max_pool(
    layer: layers.MaxPool2D, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    least = node.output_format.min
    sides = zip(inputs[0], WIDEST, strict=True)
    ends = Interval(*(windows.max_pool(layer, end, least, widest) for end, widest in sides))
    return Proof(ends.spread(layer.shape(inputs[0].low.shape)), False)


@_prove.register
def _prove_average_pool(
    layer: layers.AvgPool2D, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    frac, cast = formats[0].frac, node.requantize
    sides = zip(inputs[0], WIDEST, strict=True)
    made = [windows.average_pool(layer, end, frac, cast, widest) for end, widest in sides]
    (low, *under), (high, *over) = made
    ends = _unless_torn(cast, low, high, np.array(under[0].any() or over[0].any()))
    return _judged(cast, ends.spread(layer.shape(inputs[0].low.shape)), under, over)


@_prove.register
def _prove_l2_pool(
    layer: layers.L2Pool2D, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    """Bound a root of squares by the ends of larger magnitude."""
    low, high = inputs[0].once
    magnitude = np.broadcast_to(np.maximum(-low, high), inputs[0].low.shape)
    longest, over = windows.l2_pool(layer, magnitude, formats[0].frac, node.requantize)
    ends = _unless_torn(node.requantize, np.array(0), longest, np.array(over.any()))
    return Proof(ends.spread(layer.shape(inputs[0].low.shape)), bool(over.any()))


@_prove.register
def _prove_prelu(
    layer: layers.PRelu, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    """Bound a slope, which may turn the order below 0 around: its ends and 0 bound it."""
    x, cast = inputs[0], node.requantize
    axes = (-1, *[1] * (x.low.ndim - 1))
    slope, fracs = layer.slope.astype(np.int64), node.product_fracs(formats[0])
    made = []
    saturates = False
    for end in x.once:
        sloped, over = cast.array(end * slope.reshape(axes), fracs.reshape(axes))
        made.append(np.where(end >= 0, end, sloped))
        saturates |= bool((over & (end < 0)).any())
    low = np.minimum(np.minimum(*made), 0)
    high = np.maximum(np.maximum(*made), 0)
    ends = _unless_torn(cast, low, high, np.array(saturates))
    return Proof(ends.spread(x.low.shape), saturates)


@_prove.register
def _prove_pad(layer: layers.Pad, node: FixedNode, inputs: Intervals, formats: Formats) -> Proof:
    made, shape = [], layer.shape(inputs[0].low.shape)
    if math.prod(shape) > windows.HELD:
        low, high = inputs[0].widest().once
        value = int(layer.value)
        return Proof(Interval(np.minimum(low, value), np.maximum(high, value)).spread(shape), False)
    for end in inputs[0]:
        sizes = [
            n if before + after else m
            for (before, after), n, m in zip(layer.pads, end.shape, once(end).shape, strict=True)
        ]
        grown = np.broadcast_to(once(end), sizes)
        made.append(np.pad(grown, layer.pads, constant_values=int(layer.value)))
    return Proof(Interval(*made).spread(shape), False)


@_prove.register
def _prove_slice(
    layer: layers.Slice, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    where = layer.places(inputs[0].low.ndim)
    return Proof(Interval(*(end[where] for end in inputs[0])), False)


@_prove.register
def _prove_take(layer: layers.Take, node: FixedNode, inputs: Intervals, formats: Formats) -> Proof:
    shape = layer.shape(inputs[0].low.shape)
    ends = inputs[0].within(windows.HELD * inputs[0].low.size // math.prod(shape))
    return Proof(Interval(*(_taken(end, layer, shape) for end in ends)), False)


def _taken(end: Raw, layer: layers.Take, shape: Shape) -> Raw:
    """Take places; along an axis of which all values are the same, one stays."""
    kept = once(end)
    taken = kept if kept.shape[layer.axis] == 1 else kept.take(layer.places, layer.axis)
    return np.broadcast_to(taken, shape)


@_prove.register
def _prove_reshape(
    layer: layers.Reshape | layers.Flatten, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    shape = layer.shape(inputs[0].low.shape)
    return Proof(Interval(*(_reshape(end, shape) for end in inputs[0])), False)


def _reshape(end: Raw, shape: Shape) -> Raw:
    """Relabel values; those that are the same for all, or for all of a channel, stay once."""
    kept = once(end)
    if kept.size == len(kept) and kept.size in (1, shape[0]):
        return np.broadcast_to(kept.reshape(-1, *[1] * (len(shape) - 1)), shape)
    return end.reshape(shape)


@_prove.register
def _prove_transpose(
    layer: layers.Transpose, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    return Proof(Interval(*(end.transpose(layer.order) for end in inputs[0])), False)
