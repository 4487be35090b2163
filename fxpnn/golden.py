"""The specification one can read: a fixed network run in plain Python integers.

Slow and short on purpose. Every number here is a Python ``int``, which neither rounds nor overflows
unless a line below says so; no float and no fixed-width integer takes part. ``raw @ F`` means
``raw * 2**-F``. The engine agrees with this file in every raw value and every count.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial, singledispatch
from itertools import chain, product
from math import isqrt
from typing import TypeAlias

import numpy as np

from fxpnn.errors import DataError
from fxpnn.fixedpoint.integers import (
    divide,
    exponential,
    floor_shift,
    half_up,
    reciprocal,
    round_quotient,
    short_exponential,
    wrap,
)
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network import layers
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode, RawArray
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Layer, Window

Ints: TypeAlias = Array
"""An array of Python integers: numpy shapes it, and does none of its arithmetic."""

SIXTH = 43691
"""``round(2**18 / 6)``."""


@dataclass(frozen=True)
class GoldenRun:
    """What every node gave, by its name: raw values ``(images, *shape)`` and counts."""

    raw: dict[str, RawArray]
    counts: dict[str, Counts]


def run(fixed: FixedNetwork, raw_images: Array) -> GoldenRun:
    """Run a network on raw inputs ``(images, *input_shape)``, integers of the input's format.

    Raises:
        DataError: the images are not integers, have another shape, or do not fit the format.
    """
    values = {INPUT: list(_checked(fixed, np.asarray(raw_images)).astype(object))}
    raw, counts = {}, {}
    for node in fixed.nodes:
        unit = Unit(node, tuple(fixed.formats[name] for name in node.inputs))
        images = zip(*(values[name] for name in node.inputs), strict=True)
        values[node.name] = [compute(node.layer, unit, *inputs) for inputs in images]
        shape = (len(raw_images), *fixed.shapes[node.name])
        raw[node.name] = np.array(values[node.name], np.int64).reshape(shape)
        counts[node.name] = Counts(unit.overflows, unit.saturations)
    return GoldenRun(raw, counts)


def _checked(fixed: FixedNetwork, images: Array) -> Array:
    if images.dtype.kind not in "iu" or images.shape[1:] != fixed.input_shape:
        wanted = ", ".join(map(str, ("images", *fixed.input_shape)))
        raise DataError(f"images must be ({wanted}) integers, not {images.dtype} {images.shape}")
    low, high = images.min(initial=0), images.max(initial=0)
    if low < fixed.input_format.min or high > fixed.input_format.max:
        raise DataError(f"images must fit {fixed.input_format}, not reach {low}..{high}")
    return images


@dataclass
class Unit:
    """The arithmetic of one node, and what it has counted so far."""

    node: FixedNode
    sources: tuple[QFormat, ...]
    overflows: int = 0
    saturations: int = 0

    @property
    def frac(self) -> int:
        """Give Fx, the fraction bits of the first input."""
        return self.sources[0].frac

    def product_fracs(self) -> list[int]:
        """Give Fx + Fw of every output channel."""
        return [int(frac) for frac in self.node.product_fracs(self.sources[0])]

    def cast(self, value: int, frac: int, source: QFormat | None = None) -> int:
        """Cast ``value @ frac`` to the node's output format by the node's modes.

        Where the last word stands for 1 (``clips_one``), 1 is no overflow to be counted.
        """
        raw, saturated = self.node.requantize.raw(value, frac, source)
        self.saturations += saturated and not self.node.clips_one
        return raw

    def saturate(self, value: int, high: int) -> int:
        """Clamp to ``high``, whatever the node's overflow mode."""
        self.saturations += value > high
        return min(value, high)

    def accumulate(self, bias: int, products: Iterable[int]) -> int:
        """Load the bias, then add one product after the other.

        A saturating word clamps after every add, the bias first, and counts every clamp. A
        wrapping word may overflow on the way and come back: only the last sum counts.
        """
        word = self.node.accumulator or Accumulator()
        if word.overflow is Overflow.WRAP:
            total = bias + sum(products)
            self.overflows += not word.min <= total <= word.max
            return wrap(total, word)
        acc = 0
        for term in chain((bias,), products):
            exact = acc + term
            acc = min(max(exact, word.min), word.max)
            self.overflows += acc != exact
        return acc

    @cached_property
    def table(self) -> list[int]:
        """Give the node's table."""
        return [] if self.node.table is None else self.node.table.tolist()

    def look_up(self, a: int, steps: int) -> int:
        """Read the table, entries at F = 18 and ``2**-steps`` apart, at ``a @ Fx``; give F = 34.

        Between entries lies a straight line, followed exactly from a position cut to 16 fraction
        bits; beyond the last entry lies the last. ``a`` is not negative.
        """
        table, position = self.table, floor_shift(a, self.frac - steps - 16)
        index, fraction = position >> 16, position & 0xFFFF
        if index >= len(table) - 1:
            return table[-1] << 16
        return (table[index] << 16) + (table[index + 1] - table[index]) * fraction


