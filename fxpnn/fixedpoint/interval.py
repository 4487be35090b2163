"""The interval: the smallest and largest raw value of each element of a tensor."""

from typing import NamedTuple

from fxpnn.fixedpoint.casting import Raw


class Interval(NamedTuple):
    """The ends of what each element can be, int64, in the tensor's shape."""

    low: Raw
    high: Raw
