"""The interval: the smallest and largest raw value of each element of a tensor.

Ends that are the same along an axis are kept once: they are views whose stride there is 0, as
``numpy.broadcast_to`` makes them. ``once`` gives what is kept, ``Interval.spread`` the views.
"""

from typing import Any, NamedTuple

import numpy as np

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.qformat import QFormat


class Interval(NamedTuple):
    """The ends of what each element can be, in the tensor's shape, not to be written.

    They are int64 where bounds are computed, and int16 where those of words are kept.
    """

    low: Raw
    high: Raw

    @property
    def once(self) -> "Interval":
        """Give both ends without repetition; they broadcast to the shape."""
        return Interval(once(self.low), once(self.high))

    @property
    def limits(self) -> tuple[int, int]:
        """Give the smallest and the largest value of any element."""
        low, high = self.once
        return int(low.min()), int(high.max())

    def wide(self) -> "Interval":
        """Give both ends in int64, in which sums and products of words fit."""
        return self._typed(np.int64)

    def narrow(self) -> "Interval":
        """Give both ends in int16, in which words fit: a quarter of the memory."""
        return self._typed(np.int16)

    def _typed(self, dtype: type[np.integer[Any]]) -> "Interval":
        ends = (once(end).astype(dtype) for end in self)
        return Interval(*ends).spread(self.low.shape)

    def within(self, most: int) -> "Interval":
        """Give ends of which at most so many values are kept, if need be wider ones.

        They are then the same for all places of a channel, or for all places.
        """
        ends = self
        for first in (1, 0):
            if max(end.size for end in ends.once) > most:
                ends = ends.widest(first)
        return ends

    def widest(self, first: int = 1) -> "Interval":
        """Give the ends that hold for all places along an axis and those behind it."""
        low, high = self.once
        axes = tuple(range(first, low.ndim))
        ends = Interval(low.min(axes, keepdims=True), high.max(axes, keepdims=True))
        return ends.spread(self.low.shape)

    def spread(self, shape: tuple[int, ...]) -> "Interval":
        """Repeat both ends to a shape, without a copy."""
        return Interval(np.broadcast_to(self.low, shape), np.broadcast_to(self.high, shape))


def full(fmt: QFormat, shape: tuple[int, ...]) -> Interval:
    """Return the whole range of a format for every element."""
    return Interval(np.array(fmt.min, np.int64), np.array(fmt.max, np.int64)).spread(shape)


def once(end: Raw) -> Raw:
    """Return a view with one value along each axis whose stride is 0.

    >>> once(np.broadcast_to([[1], [2]], (2, 1000))).shape
    (2, 1)
    """
    return end[(..., *(slice(None if stride else 1) for stride in end.strides))]
