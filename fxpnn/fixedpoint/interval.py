"""The interval: the smallest and largest raw value of each element of a tensor.

Ends that are the same along an axis are kept once: they are views whose stride there is 0, as
``numpy.broadcast_to`` makes them. ``once`` gives what is kept, ``Interval.spread`` the views.
"""

from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.qformat import QFormat


class Interval(NamedTuple):
    """The ends of what each element can be, int64, in the tensor's shape, not to be written."""

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
