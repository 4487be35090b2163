"""Bounds of sums in a register that has a fraction of its own, and drops bits of every product.

Let R round to the register's fraction. As long as nothing overflows, the sum a becomes
R(a + product) where the product is fused, a + R(product) where it is cast. Both rise with a and
with the product. So each term's upper end, put in step by step, bounds the sum from above at every
step, and likewise from below. Where each input's interval contains 0, so does each term's, and
adding one never lowers the upper bound: the last is the largest. Where R is floor, up or down, and
where products are cast, what one adds depends on nothing else: the bounds hold in any order.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.casting import Raw, round_rest
from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import Accumulator, Product
from fxpnn.network.layers import Array, Conv2D, Dense, MatMul, Window
from fxpnn.proofs import windows
from fxpnn.proofs.sums import over_positions, sum_interval, summed

LIMIT = 1 << 62
"""What is beyond fits no register, and is as good as this."""

EFFORT = 1 << 28
"""So many products are taken for all convolutions of a network, unless it has as many weights."""
FEW = 64
"""So many positions are bounded each: what that costs grows with the weights, which files hold."""


class Reached(NamedTuple):
    """What a register holds at every step, bias and all.

    ``terms`` is the range of the products' sum alone where no bits are dropped. ``single`` bounds
    single products that are cast into the register; those that cannot be beyond the total's limits
    may be given as 0. All are counts of the register's last bit, cut at 2**62 and its negative.
    """

    total: Interval
    terms: tuple[int, int] = (0, 0)
    single: tuple[int, int] = (0, 0)

    @property
    def limits(self) -> tuple[int, int]:
        """Give the smallest and the largest of all that the register holds."""
        low, high = self.total.limits
        return min(low, self.single[0]), max(high, self.single[1])


def reached(
    layer: Dense | Conv2D, x: Interval, register: Accumulator, dropped: Raw, effort: int = EFFORT
) -> Reached:
    """Bound the sum and the products that enter it, as if the register had no ends.

    ``dropped`` is how many bits of a product lie below the register's last, for each output.
    Each position of a convolution is bounded by what it sees. Where there are too many for that, or
    they would take more than ``effort`` products, one that sees the widest ends of each channel
    bounds them all: any tap that lies in the padding, or sees less, adds less to either side.
    """
    if isinstance(layer, Conv2D) and _costly(layer, x, effort):
        inside = replace(layer, window=Window(layer.window.kernel))
        seen = x.widest().once.spread((x.low.shape[0], *layer.window.kernel))
        found = reached(inside, seen, register, dropped, effort)
        return found._replace(total=found.total.spread(layer.shape(x.low.shape)))
    # Terms are below 2**62: to drop 63 bits rounds them as to drop more does.
    down, up, shape = np.clip(dropped, 0, 63), np.maximum(-dropped, 0), layer.shape(x.low.shape)
    by_output = (-1, *[1] * (len(shape) - 1))

    def lifted(low: Raw, high: Raw) -> Interval:
        return Interval(*(_lift(end, up.reshape(by_output)) for end in (low, high)))

    terms = 0, 0
    if not down.any():  # every bit is kept
        exact, bias = sum_interval(layer, x).once, layer.bias.reshape(by_output)
        terms = lifted(exact.low - bias, exact.high - bias).limits  # no product is beyond these
        found = Reached(lifted(*exact).spread(shape), terms)
        if register.product is Product.FUSED or found._replace(single=terms).limits == found.limits:
            return found
    low, high, least, most = _recurrence(layer, x, register, down)
    total, single = lifted(low, high).spread(shape), lifted(least, most).limits
    return Reached(total, terms, single)


def sums_of(
    layer: Dense | Conv2D | MatMul,
    inputs: Sequence[Interval],
    register: Accumulator,
    dropped: Raw,
    effort: int = EFFORT,
) -> Reached:
    """Bound the sums of a layer of one input, or those of products of two inputs."""
    if not isinstance(layer, MatMul):
        return reached(layer, inputs[0], register, dropped, effort)
    shape = layer.shape(*(x.low.shape for x in inputs))
    found = reached(*summed(layer, *inputs), register, dropped)
    one = (1,) * len(shape)
    total = Interval(*(end.reshape(one) for end in found.total)).spread(shape)
    return found._replace(total=total)


def _costly(layer: Conv2D, x: Interval, effort: int) -> bool:
    """Tell whether a convolution's positions are too many to bound each that differs."""
    ends = np.concatenate(np.broadcast_arrays(*x.once))
    rows, columns = windows.axes(layer.window, ends, x.low.shape)
    positions, weights = len(rows.starts) * len(columns.starts), layer.weight.size
    large = math.prod(layer.shape(x.low.shape)) > windows.HELD
    return positions > 1 and (large or positions * weights > max(effort, FEW * weights))


def _recurrence(
    layer: Dense | Conv2D, x: Interval, register: Accumulator, down: Raw
) -> tuple[Raw, ...]:
    """Return the least and the largest sum, and the least and the largest product in it."""
    low, high = np.broadcast_arrays(np.minimum(x.once.low, 0), np.maximum(x.once.high, 0))
    groups = layer.groups if isinstance(layer, Conv2D) else 1
    down, bias = (a.reshape(groups, -1, 1) for a in (down, np.asarray(layer.bias, np.int64)))

    def added(acc: Raw, term: Raw) -> Raw:
        floor = term >> down
        return round_rest(acc + floor, term - (floor << down), down, register.rounding)

    def combine(weight: Array, low: Raw, high: Raw) -> tuple[Raw, ...]:
        least = most = zero = np.zeros((*weight.shape[:2], low.shape[2]), np.int64)
        bottom = top = added(zero, bias)
        for k in range(weight.shape[2]):
            factor = weight[:, :, k, None].astype(np.int64)
            sides = factor * low[:, k, None], factor * high[:, k, None]
            fall, rise = np.minimum(*sides), np.maximum(*sides)
            if register.product is Product.FUSED:
                bottom, top = added(bottom, fall), added(top, rise)
                continue
            fall, rise = added(zero, fall), added(zero, rise)
            least, most = np.minimum(least, fall), np.maximum(most, rise)
            bottom, top = bottom + fall, top + rise
        return bottom, top, least, most

    return over_positions(layer, (low, high), x.low.shape, combine)


def _lift(end: Raw, up: Raw) -> Raw:
    """Multiply by ``2**up``, exactly, or cut at the limit."""
    up = np.minimum(up, 62)
    room = LIMIT >> up
    return np.asarray(np.clip(end, -room, room) << up)
