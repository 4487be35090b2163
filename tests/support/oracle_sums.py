"""Oracles for rounding, and for sums in accumulators, in rationals."""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, Rounding

HALF = Fraction(1, 2)
ROUNDED: dict[Rounding, Callable[[Fraction], int]] = {
    Rounding.NEAREST_EVEN: round,
    Rounding.NEAREST_UP: lambda x: math.floor(x + HALF),
    Rounding.NEAREST_DOWN: lambda x: math.ceil(x - HALF),
    Rounding.NEAREST_ZERO: lambda x: sign(x) * math.ceil(abs(x) - HALF),
    Rounding.NEAREST_AWAY: lambda x: sign(x) * math.floor(abs(x) + HALF),
    Rounding.FLOOR: math.floor,
    Rounding.ZERO: math.trunc,
}
"""Each rounding of a rational, by other arithmetic than a quotient and its rest."""


def sign(x: Fraction) -> int:
    """Return -1, 0 or 1."""
    return (x > 0) - (x < 0)


def exact(value: int, frac: int) -> Fraction:
    """Return ``value * 2**-frac``."""
    return value / Fraction(2) ** frac


def saturated_sum(word: Accumulator, terms: Iterable[int]) -> tuple[int, int]:
    """Return the sum that a saturating word reaches, and how many adds it clamped.

    A row of clamped adds is itself one add and one clamp: the adds' sum, clamped to a floor and a
    ceiling that every step moves along and clamps to the word.
    """
    exact_sum, floor, ceiling, before, overflows = 0, -math.inf, math.inf, 0, 0
    for term in terms:
        exact_sum += term
        floor, ceiling = (sorted((word.min, x + term, word.max))[1] for x in (floor, ceiling))
        after = int(sorted((floor, exact_sum, ceiling))[1])
        overflows += after - before != term
        before = after
    return before, overflows


def wrapped_sum(word: Accumulator, terms: Iterable[int]) -> tuple[int, int]:
    """Return the low bits of the sum, and 1 where it does not fit the word."""
    exact_sum = sum(terms)
    low_bits = exact_sum & (2**word.word - 1)
    wrapped = low_bits - (2**word.word if low_bits > word.max else 0)
    return wrapped, int(wrapped != exact_sum)


def word_sum(word: Accumulator, terms: Iterable[int]) -> tuple[int, int]:
    """Add up by the accumulator's mode."""
    return (wrapped_sum if word.overflow is Overflow.WRAP else saturated_sum)(word, terms)


def register_sum(word: Accumulator, terms: Iterable[Fraction]) -> tuple[Fraction, int]:
    """Add up rationals in a register with a fraction of its own, as numerics of hls4ml go.

    All is done on the values themselves: no shift, no counts of anything but the register's LSB.
    """
    assert word.frac is not None
    lsb, span = exact(1, word.frac), Fraction(2) ** (word.word - word.frac)
    top, bottom = span / 2 - lsb, -span / 2

    def rounded(value: Fraction) -> Fraction:
        return ROUNDED[word.rounding](value / lsb) * lsb

    def overflowed(value: Fraction) -> Fraction:
        if word.overflow is Overflow.WRAP:
            return value - span * math.floor((value - bottom) / span)
        return max(bottom, min(value, top))

    acc = endless = Fraction(0)
    clamps = 0
    for number, term in enumerate(terms):  # the bias is the first, and rounded in either way
        if word.product is Product.CAST and number:
            entering = [rounded(term), overflowed(rounded(term))]
            endless, reached = endless + entering[0], acc + entering[1]
        else:
            entering = []
            endless, reached = rounded(endless + term), rounded(acc + term)
        acc = overflowed(reached)
        clamps += len({*entering}) > 1 or acc != reached
    if word.overflow is Overflow.WRAP:
        return acc, int(not bottom <= endless <= top)
    return acc, clamps


def summed(word: Accumulator, terms: list[int], frac: int) -> tuple[Fraction, int]:
    """Add up counts of ``2**-frac``, the bias first, in a register of any kind."""
    if word.frac is not None:
        return register_sum(word, [exact(term, frac) for term in terms])
    total, over = word_sum(word, terms)
    return exact(total, frac), over
