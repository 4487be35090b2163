"""Oracles for casts, sums and layers, in other arithmetic than the code's.

Values are rationals, and windows are slices of a padded canvas.
"""

import math
from collections.abc import Callable, Iterator
from decimal import Context, Decimal
from fractions import Fraction
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.network import layers
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.layers import Array, Layer, Window
from tests.support.oracle_norms import normalised
from tests.support.oracle_sums import ROUNDED, exact, summed


def cast_rational(
    x: Fraction, target: QFormat, rounding: Rounding, overflow: Overflow
) -> tuple[int, bool]:
    """Cast a rational: the oracle, which masks bits where the subject takes a remainder."""
    rounded = ROUNDED[rounding](x * Fraction(2) ** target.frac)
    low = target.min
    if overflow is Overflow.SATURATE_SYMMETRIC and target.signed:
        low = 1 - 2 ** (target.word - 1)
    clamped = sorted((low, rounded, target.max))[1]
    low_bits = rounded & (2**target.word - 1)
    wrapped = low_bits - (2**target.word if low_bits > target.max else 0)
    kept = {Overflow.WRAP: wrapped, Overflow.SATURATE_ZERO: 0}.get(overflow, clamped)
    return (rounded, False) if clamped == rounded else (kept, True)


# Layers: one image's raw inputs (arrays of Python integers) -> raw output and counts

Result: TypeAlias = tuple[Array, Counts]
Oracle: TypeAlias = Callable[[FixedNode, list[QFormat], list[Array]], Result]


def _cast(node: FixedNode, values: list[Fraction], shape: tuple[int, ...], adds: int = 0) -> Result:
    modes = (node.output_format, node.rounding, node.overflow)
    casts = [cast_rational(value, *modes) for value in values]
    over = [
        out and (node.output_format.signed or value >= 0)
        for (_, out), value in zip(casts, values, strict=True)
    ]
    below = sum(out for _, out in casts) - sum(over)
    counts = Counts(adds, 0 if _spells_one(node) else sum(over), below)
    return np.array([raw for raw, _ in casts], object).reshape(shape), counts


def judged(counts: Counts, node: FixedNode, fixed: FixedNetwork) -> Counts:
    """Call what is below an unsigned range a saturation unless nothing but ReLUs could see it."""
    clamps = node.overflow is not Overflow.WRAP
    if clamps and node.name not in fixed.outputs and _cut(node.name, fixed):
        return counts
    return Counts(counts.accumulator_overflows, counts.saturations + counts.below_zero)


def _cut(name: str, fixed: FixedNetwork) -> bool:
    """Say whether each way from a tensor leads through a ReLU, past layers that move values."""
    moves = (layers.MaxPool2D, layers.Flatten, layers.Reshape, layers.Transpose)
    read = False
    for node in fixed.nodes:
        if name in node.inputs:
            read, layer = True, node.layer
            relu = isinstance(layer, layers.Relu) or (
                isinstance(layer, layers.Clip) and layer.low >= 0
            )
            moved = isinstance(layer, moves) and node.name not in fixed.outputs
            if not relu and not (moved and _cut(node.name, fixed)):
                return False
    return read


def _spells_one(node: FixedNode) -> bool:
    """Say whether 1, which no word holds, is spelled by the last one: that is no saturation."""
    fmt, bounded = (
        node.output_format,
        (layers.Sigmoid, layers.Tanh, layers.Softsign, layers.HardSigmoid),
    )
    below = isinstance(node.layer, layers.Tanh | layers.Softsign)
    negative = below and not fmt.signed  # an overflow of its own
    clamps = node.overflow in (Overflow.SATURATE, Overflow.SATURATE_SYMMETRIC)
    return (
        isinstance(node.layer, bounded) and fmt.max + 1 == 2**fmt.frac and clamps and not negative
    )


