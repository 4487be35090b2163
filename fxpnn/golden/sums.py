"""Sums, products and windows in Python integers, and the arithmetic unit behind every node."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial, singledispatch
from itertools import chain, product
from math import isqrt
from typing import TypeAlias

import numpy as np

from fxpnn.fixedpoint.integers import accumulate, floor_shift
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Array, Layer, Window

Ints: TypeAlias = Array
"""An array of Python integers: numpy shapes it, and does none of its arithmetic."""


@dataclass
class Unit:
    """The arithmetic of one node, and what it has counted so far."""

    node: FixedNode
    sources: tuple[QFormat, ...]
    rectified: bool = False
    overflows: int = 0
    saturations: int = 0
    below_zero: int = 0

    @property
    def frac(self) -> int:
        """Give Fx, the fraction bits of the first input."""
        return self.sources[0].frac

    def product_fracs(self) -> list[int]:
        """Give Fx + Fw of every output channel."""
        return [int(frac) for frac in self.node.product_fracs(self.sources[0])]

    def cast(self, value: int, frac: int, source: QFormat | None = None, count: int = 1) -> int:
        """Cast ``value / count @ frac`` to the node's output format by the node's modes.

        Where the last word stands for 1 (``clips_one``), 1 is no overflow to be counted. A clamp at
        0 that is a ReLU's (``rectified``) is none either, and is counted apart.
        """
        raw, out = self.node.requantize.raw(value, frac, source, count)
        if out and value < 0 and self.rectified:
            self.below_zero += 1
        else:
            self.saturations += out and not self.node.clips_one
        return raw

    def saturate(self, value: int, high: int) -> int:
        """Clamp to ``high``, whatever the node's overflow mode."""
        self.saturations += value > high
        return min(value, high)

    def accumulate(self, bias: int, products: Iterable[int], frac: int) -> int:
        """Load the bias, then add one product after the other, all ``@ frac``; cast the sum.

        ``integers.accumulation`` says how each step rounds, overflows and is counted.
        """
        register = self.node.accumulator or Accumulator()
        fine = frac if register.frac is None else register.frac
        total, overflows = accumulate(register, bias, products, frac - fine)
        self.overflows += overflows
        return self.cast(total, fine)

    @cached_property
    def table(self) -> list[int]:
        """Give the node's table."""
        return [] if self.node.table is None else self.node.table.tolist()

    def look_up(self, a: int, steps: int, side: list[int] | None = None) -> int:
        """Read the table, entries at F = 18 and ``2**-steps`` apart, at ``a @ Fx``; give F = 34.

        Between entries lies a straight line, followed exactly from a position cut to 16 fraction
        bits; beyond the last entry lies the last. ``a`` is not negative. ``side`` holds the entries
        where the table has those of both sides of 0.
        """
        table, position = side or self.table, floor_shift(a, self.frac - steps - 16)
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
    return unit.accumulate(bias, products, frac)


def _positions(x: Ints, window: Window) -> Iterable[tuple[int, int]]:
    rows, columns = window.output(*x.shape[1:])
    return product(range(rows), range(columns))


def seen_by(window: Window, plane: Ints, at: tuple[int, int], padding: int | None) -> list[int]:
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
            seen = (seen_by(layer.window, plane, at, 0) for plane in x[first : first + maps])
            y.append(_neuron(unit, channel, chain(*seen)))
    return np.array(y, object).reshape(layer.shape(x.shape))


def _pool(x: Ints, window: Window, padding: int | None, pick: Callable[[list[int]], int]) -> Ints:
    y = [pick(seen_by(window, plane, at, padding)) for plane in x for at in _positions(x, window)]
    return np.array(y, object).reshape(len(x), *window.output(*x.shape[1:]))


@compute.register
def _max_pool(layer: layers.MaxPool2D, unit: Unit, x: Ints) -> Ints:
    """Keep the largest; padding is the format's minimum."""
    return _pool(x, layer.window, unit.sources[0].min, max)


@compute.register
def _avg_pool(layer: layers.AvgPool2D, unit: Unit, x: Ints) -> Ints:
    """``cast(sum / count)``; 0 where a window counts nothing."""
    padding = 0 if layer.count_padding else None

    def average(seen: list[int]) -> int:
        return unit.cast(sum(seen), unit.frac, count=len(seen) or 1)

    return _pool(x, layer.window, padding, average)


@compute.register
def _l2_pool(layer: layers.L2Pool2D, unit: Unit, x: Ints) -> Ints:
    """``cast(sqrt(sum of squares))``.

    The root lies between the words r and r + 1 at Fy; two bits behind r tell how it lies to r and
    to the middle, which is all that a rounding asks. Only a coarser Fy makes a tie possible.
    """
    fine = unit.node.output_format.frac - unit.frac
    j = max(0, -fine)

    def root(seen: list[int]) -> int:
        square = sum(v * v for v in seen) << 2 * max(fine, 0)
        r = isqrt(square >> 2 * j)
        middle = (2 * r + 1) ** 2 << 2 * j
        behind = (square > r * r << 2 * j) + (4 * square >= middle) + (4 * square > middle)
        return unit.cast(4 * r + behind, unit.frac + fine + 2)

    return _pool(x, layer.window, None, root)


@compute.register
def _matmul(layer: layers.MatMul, unit: Unit, x: Ints, y: Ints) -> Ints:
    """``cast(x[m, 0] * y[0, n] + x[m, 1] * y[1, n] + ...)`` for every m, n of every matrix."""
    *lead, m, n = layer.shape(x.shape, y.shape)
    frac = unit.sources[0].frac + unit.sources[1].frac
    made = []
    for at in np.ndindex(*lead):
        one, other = (side[repeated(at, side.shape)] for side in (x, y))
        for row, column in product(one, other.T):
            products = (a * b for a, b in zip(row, column, strict=True))
            made.append(unit.accumulate(0, products, frac))
    return np.array(made, object).reshape(*lead, m, n)


def repeated(at: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a tensor has a place of leading axes; one of size 1 repeats."""
    return tuple(i % size for i, size in zip(at, shape, strict=False))


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
