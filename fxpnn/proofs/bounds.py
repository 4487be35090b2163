"""Own interval arithmetic: what can overflow, and the accumulator width that cannot.

An interval holds the smallest and largest raw value of each element for every possible input. The
proof for sums: where each input's interval contains 0, so does each term's; then the interval of
the final sum (the bias and every term's own extreme) also bounds every prefix, in every order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fxpnn.engine.assembler import assemble
from fxpnn.engine.workspace import run_words
from fxpnn.fixedpoint.casting import Flags, Raw, requantize
from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Add, Concat, Conv2D, Dense, L2Pool2D, Mul, PRelu, Shape, Softmax
from fxpnn.network.lookup import response, words
from fxpnn.reference import compute


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


def full(fmt: QFormat, shape: Shape) -> Interval:
    """Return the whole range of a format for every element."""
    return Interval(np.full(shape, fmt.min), np.full(shape, fmt.max))


def prove_node(node: FixedNode, inputs: Sequence[Interval], formats: Sequence[QFormat]) -> Proof:
    """Bound one layer for inputs inside the given intervals."""
    if isinstance(node.layer, Dense | Conv2D):
        return _prove_sum(node, sum_interval(node.layer, inputs[0]), formats[0])
    shape = node.layer.shape(*(x.low.shape for x in inputs))
    if isinstance(node.layer, Softmax):
        largest = full(node.output_format, shape).high
        return Proof(Interval(np.zeros_like(largest), largest), node.softmax_shift is not None)
    if isinstance(node.layer, L2Pool2D):
        return _prove_length(node, inputs[0], formats[0])
    if isinstance(node.layer, Add):
        return _prove_add(node, inputs, formats)
    if isinstance(node.layer, Mul):
        ends, frac = product_interval(*inputs), sum(fmt.frac for fmt in formats)
        return _prove_cast(node, ends, frac)
    if isinstance(node.layer, Concat):
        parts = [_prove_response(node, x, f) for x, f in zip(inputs, formats, strict=True)]
        return _join(node.layer, parts)
    if response(node, formats[0]) is not None:
        return _prove_response(node, inputs[0], formats[0])
    return _prove_monotone(node, inputs[0], formats[0])


def sum_interval(layer: Dense | Conv2D, x: Interval) -> Interval:
    """Bound bias and products at every step: each term takes its own extreme.

    The bound is reached where the inputs' intervals contain 0: by the input that takes its upper
    end where the weight is positive and its lower end where it is negative, or the reverse.
    """
    low, high = np.minimum(x.low, 0)[None], np.maximum(x.high, 0)[None]
    weight = layer.weight.astype(np.int64)
    nothing = np.zeros_like(layer.bias)
    rising = replace(layer, weight=np.maximum(weight, 0))
    falling = replace(layer, weight=np.minimum(weight, 0), bias=nothing)
    lowest = compute(rising, low) + compute(falling, high)
    highest = compute(rising, high) + compute(falling, low)
    return Interval(lowest[0], highest[0])


def product_interval(x: Interval, y: Interval) -> Interval:
    """Bound the products of two tensors: an extreme of one times an extreme of the other."""
    corners = [a * b for a in x for b in y]
    return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))


def signed_bits(low: int, high: int) -> int:
    """Return the narrowest two's complement word that holds ``low..high``.

    >>> signed_bits(-128, 127), signed_bits(0, 128), signed_bits(0, 0)
    (8, 9, 1)
    """
    return (
        max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1
    )


def _prove_sum(node: FixedNode, total: Interval, fmt: QFormat) -> Proof:
    layer, register = node.layer, node.accumulator
    assert isinstance(layer, Dense | Conv2D)
    assert register is not None
    lowest, highest = int(total.low.min()), int(total.high.max())
    proved = register.min <= lowest and highest <= register.max
    reached = total
    if not proved:  # a clamped or wrapped sum may end anywhere in the register
        reached = Interval(
            np.full_like(total.low, register.min), np.full_like(total.high, register.max)
        )
    axes = (-1, *[1] * (total.low.ndim - 1))
    frac = (fmt.frac + node.fracs(layer.weight.shape[0])).reshape(axes)
    modes = (node.output_format, node.rounding, node.overflow)
    (low, under), (high, over) = (requantize(end, frac, *modes) for end in reached)
    bias = layer.bias.reshape(axes)
    return Proof(
        _unless_torn(Interval(low, high), under | over, node),
        bool((under | over).any()),
        total,
        (int((total.low - bias).min()), int((total.high - bias).max())),
        signed_bits(lowest, highest),
        proved,
    )


def _unless_torn(ends: Interval, overflowed: Flags, node: FixedNode) -> Interval:
    """Widen to the whole format where an overflow may land anywhere in it."""
    torn = overflowed & (node.overflow in (Overflow.WRAP, Overflow.SATURATE_ZERO))
    fmt = node.output_format
    return Interval(np.where(torn, fmt.min, ends.low), np.where(torn, fmt.max, ends.high))


def _prove_response(node: FixedNode, x: Interval, fmt: QFormat) -> Proof:
    """Bound a function of single values from its answer to every word."""
    answers = response(node, fmt)
    assert answers is not None
    low, high = int(x.low.min()), int(x.high.max())
    order = np.argsort(words())[low + 32768 : high + 32769]
    values, saturates = answers.raw[order].astype(np.int64), bool(answers.over[order].any())
    if (np.diff(values) >= 0).all():
        return Proof(Interval(values[x.low - low], values[x.high - low]), saturates)
    lowest, highest = np.full_like(x.low, values.min()), np.full_like(x.low, values.max())
    return Proof(Interval(lowest, highest), saturates)


def _join(layer: Concat, parts: Sequence[Proof]) -> Proof:
    ends = zip(*(part.output for part in parts), strict=True)
    low, high = (np.concatenate(end, layer.axis) for end in ends)
    return Proof(Interval(low, high), any(part.saturates for part in parts))


def _prove_add(node: FixedNode, inputs: Sequence[Interval], formats: Sequence[QFormat]) -> Proof:
    finer = max(fmt.frac for fmt in formats)
    lifts = [finer - fmt.frac for fmt in formats]
    sums = [(a << lifts[0]) + (b << lifts[1]) for a, b in zip(*inputs, strict=True)]
    return _prove_cast(node, Interval(*sums), finer)


def _prove_cast(node: FixedNode, exact: Interval, frac: int) -> Proof:
    """Bound the cast of exact values from their ends, which it keeps in order."""
    modes = (node.output_format, node.rounding, node.overflow)
    (low, under), (high, over) = (requantize(end, frac, *modes) for end in exact)
    flags = under | over
    return Proof(_unless_torn(Interval(low, high), flags, node), bool(flags.any()))


def _prove_monotone(node: FixedNode, x: Interval, fmt: QFormat) -> Proof:
    """Bound a layer that keeps the order of its inputs by running it on their ends.

    A slope may turn the order below 0 around, where it is straight: its ends and 0 bound it.
    """
    raw, counts = _run(node, np.stack(x), fmt)
    low, high = raw
    if isinstance(node.layer, PRelu):
        low, high = np.minimum(np.minimum(low, high), 0), np.maximum(np.maximum(low, high), 0)
    saturates = counts.saturations > 0
    ends = _unless_torn(Interval(low, high), np.full(low.shape, saturates), node)
    return Proof(ends, saturates)


def _prove_length(node: FixedNode, x: Interval, fmt: QFormat) -> Proof:
    """Bound a root of squares by the ends of larger magnitude."""
    raw, counts = _run(node, np.where(-x.low > x.high, x.low, x.high)[None], fmt)
    return Proof(Interval(np.zeros_like(raw[0]), raw[0]), counts.saturations > 0)


def _run(node: FixedNode, raw: Raw, fmt: QFormat) -> tuple[Raw, Counts]:
    """Run one layer that has no sums on raw words."""
    alone = FixedNetwork("layer", raw.shape[1:], fmt, (replace(node, inputs=(INPUT,)),))
    program = assemble(alone, {}, (), len(raw), plainly=True)  # two images are soon run
    tensors, counts = run_words(program, raw.astype(np.int16))
    return tensors[node.name].astype(np.int64), counts[node.name]
