"""Bounds of every layer: what can overflow, and the accumulator that cannot.

An interval holds the smallest and largest raw value of each element for every possible input. The
proof for sums: where each input's interval contains 0, so does each term's; then the interval of
the final sum (the bias and every term's own extreme) also bounds every prefix, in every order.

Nothing is run for a proof: numpy's integers, and floats that hold them exactly, are all it needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from fxpnn.fixedpoint.casting import Flags, Raw
from fxpnn.fixedpoint.interval import Interval, full, once
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Layer, Shape
from fxpnn.network.lookup import response
from fxpnn.proofs import windows
from fxpnn.proofs.sums import product_interval, sum_interval

WORD = QFormat(16, 0)
"""The word in which every value of a tensor fits."""

Formats = Sequence[QFormat]
Intervals = Sequence[Interval]


@dataclass(frozen=True, eq=False)
class Proof:
    """What is known of a layer for every possible input.

    ``output`` bounds its raw output. ``saturates`` says whether its cast can overflow. For a layer
    that sums products, ``total`` bounds the sum, bias and all, at every step; ``terms`` is the
    range of the products' sum alone; ``bits`` is the narrowest accumulator that holds every step;
    ``proved`` says that its own cannot overflow.
    """

    output: Interval
    saturates: bool
    total: Interval | None = None
    terms: tuple[int, int] = (0, 0)
    bits: int | None = None
    proved: bool = True


def prove(fixed: FixedNetwork) -> dict[str, Proof]:
    """Bound every layer of a network for every input that its input format can hold."""
    known = {INPUT: full(fixed.input_format, fixed.input_shape)}
    proofs = {}
    for node in fixed.nodes:
        formats = [fixed.formats[name] for name in node.inputs]
        proofs[node.name] = prove_node(node, [known[name] for name in node.inputs], formats)
        known[node.name] = proofs[node.name].output
    return proofs


def prove_node(node: FixedNode, inputs: Intervals, formats: Formats) -> Proof:
    """Bound one layer for inputs inside the given intervals."""
    return _prove(node.layer, node, inputs, formats)


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
    rising = slice(low - WORD.min, high - WORD.min + 1)  # of words from the least to the largest
    raw, over = (np.roll(array, -WORD.min)[rising] for array in answers)
    values, saturates = raw.astype(np.int64), bool(over.any())
    if (values[1:] >= values[:-1]).all():
        ends = Interval(*(values[end - low] for end in x.once))
    else:
        ends = Interval(values.min(), values.max())
    return Proof(ends.spread(x.low.shape), saturates)


@_prove.register
def _prove_sum(
    layer: layers.Dense | layers.Conv2D, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    register = node.accumulator
    assert register is not None
    total = sum_interval(layer, inputs[0])
    lowest, highest = total.limits
    proved = register.min <= lowest and highest <= register.max
    axes = (-1, *[1] * (total.low.ndim - 1))
    reached = total
    if not proved:  # a clamped or wrapped sum may end anywhere in the register
        ends = Interval(np.array(register.min), np.array(register.max))
        reached = ends.spread(total.low.shape)
    fracs = node.product_fracs(formats[0]).reshape(axes)
    output, saturates = _cast(node.requantize, reached, fracs)
    bias = layer.bias.reshape(axes)
    low, high = total.once
    return Proof(
        output,
        saturates,
        total,
        (int((low - bias).min()), int((high - bias).max())),
        signed_bits(lowest, highest),
        proved,
    )


def _cast(cast: Shift, exact: Interval, fracs: int | Raw) -> tuple[Interval, bool]:
    """Bound the cast of exact values from their ends, which it keeps in order.

    Also tell whether any overflows.
    """
    (low, under), (high, over) = (cast.array(end, fracs) for end in exact.once)
    overflowed = under | over
    return _unless_torn(cast, low, high, overflowed).spread(exact.low.shape), bool(overflowed.any())


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
    return Proof(*_cast(node.requantize, exact, finer))


@_prove.register
def _prove_mul(layer: layers.Mul, node: FixedNode, inputs: Intervals, formats: Formats) -> Proof:
    frac = sum(fmt.frac for fmt in formats)
    return Proof(*_cast(node.requantize, product_interval(*inputs), frac))


@_prove.register
def _prove_concat(
    layer: layers.Concat, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    parts = [_prove_response(node, x, fmt) for x, fmt in zip(inputs, formats, strict=True)]
    output = Interval(
        *(_join(ends, layer.axis) for ends in zip(*(p.output for p in parts), strict=True))
    )
    return Proof(output, any(part.saturates for part in parts))


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
def _prove_max_pool(
    layer: layers.MaxPool2D, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    ends = Interval(*(windows.max_pool(layer, end, node.output_format.min) for end in inputs[0]))
    return Proof(ends.spread(layer.shape(inputs[0].low.shape)), False)


@_prove.register
def _prove_average_pool(
    layer: layers.AvgPool2D, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    cast = Shift(node.output_format)  # its modes are not heeded yet: to nearest even
    made = [windows.average_pool(layer, end, formats[0].frac, cast) for end in inputs[0]]
    (low, under), (high, over) = made
    ends = Interval(low, high).spread(layer.shape(inputs[0].low.shape))
    return Proof(ends, bool(under.any() or over.any()))


@_prove.register
def _prove_l2_pool(
    layer: layers.L2Pool2D, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    """Bound a root of squares by the ends of larger magnitude."""
    low, high = inputs[0].once
    magnitude = np.broadcast_to(np.maximum(-low, high), inputs[0].low.shape)
    longest, over = windows.l2_pool(layer, magnitude, node.output_format.max)
    ends = Interval(np.array(0), longest).spread(layer.shape(inputs[0].low.shape))
    return Proof(ends, bool(over.any()))


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
    for end in inputs[0]:
        sizes = [
            n if before + after else m
            for (before, after), n, m in zip(layer.pads, end.shape, once(end).shape, strict=True)
        ]
        grown = np.broadcast_to(once(end), sizes)
        made.append(np.pad(grown, layer.pads, constant_values=int(layer.value)))
    return Proof(Interval(*made).spread(shape), False)


@_prove.register
def _prove_reshape(
    layer: layers.Reshape | layers.Flatten, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    shape = layer.shape(inputs[0].low.shape)
    return Proof(Interval(*(_reshape(end, shape) for end in inputs[0])), False)


def _reshape(end: Raw, shape: Shape) -> Raw:
    """Relabel values; where all are the same, they stay once."""
    kept = once(end)
    return np.broadcast_to(kept.reshape(()), shape) if kept.size == 1 else end.reshape(shape)


@_prove.register
def _prove_transpose(
    layer: layers.Transpose, node: FixedNode, inputs: Intervals, formats: Formats
) -> Proof:
    return Proof(Interval(*(end.transpose(layer.order) for end in inputs[0])), False)
