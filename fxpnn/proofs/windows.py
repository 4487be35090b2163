"""Bounds of pools: windows on maps whose values may be the same along an axis.

A map that is kept once along an axis (size 1) is as good as one of full size: only windows that
hang over its edges in different ways can see anything different.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.casting import Flags, Raw
from fxpnn.fixedpoint.interval import once
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.layers import Array, AvgPool2D, L2Pool2D, MaxPool2D, Shape, Window


class Axis(NamedTuple):
    """The positions of a window along one axis of a map, those that see the same taken once.

    ``starts`` are their first places, before 0 in the padding; ``size`` is the map's, ``padding``
    what lies before and after it. ``repeated`` says that the map has one value for all places;
    ``classes`` then gives for each of the window's positions the index of its equal in ``starts``.
    """

    starts: Array
    kernel: int
    dilation: int
    size: int
    padding: tuple[int, int]
    repeated: bool
    classes: Array | None = None

    def part(self, begin: int, end: int) -> "Axis":
        """Give some of the positions."""
        return self._replace(starts=self.starts[begin:end])

    def places(self, tap: int | Array) -> Array:
        """Return where the map has what a tap sees at each position; -1 is outside it."""
        place = self.starts + tap * self.dilation
        inside = (place >= 0) & (place < self.size)
        return np.where(inside, 0 if self.repeated else place, -1)

    def taps(self, before: int = 0, after: int = 0) -> tuple[Array, Array]:
        """Return the first tap on the map and the first behind it, at each position.

        The map may be widened by some places before and after it.
        """
        first = -((self.starts + before) // self.dilation)
        end = -((self.starts - self.size - after) // self.dilation)
        return np.clip(first, 0, self.kernel), np.clip(end, 0, self.kernel)

    def seen(self, padded: bool = False) -> Array:
        """Count the taps on the map, or on the padded map, at each position."""
        first, end = self.taps(*(self.padding if padded else (0, 0)))
        return np.asarray(end - first)

    def spread(self, y: Raw, axis: int) -> Raw:
        """Repeat what the chosen positions gave; what is the same for all stays once."""
        if self.classes is None or len(self.starts) == 1:
            return y
        return np.take(y, self.classes, axis)


def axes(window: Window, x: Raw, shape: Shape) -> tuple[Axis, Axis]:
    """Lay a window's positions on maps ``(C, H, W)``, kept once where ``x`` has size 1."""
    top, left, bottom, right = window.padding
    paddings, counts = ((top, bottom), (left, right)), window.output(*shape[1:])
    rows, columns = (
        _axis(window, counts[axis], axis, shape[1 + axis], paddings[axis], x.shape[1 + axis] == 1)
        for axis in (0, 1)
    )
    return rows, columns


def _axis(
    window: Window, count: int, axis: int, size: int, padding: tuple[int, int], repeated: bool
) -> Axis:
    starts = np.arange(count) * window.stride[axis] - padding[0]
    found = Axis(starts, window.kernel[axis], window.dilation[axis], size, padding, repeated)
    if not repeated:
        return found
    seen = np.stack([*found.taps(), found.seen(padded=True)])
    _, chosen, classes = np.unique(seen, axis=1, return_index=True, return_inverse=True)
    return found._replace(starts=starts[chosen], classes=classes.reshape(-1))


def max_pool(layer: MaxPool2D, end: Raw, least: int) -> Raw:
    """Return an end of a max pool's output: the largest of the ends, ``least`` in the padding."""
    rows, columns = axes(layer.window, once(end), end.shape)
    return _spread(_combine(np.maximum, once(end), rows, columns, least), rows, columns)


def average_pool(layer: AvgPool2D, end: Raw, frac: int, cast: Shift) -> tuple[Raw, Flags]:
    """Return an end of an average pool's output, and whether its cast overflows.

    ``frac`` is the input's. The exact sum, divided by the count, is cast once; a window that
    counts nothing gives 0.
    """
    rows, columns = axes(layer.window, once(end), end.shape)
    totals = _combine(np.add, once(end), rows, columns, 0)
    counts = np.outer(rows.seen(layer.count_padding), columns.seen(layer.count_padding))
    raw, over = _cast_quotient(totals, np.maximum(counts, 1), frac, cast)
    return _spread(raw, rows, columns), over


def l2_pool(layer: L2Pool2D, magnitude: Raw, largest: int) -> tuple[Raw, Flags]:
    """Return the root of the sum of squares, at most ``largest``, and whether it was more.

    Fewer than ``2**31`` squares, each at most ``2**30``, have a sum below ``2**61``.
    """
    rows, columns = axes(layer.window, once(magnitude), magnitude.shape)
    roots = _root(_combine(np.add, np.square(once(magnitude)), rows, columns, 0))
    return _spread(np.minimum(roots, largest), rows, columns), roots > largest


def _spread(y: Raw, rows: Axis, columns: Axis) -> Raw:
    return columns.spread(rows.spread(y, 1), 2)


def _combine(ufunc: np.ufunc, x: Raw, rows: Axis, columns: Axis, outside: int) -> Raw:
    """Add up, or keep the largest of, what windows see: down their columns, then along the rest."""
    for along, axis in ((1, rows), (2, columns)):
        x = np.moveaxis(_along(ufunc, np.moveaxis(x, along, 0), axis, outside), 0, along)
    return x


def _along(ufunc: np.ufunc, x: Raw, axis: Axis, outside: int) -> Raw:
    """Combine along the first axis: by positions or by taps, whichever are fewer."""
    if axis.repeated:
        count = axis.seen().reshape(-1, *[1] * (x.ndim - 1))
        return x * count if ufunc is np.add else np.where(count > 0, x, outside)
    x = np.concatenate([x, np.full_like(x[:1], outside)])  # place -1
    if len(axis.starts) < axis.kernel:
        taps = np.arange(axis.kernel)
        positions = (axis.part(i, i + 1) for i in range(len(axis.starts)))
        return np.stack([ufunc.reduce(x[part.places(taps)], axis=0) for part in positions])
    return np.asarray(reduce(ufunc, (x[axis.places(tap)] for tap in range(axis.kernel))))


def _cast_quotient(total: Raw, count: Array, frac: int, cast: Shift) -> tuple[Raw, Flags]:
    """Cast the exact ``total / count @ frac`` in one step.

    Two bits behind the quotient's floor tell nothing, less than half, half and more apart: that is
    all that a rounding asks of the rest.
    """
    floor = total // count
    twice = 2 * (total - floor * count)
    rest = (twice > 0).astype(np.int64) + (twice >= count) + (twice > count)
    return cast.array(4 * floor + rest, frac + 2)


def _root(square: Raw) -> Raw:
    """Return the root of integers below ``2**62``, rounded to nearest; it is never a tie."""
    floor = np.sqrt(square.astype(np.float64)).astype(np.int64)  # one off at most, either way
    floor -= floor * floor > square
    floor += (floor + 1) * (floor + 1) <= square
    return np.asarray(floor + (square - floor * floor > floor))