@singledispatch
def compute(layer: Layer, unit: Unit, *inputs: Ints) -> Ints:
    """Compute one image's raw output of a layer from its raw inputs; value by value if it can."""
    y: Ints = np.frompyfunc(partial(activate, layer, unit), 1, 1)(*inputs)
    return y


@singledispatch
def activate(layer: Layer, unit: Unit, x: int) -> int:
    """Compute one raw output value from the input value in its place."""
    raise NotImplementedError(type(layer).__name__)


@compute.register
def _dense(layer: layers.Dense, unit: Unit, x: Ints) -> Ints:
    """``cast(bias[o] + weight[o, 0] * x[0] + weight[o, 1] * x[1] + ...)`` for every o."""
    return np.array([_neuron(unit, channel, x) for channel in _channels(layer, unit)], object)


def _channels(layer: layers.Dense | layers.Conv2D, unit: Unit) -> Iterable[tuple[Ints, int, int]]:
    """Give each output channel's weights, bias and Fx + Fw."""
    biases = layer.bias.tolist()
    return zip(layer.weight.astype(object), biases, unit.product_fracs(), strict=True)


def _neuron(unit: Unit, channel: tuple[Ints, int, int], x: Iterable[int]) -> int:
    weight, bias, frac = channel
    products = (w * v for w, v in zip(weight.flat, x, strict=True))
    return unit.cast(unit.accumulate(bias, products), frac)


def _positions(x: Ints, window: Window) -> Iterable[tuple[int, int]]:
    rows, columns = window.output(*x.shape[1:])
    return product(range(rows), range(columns))


def _seen(plane: Ints, window: Window, at: tuple[int, int], padding: int | None) -> list[int]:
    """List what the window at an output position sees of a map, row by row.

    Padded positions give ``padding``, or nothing where that is ``None``; positions beyond the
    padded edge (``ceil_mode``) give nothing.
    """
    (top, left, bottom, right), (height, width) = window.padding, plane.shape
    seen = []
    for m, n in product(*map(range, window.kernel)):
        row = at[0] * window.stride[0] + m * window.dilation[0] - top
        column = at[1] * window.stride[1] + n * window.dilation[1] - left
        if 0 <= row < height and 0 <= column < width:
            seen.append(plane[row, column])
        elif padding is not None and row < height + bottom and column < width + right:
            seen.append(padding)
    return seen


@compute.register
def _conv2d(layer: layers.Conv2D, unit: Unit, x: Ints) -> Ints:
    """``cast(bias[o] + sum of weight[o, c, m, n] * x[c', i', j'])`` for every o, i, j.

    The sum runs over the maps c of o's group, then the kernel's rows m, then its columns n; with
    ``i' = i * stride + m * dilation - top``, and 0 read in the padding.
    """
    outputs, maps = layer.weight.shape[:2]
    y = []
    for o, channel in enumerate(_channels(layer, unit)):
        first = o * layer.groups // outputs * maps
        for at in _positions(x, layer.window):
            seen = (_seen(plane, layer.window, at, 0) for plane in x[first : first + maps])
            y.append(_neuron(unit, channel, chain(*seen)))
    return np.array(y, object).reshape(layer.shape(x.shape))


