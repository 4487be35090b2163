"""The one-step cast of one integer, in the form that the loops inline."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.layout.instructions import (
    FLOOR,
    NEAREST_DOWN,
    NEAREST_EVEN,
    NEAREST_UP,
    NEAREST_ZERO,
    SATURATE_ZERO,
    WRAP,
    ZERO,
    Target,
)

I16: TypeAlias = npt.NDArray[np.int16]
I32: TypeAlias = npt.NDArray[np.int32]
I64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


@loop
def round_shift(value: int, shift: int, rounding: int) -> int:
    """Divide ``value`` by ``2**shift`` and round; ``0 < shift <= 63``, ``|value| <= 2**62``."""
    floor = value >> shift  # also for a negative value
    return round_rest(floor, value - (floor << shift), shift, rounding)


@loop
def round_rest(quotient: int, rest: int, shift: int, rounding: int) -> int:
    """Round ``quotient + rest * 2**-shift``; ``0 <= rest < 2**shift``, ``0 < shift <= 63``."""
    half = 1 << (shift - 1)
    if rounding == FLOOR or rest == 0:
        return quotient
    if rounding == ZERO:
        return quotient + (quotient < 0)
    if rest != half:
        return quotient + (rest > half)
    if rounding == NEAREST_EVEN:
        return quotient + (quotient & 1)
    if rounding == NEAREST_UP:
        return quotient + 1
    if rounding == NEAREST_DOWN:
        return quotient
    return quotient + ((quotient < 0) == (rounding == NEAREST_ZERO))


@loop
def cast(value: int, shift: int, to: Target) -> tuple[int, bool]:
    """Cast ``value`` to a format with ``shift`` fewer fraction bits; also say if it overflowed.

    ``|value| <= 2**62``; any shift. Where ``shift`` is negative the range is judged before the
    shift, which might not fit: ``v << s > high`` exactly where ``v > high >> s``.
    """
    low, high = to.low, to.high
    left = 0
    if shift > 0:
        value = round_shift(value, min(shift, 63), to.rounding)
    else:
        left = min(-shift, 63)
        low, high = -((-low) >> left), high >> left
    if low <= value <= high:
        return value << left, False
    if to.overflow == WRAP:
        span = to.high - to.low  # 2**word - 1
        value = (value << left) & span
        return (value - span - 1 if value > to.high else value), True
    if to.overflow == SATURATE_ZERO:
        return 0, True
    return (to.high if value > high else to.low), True


@loop
def cast_apart(value: int, shift: int, to: Target) -> tuple[int, bool, bool]:
    """Cast to an unsigned format; say if it is too large, and, apart, if it is below 0.

    As a signed format of one bit more, most of what is below 0 is in range: it then takes no branch
    that the next value may not take.
    """
    raw, out = cast(value, shift, Target(to.rounding, to.overflow, -to.high - 1, to.high))
    below = raw < 0 or (out and value < 0)
    return max(raw, 0), out and not below, below
