"""Distributions: how often a tensor took on which values, in memory of a fixed size."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Self

import numpy as np

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layers import Array
from fxpnn.network.value import Value

LIMIT = 1 << 14
"""So many values are told apart to the bit; of more, those whose leading bits are equal are one."""
DROPPED = 16
"""How many bits of a float32 are dropped then: a bin spans 1/128 of its values or less."""
BULK, BULK_BITS = 99.9, 20
"""The percentage of magnitudes above 0 that is no outlier; the bits that do not matter for it."""
SIGN = 1 << 31


@dataclass(frozen=True, eq=False, repr=False)
class Distribution(Value):
    """The values of a tensor as float32, in bins that share their leading bits, the sign first.

    ``keys`` are these bits, ascending uint32 without the ``dropped`` ones; the edge of a bin is the
    value whose dropped bits are 0. ``counts`` says how many values each bin has, ``first`` and
    ``second`` are the sums of their distances from the edge and of the squares of these, float64.
    With no bits dropped a bin is one value. ``low`` and ``high`` are the ends of all values.

    It depends on how often there is which value, not on any order, but for how float64 rounds sums.
    """

    low: float
    high: float
    dropped: int
    keys: Array
    counts: Array
    first: Array
    second: Array

    def __post_init__(self) -> None:
        for array in (self.keys, self.counts, self.first, self.second):
            array.flags.writeable = False

    @classmethod
    def of(cls, values: Array, dropped: int = 0) -> Self:
        """Count finite values of any shape; with ``dropped`` bits also where these are few."""
        values = np.ascontiguousarray(values, np.float32).reshape(-1)
        ends = float(values.min()), float(values.max())
        keys = values.view(np.uint32) >> dropped
        if not dropped:
            keys, counts = np.unique(keys, return_counts=True)
            none = np.zeros(len(keys))
            return cls(*ends, 0, keys, counts, none, none.copy())._narrowed()
        distances = (values - _floats(keys, dropped)).astype(np.float64)
        counts, *sums = _sums(keys, (None, distances, np.square(distances)))
        found = np.flatnonzero(counts)
        return cls(
            *ends, dropped, found.astype(np.uint32), counts[found], *(s[found] for s in sums)
        )

    def joined(self, other: Self) -> Self:
        """Return the distribution of the values of both."""
        dropped = max(self.dropped, other.dropped)
        one, two = self._coarser(dropped), other._coarser(dropped)
        names = ("keys", "counts", "first", "second")
        parts = (np.concatenate([getattr(one, name), getattr(two, name)]) for name in names)
        ends = min(self.low, other.low), max(self.high, other.high)
        return self._grouped(*ends, dropped, *parts)._narrowed()

    def rectified(self) -> Self:
        """Return the distribution of the values cut at 0."""
        below = self.keys >= SIGN >> self.dropped
        cut = (np.where(below, 0, each) for each in (self.keys, self.first, self.second))
        keys, first, second = cut
        ends = max(self.low, 0.0), max(self.high, 0.0)
        return self._grouped(*ends, self.dropped, keys, self.counts, first, second)

    def percentile(self, percentage: float) -> float:
        """Return what so many percent of the magnitudes do not exceed, the least there is.

        Where bits are dropped it is exact if its bin has two values at most; more are taken to be
        evenly spaced.
        """
        sizes = self._magnitudes
        # As it is spelled: the double nearest to 99.9 is a little more.
        share, upto = Fraction(str(percentage)) / 100, np.cumsum(sizes.counts)
        rank = max(math.ceil(share * int(upto[-1])), 1)
        place = np.searchsorted(upto, rank)
        count, (mean, spread) = int(sizes.counts[place]), (each[place] for each in sizes._moments)
        step = math.sqrt(12 * spread / max(count * (count**2 - 1), 1))  # between even ones
        return float(mean + step * (rank - int(upto[place]) + (count - 1) / 2))

    def bulk(self) -> float:
        """Return what most magnitudes above 0 do not exceed, rounded up to an eighth; 0 for 0."""
        sizes = self._magnitudes._coarser(BULK_BITS)
        upto = np.cumsum(sizes.counts)
        zeros = int(sizes.counts[0]) if sizes.keys[0] == 0 else 0
        above = int(upto[-1]) - zeros
        if not above:
            return 0.0
        rank = zeros + math.ceil(Fraction(str(BULK)) / 100 * above)
        return float(_floats(sizes.keys[np.searchsorted(upto, rank)] + 1, BULK_BITS, -1))

    def squared_error(self, fmt: QFormat) -> float:
        """Add up the squared errors that a cast to nearest makes, in squared counts of ``fmt``.

        A bin counts as its mean, and the squared distances from that are added: exact where all of
        it has one word. A bin wider than half a count, whose variance is more than a twentieth, has
        the error of what is rounded evenly, a twelfth for each value.
        """
        mean, spread = self._moments
        scaled, spread = np.ldexp(mean, fmt.frac), np.ldexp(spread, 2 * fmt.frac)
        words = np.rint(scaled)
        held = (words >= fmt.min) & (words <= fmt.max)
        errors = self.counts * np.square(scaled - np.clip(words, fmt.min, fmt.max)) + spread
        even = held & (spread > self.counts / 20)
        return float(np.where(even, self.counts / 12, errors).sum())

    @cached_property
    def _moments(self) -> tuple[Array, Array]:
        """Give each bin's mean, and the sum of squared distances from it."""
        mean = self.first / self.counts
        spread = np.maximum(self.second - self.first * mean, 0)
        return _floats(self.keys, self.dropped) + mean, spread

    @cached_property
    def _magnitudes(self) -> Self:
        keys, first = self.keys & (SIGN - 1 >> self.dropped), np.abs(self.first)
        ends = 0.0, max(-self.low, self.high)
        return self._grouped(*ends, self.dropped, keys, self.counts, first, self.second)

    def _narrowed(self) -> Self:
        return self if len(self.keys) <= LIMIT else self._coarser(DROPPED)

    def _coarser(self, dropped: int) -> Self:
        more = dropped - self.dropped
        if not more:
            return self
        keys = self.keys >> more
        moved = _floats(self.keys, self.dropped) - _floats(keys, dropped).astype(np.float64)
        first = self.first + self.counts * moved
        second = self.second + (self.first + first) * moved
        return self._grouped(self.low, self.high, dropped, keys, self.counts, first, second)

    @classmethod
    def _grouped(cls, low: float, high: float, dropped: int, keys: Array, *sums: Array) -> Self:
        """Make one bin of all that have the same key."""
        keys, places = np.unique(keys, return_inverse=True)
        counts, first, second = _sums(places, sums)
        return cls(low, high, dropped, keys, counts.astype(np.int64), first, second)


def _sums(places: Array, weights: tuple[Array | None, ...]) -> list[Array]:
    """Add up weights by their places; counts, up to 2**53, are exact in float64 too."""
    return [np.bincount(places, each) for each in weights]


def _floats(keys: Array, dropped: int, more: int = 0) -> Array:
    """Return the edges of bins, or float32 so many places beside them."""
    bits = (keys.astype(np.int64) << dropped) + more
    return bits.astype(np.uint32).view(np.float32)