def _pool(x: Ints, window: Window, padding: int | None, pick: Callable[[list[int]], int]) -> Ints:
    y = [pick(_seen(plane, window, at, padding)) for plane in x for at in _positions(x, window)]
    return np.array(y, object).reshape(len(x), *window.output(*x.shape[1:]))


@compute.register
def _max_pool(layer: layers.MaxPool2D, unit: Unit, x: Ints) -> Ints:
    """Keep the largest; padding is the format's minimum."""
    return _pool(x, layer.window, unit.sources[0].min, max)


@compute.register
def _avg_pool(layer: layers.AvgPool2D, unit: Unit, x: Ints) -> Ints:
    """``round(sum / count)``, ties to even; 0 where a dilated window sees only padding."""
    padding, even = 0 if layer.count_padding else None, Rounding.NEAREST_EVEN
    return _pool(x, layer.window, padding, lambda s: round_quotient(sum(s), len(s) or 1, even))


@compute.register
def _l2_pool(layer: layers.L2Pool2D, unit: Unit, x: Ints) -> Ints:
    """``sqrt(sum of squares)`` to the nearest integer (it is never a tie), saturated."""

    def root(seen: list[int]) -> int:
        r = isqrt(total := sum(v * v for v in seen))
        return unit.saturate(r + (total - r * r > r), unit.node.output_format.max)

    return _pool(x, layer.window, None, root)


@activate.register
def _relu(layer: layers.Relu, unit: Unit, x: int) -> int:
    """``max(0, x)``."""
    return max(0, x)


@activate.register
def _leaky_relu(layer: layers.LeakyRelu, unit: Unit, x: int) -> int:
    """``x >= 0 ? x : cast(x * slope)``."""
    (frac,) = unit.product_fracs()
    return x if x >= 0 else unit.cast(x * int(layer.slope), frac)


@compute.register
def _prelu(layer: layers.PRelu, unit: Unit, x: Ints) -> Ints:
    """``x >= 0 ? x : cast(x * slope[channel])``."""
    planes, fracs = x.reshape(len(x), -1), unit.product_fracs()
    slopes = zip(planes, layer.slope.tolist(), fracs, strict=True)
    y = [v if v >= 0 else unit.cast(v * s, frac) for plane, s, frac in slopes for v in plane]
    return np.array(y, object).reshape(x.shape)


@activate.register
def _clip(layer: layers.Clip, unit: Unit, x: int) -> int:
    """``min(max(x, low), high)``."""
    return min(max(x, int(layer.low)), int(layer.high))


@activate.register
def _sigmoid(layer: layers.Sigmoid, unit: Unit, x: int) -> int:
    """``cast(sigmoid(x))``, where ``sigmoid(-x) = 1 - sigmoid(x)``."""
    return unit.cast(unit.look_up(x, 6) if x >= 0 else (1 << 34) - unit.look_up(-x, 6), 34)


@activate.register
def _tanh(layer: layers.Tanh, unit: Unit, x: int) -> int:
    """``cast(tanh(x))``, where ``tanh(-x) = -tanh(x)``."""
    return unit.cast(unit.look_up(x, 7) if x >= 0 else -unit.look_up(-x, 7), 34)


@activate.register
def _silu(layer: layers.Silu, unit: Unit, x: int) -> int:
    """``cast(max(0, x) - g(|x|))``, where the table holds ``g(a) = a * sigmoid(-a)``."""
    fine = max(unit.frac, 34)
    relu, g = max(0, x) << (fine - unit.frac), unit.look_up(abs(x), 6) << (fine - 34)
    return unit.cast(relu - g, fine)


@activate.register
def _hard_sigmoid(layer: layers.HardSigmoid, unit: Unit, x: int) -> int:
    """``cast(clip(x * alpha + beta, 0, 1))``."""
    (frac,) = unit.product_fracs()
    return unit.cast(min(max(x * int(layer.alpha) + int(layer.beta), 0), 1 << frac), frac)


@activate.register
def _hard_swish(layer: layers.HardSwish, unit: Unit, x: int) -> int:
    """``cast(x * clip(x + 3, 0, 6) / 6)``, a sixth being ``SIXTH @ 18``."""
    frac = max(unit.frac, 0)
    x <<= frac - unit.frac
    return unit.cast(x * min(max(x + (3 << frac), 0), 6 << frac) * SIXTH, 2 * frac + 18)