def _curve(value: Callable[[FixedNode, Any, QFormat, Fraction], Fraction]) -> Oracle:
    """Make the oracle of a layer that casts an exact value of each value."""

    def oracle(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
        (source,), (x,) = sources, inputs
        exact_x = (exact(v, source.frac) for v in x.flat)
        return _cast(node, [value(node, node.layer, source, v) for v in exact_x], x.shape)

    return oracle


def _clamp(x: Fraction, low: int, high: int) -> Fraction:
    return Fraction(sorted((Fraction(low), x, Fraction(high)))[1])


def _line(node: FixedNode, position: Fraction, table: Array | None = None) -> Fraction:
    """Follow the line between two entries at F = 18, from a position of 16 fraction bits."""
    table = node.table if table is None else table
    assert table is not None
    if position >= len(table) - 1:
        return Fraction(int(table[-1]), 2**18)
    left = math.floor(position)
    part = Fraction(math.floor((position - left) * 2**16), 2**16)
    low, high = (Fraction(entry, 2**18) for entry in table[left : left + 2].tolist())
    return low * (1 - part) + high * part


def _mish(node: FixedNode, layer: Any, source: QFormat, x: Fraction) -> Fraction:
    """Take from ReLU what the first half of the table says below 0, and the second above."""
    assert node.table is not None
    side = np.split(node.table, 2)[int(x > 0)]
    return max(x, Fraction(0)) - _line(node, abs(x) * 128, side)


def _softsign(node: FixedNode, layer: Any, source: QFormat, x: Fraction) -> Fraction:
    """Cut the quotient of whole words towards 0."""
    bits = 46 + min(source.frac, 0)
    return Fraction(math.trunc(x / (1 + abs(x)) * 2**bits), 2**bits)


def _hard_sigmoid(node: FixedNode, layer: Any, source: QFormat, x: Fraction) -> Fraction:
    frac = node.weight_formats[0].frac
    return _clamp(exact(layer.alpha, frac) * x + exact(layer.beta, source.frac + frac), 0, 1)


def _prelu(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
    (source,), (x,), layer = sources, inputs, node.layer
    assert isinstance(layer, layers.PRelu)
    formats = node.weight_formats * (len(x) // len(node.weight_formats))
    slopes = [exact(s, f.frac) for s, f in zip(layer.slope.tolist(), formats, strict=True)]
    values = [
        exact(v, source.frac) * (1 if v >= 0 else slopes[at[0]]) for at, v in np.ndenumerate(x)
    ]
    return _cast(node, values, x.shape)


def _add(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
    sides = [[exact(v, f.frac) for v in x.flat] for x, f in zip(inputs, sources, strict=True)]
    return _cast(node, [a + b for a, b in zip(*sides, strict=True)], inputs[0].shape)


def _mul(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
    (x, y), (fx, fy) = inputs, sources
    factor = {at: exact(v, fy.frac) for at, v in np.ndenumerate(y)}
    places = [tuple(np.minimum(at, np.subtract(y.shape, 1))) for at in np.ndindex(x.shape)]
    sides = zip(x.flat, places, strict=True)
    return _cast(node, [exact(v, fx.frac) * factor[at] for v, at in sides], x.shape)


def _quantize(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
    (source,), (x,) = sources, inputs
    moved = _cast(node, [exact(v, source.frac) for v in x.flat], x.shape)
    return (x, Counts()) if source == node.output_format else moved


def _concat(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
    parts, counts = [], Counts()
    for x, source in zip(inputs, sources, strict=True):
        part, count = _quantize(node, [source], [x])
        parts.append(part)
        counts += count
    assert isinstance(node.layer, layers.Concat)
    return np.concatenate(parts, node.layer.axis), counts


def _relabel(move: Callable[[Any, Array], Array]) -> Oracle:
    """Make the oracle of a layer that computes nothing, from what numpy does."""
    return lambda node, sources, inputs: (move(node.layer, inputs[0]), Counts())


def _windows(x: Array, window: Window, outside: Any) -> Iterator[list[Any]]:
    """Give what each position sees of a map: values, ``outside`` in the padding, else ``None``."""
    (top, left, bottom, right), (height, width) = window.padding, x.shape
    (sh, sw), (dh, dw), (span_h, span_w) = window.stride, window.dilation, window.span
    canvas = np.full((height + 99, width + 99), None)
    canvas[: top + height + bottom, : left + width + right] = outside
    canvas[top : top + height, left : left + width] = x
    rows, columns = window.output(height, width)
    for i, j in product(range(0, rows * sh, sh), range(0, columns * sw, sw)):
        yield canvas[i : i + span_h : dh, j : j + span_w : dw].ravel().tolist()


def _pool(value: Callable[[Any, QFormat, list[Any]], Fraction]) -> Oracle:
    """Make the oracle of a pool from what a window means, its words at F = 0; "pad" is padding."""

    def oracle(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
        (source,), (x,), layer = sources, inputs, node.layer
        assert isinstance(layer, layers.MaxPool2D | layers.AvgPool2D | layers.L2Pool2D)
        seen = [
            [v for v in w if v is not None] for p in x for w in _windows(p, layer.window, "pad")
        ]
        words = [value(layer, source, values) for values in seen]
        shape = layer.shape(x.shape)
        if isinstance(layer, layers.MaxPool2D):
            return np.array([int(word) for word in words], object).reshape(shape), Counts()
        return _cast(node, [word / Fraction(2) ** source.frac for word in words], shape)

    return oracle


def _largest(layer: Any, source: QFormat, seen: list[Any]) -> Fraction:
    return Fraction(max(source.min if v == "pad" else v for v in seen))


def _average(layer: Any, source: QFormat, seen: list[Any]) -> Fraction:
    values = [v for v in seen if v != "pad"]
    count = len(seen) if layer.count_padding else len(values)
    return Fraction(sum(values), count) if count else Fraction(0)


def _root(layer: Any, source: QFormat, seen: list[Any]) -> Fraction:
    """Return the root of the sum of squares; 200 digits tell it from any other word or tie."""
    square = Decimal(sum(v**2 for v in seen if v != "pad"))
    return Fraction(square.sqrt(Context(prec=200)))


def _sums(node: FixedNode, sources: list[QFormat], inputs: list[Array]) -> Result:
    """Sum a dense layer as a convolution of one position over maps of one pixel."""
    layer, x = node.layer, inputs[0]
    assert isinstance(layer, layers.Dense | layers.Conv2D)
    assert node.accumulator is not None
    window, groups = Window((1, 1)), 1
    if isinstance(layer, layers.Conv2D):
        window, groups = layer.window, layer.groups
    weight = layer.weight.reshape(len(layer.bias), -1).astype(object)
    maps = x if x.ndim == 3 else x.reshape(-1, 1, 1)
    seen = [list(_windows(plane, window, 0)) for plane in maps]
    values, adds = [], 0
    for o, row in enumerate(weight):
        group = np.split(np.arange(len(seen)), groups)[o // (len(weight) // groups)]
        frac = sources[0].frac + node.weight_formats[o % len(node.weight_formats)].frac
        for position in range(len(seen[0])):
            read = [v for c in group for v in seen[c][position]]
            terms = [int(layer.bias[o]), *(row * read)]
            total, over = summed(node.accumulator, terms, frac)
            values.append(total)
            adds += over
    return _cast(node, values, layer.shape(x.shape), adds)


def _matmul(node: FixedNode, formats: list[QFormat], inputs: list[Array]) -> Result:
    """Sum products of rows and columns that numpy repeats."""
    assert node.accumulator is not None
    x, y = inputs
    products = x[..., :, :, None] * y[..., None, :, :]  # (..., m, k, n)
    rows = np.moveaxis(products, -2, -1)
    frac, values, adds = formats[0].frac + formats[1].frac, list[Fraction](), 0
    for terms in rows.reshape(-1, rows.shape[-1]).tolist():
        total, over = summed(node.accumulator, [0, *terms], frac)
        values.append(total)
        adds += over
    return _cast(node, values, rows.shape[:-1], adds)


ORACLES: dict[type[Layer], Oracle] = {
    layers.Dense: _sums,
    layers.Conv2D: _sums,
    layers.MaxPool2D: _pool(_largest),
    layers.AvgPool2D: _pool(_average),
    layers.L2Pool2D: _pool(_root),
    layers.Relu: _relabel(lambda layer, x: np.maximum(x, 0)),
    layers.LeakyRelu: _curve(
        lambda n, layer, f, x: x * (1 if x >= 0 else exact(layer.slope, n.weight_formats[0].frac))
    ),
    layers.PRelu: _prelu,
    layers.Clip: _relabel(lambda layer, x: np.clip(x, layer.low, layer.high)),
    layers.Sigmoid: _curve(
        lambda n, layer, f, x: _line(n, x * 64) if x >= 0 else 1 - _line(n, -x * 64)
    ),
    layers.Tanh: _curve(
        lambda n, layer, f, x: _line(n, x * 128) if x >= 0 else -_line(n, -x * 128)
    ),
    layers.Silu: _curve(lambda n, layer, f, x: max(x, Fraction(0)) - _line(n, abs(x) * 64)),
    layers.Elu: _curve(lambda n, layer, f, x: x if x >= 0 else -_line(n, -x * 128)),
    layers.Softplus: _curve(lambda n, layer, f, x: max(x, Fraction(0)) + _line(n, abs(x) * 64)),
    layers.Gelu: _curve(lambda n, layer, f, x: max(x, Fraction(0)) - _line(n, abs(x) * 128)),
    layers.GeluTanh: _curve(lambda n, layer, f, x: max(x, Fraction(0)) - _line(n, abs(x) * 128)),
    layers.Mish: _curve(_mish),
    layers.Selu: _curve(
        lambda n, layer, f, x: x * Fraction(275435, 2**18) if x >= 0 else -_line(n, -x * 256)
    ),
    layers.Softsign: _curve(_softsign),
    layers.Abs: _curve(lambda n, layer, f, x: abs(x)),
    layers.HardSigmoid: _curve(_hard_sigmoid),
    layers.HardSwish: _curve(
        lambda n, layer, f, x: x * _clamp(x + 3, 0, 6) * Fraction(43691, 2**18)
    ),
    layers.LayerNorm: lambda n, f, x: _cast(n, normalised(n, f[0], x[0]), x[0].shape),
    layers.Step: _curve(lambda n, layer, f, x: Fraction(x >= exact(layer.threshold, f.frac))),
    layers.Add: _add,
    layers.Mul: _mul,
    layers.MatMul: _matmul,
    layers.Concat: _concat,
    layers.Quantize: _quantize,
    layers.Pad: _relabel(lambda layer, x: np.pad(x, layer.pads, constant_values=layer.value)),
    layers.Slice: _relabel(
        lambda layer, x: np.moveaxis(
            np.moveaxis(x, layer.axis, 0)[layer.start : layer.stop : layer.step], 0, layer.axis
        )
    ),
    layers.Take: _relabel(
        lambda layer, x: np.concatenate(
            [np.split(x, x.shape[layer.axis], layer.axis)[place] for place in layer.places],
            layer.axis,
        )
    ),
    layers.Flatten: _relabel(lambda layer, x: x.reshape(-1)),
    layers.Reshape: _relabel(lambda layer, x: x.reshape(layer.target)),
    layers.Transpose: _relabel(lambda layer, x: np.moveaxis(x, layer.order, range(x.ndim))),
}
"""The oracle of every layer but softmax, whose specification is its error bound."""
