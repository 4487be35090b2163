"""Bounds of pools: windows on maps whose values may be the same along an axis.

A map that is kept once along an axis (size 1) is as good as one of full size: only windows that
hang over its edges in different ways can see anything different. So it is with lines that are the
same as their neighbours.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple, TypeAlias

import numpy as np

from fxpnn.fixedpoint.casting import Flags, Raw
from fxpnn.fixedpoint.interval import once
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.layers import Array, AvgPool2D, L2Pool2D, MaxPool2D, Shape, Window

HELD = 1 << 18
"""Of the ends of a larger tensor only the widest of each channel are kept.

Behind a padded convolution they are those of all places but the ones near the edges."""
COMPARED = 1 << 22
"""The most taps of all positions along an axis that are compared, 32 MB."""

Widest: TypeAlias = Callable[..., Raw]
"""Which value of an end bounds them all: ``np.min`` or ``np.max``."""


class Axis(NamedTuple):
    """The positions of a window along one axis of a map, those that see the same taken once.

    ``starts`` are their first places, before 0 in the padding; ``size`` is the map's, ``padding``
    what lies before and after it. ``repeated`` says that the map has one value for all places.
    ``classes`` gives for each of the window's positions the index of its equal in ``starts``;
    ``None`` says that these are all.
    """

    starts: Array
    kernel: int
    dilation: int
    size: int
    padding: tuple[int, int]
    repeated: bool
    classes: Array | None = None

    @property
    def positions(self) -> int:
        """Count all of the window's positions."""
        return len(self.starts if self.classes is None else self.classes)

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
    lines = (np.moveaxis(x, axis, 0) for axis in (1, 2))
    rows, columns = (
        _axis(window, counts[axis], axis, shape[1 + axis], paddings[axis], along)
        for axis, along in enumerate(lines)
    )
    return rows, columns


def _axis(
    window: Window, count: int, axis: int, size: int, padding: tuple[int, int], lines: Raw
) -> Axis:
    """Lay positions along an axis; of neighbours that see the same, take the first.

    Behind a padded convolution all lines but those near the edges are the same.
    """
    starts, kernel, repeated = np.arange(count), window.kernel[axis], len(lines) == 1
    starts = starts * window.stride[axis] - padding[0]
    found = Axis(starts, kernel, window.dilation[axis], size, padding, repeated)
    if repeated:
        seen = np.stack([*found.taps(), found.seen(padded=True)])
    elif count * kernel <= COMPARED:
        kinds = np.append(_runs((lines[1:] != lines[:-1]).any(axis=(1, 2))), -1)  # place -1
        places = found.places(np.arange(kernel)[:, None])
        seen = np.vstack([kinds[places], found.seen(padded=True)])
    else:
        return found
    classes = _runs((seen[:, 1:] != seen[:, :-1]).any(axis=0))
    first = np.flatnonzero(np.diff(classes, prepend=-1))
    return found if len(first) == count else found._replace(starts=starts[first], classes=classes)


def _runs(differs: Flags) -> Array:
    """Number things in a row, of which some differ from the one before them."""
    return np.concatenate([[0], np.cumsum(differs)])


def max_pool(layer: MaxPool2D, end: Raw, least: int, widest: Widest) -> Raw:
    """Return an end of a max pool's output: the largest of the ends, ``least`` in the padding."""
    rows, columns = axes(layer.window, once(end), end.shape)
    return _spread(_combine(np.maximum, once(end), rows, columns, least), rows, columns, widest)


def average_pool(
    layer: AvgPool2D, end: Raw, frac: int, cast: Shift, widest: Widest
) -> tuple[Raw, Flags, Flags]:
    """Return an end of an average pool's output, whether its cast overflows, and is below 0.

    ``frac`` is the input's. The exact sum, divided by the count, is cast once; a window that
    counts nothing gives 0.
    """
    rows, columns = axes(layer.window, once(end), end.shape)
    totals = _combine(np.add, once(end), rows, columns, 0)
    counts = np.outer(rows.seen(layer.count_padding), columns.seen(layer.count_padding))
    raw, over = _cast_quotient(totals, np.maximum(counts, 1), frac, cast)
    return _spread(raw, rows, columns, widest), over, totals < 0


def l2_pool(layer: L2Pool2D, magnitude: Raw, frac: int, cast: Shift) -> tuple[Raw, Flags]:
    """Return the root of the sum of squares, cast once, and whether the cast overflows.

    ``frac`` is the input's. The network has checked that sums of squares at twice the output's
    fraction bits are below ``2**62``.
    """
    rows, columns = axes(layer.window, once(magnitude), magnitude.shape)
    squares = _combine(np.add, np.square(once(magnitude)), rows, columns, 0)
    raw, over = _cast_root(squares, frac, cast)
    return _spread(raw, rows, columns, np.max), over


def _spread(y: Raw, rows: Axis, columns: Axis, widest: Widest) -> Raw:
    """Repeat what the chosen positions gave; for too many, keep each channel's ``widest``."""
    if len(y) * rows.positions * columns.positions > HELD:
        return widest(y, axis=(1, 2), keepdims=True)
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
    all that a rounding asks of the rest. A finer output asks it of more bits of the quotient.
    """
    finer = max(cast.format.frac - frac, 0)
    total = total << finer
    floor = total // count
    twice = 2 * (total - floor * count)
    rest = (twice > 0).astype(np.int64) + (twice >= count) + (twice > count)
    return cast.array(4 * floor + rest, frac + finer + 2)


def _cast_root(square: Raw, frac: int, cast: Shift) -> tuple[Raw, Flags]:
    """Cast the root of ``square @ (2 * frac)`` in one step, as ``_cast_quotient`` does a quotient.

    In a coarser output the root is divided by ``2**coarser``; by ``2**32`` it is below a half.
    """
    finer = cast.format.frac - frac
    coarser = min(max(-finer, 0), 32)
    square, drop = square << 2 * max(finer, 0), min(2 * coarser, 62)
    floor = _floor_root(square >> drop)
    rest = square - (floor * floor << drop)
    middle = (floor << drop) + (1 << 2 * coarser >> 2)
    above = rest > middle
    tie = (rest == middle) & (coarser > 0)
    behind = (rest > 0).astype(np.int64) + (above | tie) + above
    return cast.array(4 * floor + behind, cast.format.frac + 2)


def _floor_root(square: Raw) -> Raw:
    """Return the root of integers below ``2**62``, rounded down."""
    floor = np.sqrt(square.astype(np.float64)).astype(np.int64)  # one off at most, either way
    floor -= floor * floor > square
    floor += (floor + 1) * (floor + 1) <= square
    return floor