@activate.register
def _step(layer: layers.Step, unit: Unit, x: int) -> int:
    """``x >= threshold ? cast(1) : 0``."""
    return unit.cast(1, 0) if x >= layer.threshold else 0


@compute.register
def _add(layer: layers.Add, unit: Unit, x: Ints, y: Ints) -> Ints:
    """``cast(x + y)``, both aligned to the finer fraction; the sum is exact."""
    fx, fy = (source.frac for source in unit.sources)
    fine = max(fx, fy)
    pairs = zip(x.flat, y.flat, strict=True)
    sums = [unit.cast((a << (fine - fx)) + (b << (fine - fy)), fine) for a, b in pairs]
    return np.array(sums, object).reshape(x.shape)


@compute.register
def _mul(layer: layers.Mul, unit: Unit, x: Ints, y: Ints) -> Ints:
    """``cast(x * y)``, y repeated along its axes of size 1."""
    fx, fy = (source.frac for source in unit.sources)
    pairs = zip(x.flat, np.broadcast_to(y, x.shape).flat, strict=True)
    return np.array([unit.cast(a * b, fx + fy) for a, b in pairs], object).reshape(x.shape)


@compute.register
def _concat(layer: layers.Concat, unit: Unit, *inputs: Ints) -> Ints:
    """Cast every input to the output's format and join them along the axis."""
    parts = []
    for x, source in zip(inputs, unit.sources, strict=True):
        y = [unit.cast(v, source.frac, source) for v in x.flat]
        parts.append(np.array(y, object).reshape(x.shape))
    return np.concatenate(parts, layer.axis)


@activate.register
def _quantize(layer: layers.Quantize, unit: Unit, x: int) -> int:
    """``cast(x)``."""
    return unit.cast(x, unit.frac, unit.sources[0])


@compute.register
def _pad(layer: layers.Pad, unit: Unit, x: Ints) -> Ints:
    """Surround every axis with the value."""
    y = np.full(layer.shape(x.shape), int(layer.value), object)
    sides = zip(layer.pads, x.shape, strict=True)
    y[tuple(slice(before, before + size) for (before, _), size in sides)] = x
    return y


@compute.register
def _reshape(layer: layers.Reshape | layers.Flatten, unit: Unit, x: Ints) -> Ints:
    """Relabel the values, last axis fastest."""
    return x.reshape(layer.shape(x.shape))


@compute.register
def _transpose(layer: layers.Transpose, unit: Unit, x: Ints) -> Ints:
    """Reorder the axes."""
    return x.transpose(layer.order)


@compute.register
def _softmax(layer: layers.Softmax, unit: Unit, x: Ints) -> Ints:
    """``exp(x) / sum(exp(x))`` of every vector along the axis, at F = 15.

    1 clips to 32767: that is how Q0.15 spells it, no overflow to be counted.
    """
    probabilities = _largest_first if unit.node.softmax_shift is None else _shifted
    vectors = np.moveaxis(x, layer.axis, -1)
    y = []
    for vector in vectors.reshape(-1, vectors.shape[-1]).tolist():
        y += [min(p, 32767) for p in probabilities(unit, vector)]
    return np.moveaxis(np.array(y, object).reshape(vectors.shape), -1, layer.axis)


def _largest_first(unit: Unit, x: list[int]) -> list[int]:
    """Subtract the maximum, so that nothing overflows: S has 43 bits, ``e * R`` 49, p 16."""
    largest = max(x)
    e = [exponential(largest - v, unit.frac, unit.table) for v in x]
    R, b = reciprocal(sum(e))
    return [half_up(v * R, b + 3) for v in e]


def _shifted(unit: Unit, x: list[int]) -> list[int]:
    """Subtract a constant instead, each exp a saturating Q7.8 word; all 0 where all exps are 0."""
    shift = unit.node.softmax_shift or 0
    e = [unit.saturate(short_exponential(v - shift, unit.frac, unit.table), 32767) for v in x]
    S = sum(e)
    return [divide(v << 15, S) if S else 0 for v in e]
