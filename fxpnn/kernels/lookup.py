"""Loops over single values of flat blocks: look-ups, slopes, pairs of them."""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64, Bools, cast, cast_apart
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.layout.instructions import Target
from fxpnn.kernels.row_blocks import APART, HIGH, LEAST, LOW, MOST, OVERFLOW, ROUNDING, Modes

How: TypeAlias = tuple[int, int, int, int]
"""Whether two words are multiplied or added, the left shift of each before, the right shift after.
"""


@loop
def look_up(x: I16, answers: I16, out: I16) -> None:
    """Answer each word from a table indexed by the word's 16 bits."""
    for i in range(x.size):
        out[i] = answers[np.uint16(x[i])]


@loop
def count(x: I16, flags: Bools) -> int:
    """Count the words whose flag stands."""
    total = 0
    for i in range(x.size):
        total += flags[np.uint16(x[i])]
    return total


@loop
def slope(x: I16, slopes: I64, shifts: I64, to: Target, out: I16) -> int:
    """Multiply negative words by the slope of their place; return how many casts overflowed.

    Slopes and shifts stand for each word of an image; products are below ``2**31``.
    """
    saturations = 0
    for i in range(x.size):
        place = i % slopes.size
        raw, over = np.int64(x[i]), False
        if raw < 0:
            raw, over = cast(raw * slopes[place], shifts[place], to)
        out[i] = raw
        saturations += over
    return saturations


@loop
def combine(a: I16, b: I16, how: How, to: Modes, first: int, out: I16) -> tuple[int, int]:
    """Add or multiply two blocks, aligned by left shifts; cast once; count what overflowed.

    Words of ``b`` repeat along those of ``a``; those before ``first`` are left out. No value is
    more than ``2**60``. Those below 0 that are counted apart come second.
    """
    multiplies, lift, other_lift, shift = how
    target = Target(to[ROUNDING], to[OVERFLOW], to[LOW], to[HIGH])
    saturations, fallen, place = 0, 0, first % b.size
    for i in range(first, out.size):
        one, other = np.int64(a[i]) << lift, np.int64(b[place]) << other_lift
        place = place + 1 if place + 1 < b.size else 0
        value = one * other if multiplies else one + other
        if to[APART]:
            raw, over, below = cast_apart(value, shift, target)
            fallen += below
        else:
            raw, over = cast(value, shift, target)
        out[i] = min(max(raw, to[LEAST]), to[MOST])
        saturations += over
    return saturations, fallen
