"""The one cast of training, on arrays: exact values become words of a tensor's format."""

from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.casting import Raw, requantize, round_rest
from fxpnn.fixedpoint.chance import Place, Stochastic, draws, quotients, shifted
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding


class Counted(NamedTuple):
    """Words, int64, and how many of them saturated above and below."""

    raw: Raw
    above: int
    below: int


def cast(
    values: Raw,
    frac: int,
    target: QFormat,
    rounding: Rounding | Stochastic,
    place: Place,
    count: int = 1,
) -> Counted:
    """Round the exact ``values / count @ frac`` once, then saturate; ``|values|`` is below 2**62.

    ``place`` says which elements they are, in C order; only rounding by chance asks.
    """
    drop = frac - target.frac
    if drop < 0 and count == 1:  # it may not fit int64, as ``requantize`` knows
        raw, out = requantize(values, frac, target, Rounding.FLOOR, Overflow.SATURATE)
        above = int(np.count_nonzero(out & (values > 0)))
        return Counted(raw, above, int(np.count_nonzero(out)) - above)
    return saturated(_rounded(values, drop, rounding, place, count), target)


def saturated(values: Raw, target: QFormat) -> Counted:
    """Clamp whole counts of the target's last bit."""
    raw = np.clip(values, target.min, target.max)
    if np.array_equal(raw, values):
        return Counted(raw, 0, 0)
    above = int(np.count_nonzero(values > target.max))
    return Counted(raw, above, int(np.count_nonzero(values < target.min)))


def _rounded(
    values: Raw, drop: int, rounding: Rounding | Stochastic, place: Place, count: int
) -> Raw:
    if drop == 0 and count == 1:
        return values
    if isinstance(rounding, Stochastic):
        u = draws(rounding, place, values.size).reshape(values.shape)
        if count == 1:
            return shifted(values, drop, rounding.bits, u)
        return quotients(values << max(-drop, 0), count << max(drop, 0), rounding.bits, u)
    if count == 1:
        return _shift(values, drop, rounding)
    values, divisor = values << max(-drop, 0), count << max(drop, 0)
    floor = values // divisor
    twice = 2 * (values - floor * divisor)
    # Where a rest lies, in quarters: 0 is nothing, 1 below a half, 2 a tie, 3 above it.
    quarters = (twice > 0).astype(np.int64) + (twice >= divisor) + (twice > divisor)
    return round_rest(floor, quarters, np.asarray(2), rounding)


def _shift(values: Raw, drop: int, rounding: Rounding) -> Raw:
    floor = values >> drop
    if rounding is Rounding.FLOOR:
        return floor
    if rounding is Rounding.NEAREST_EVEN:  # half, less one count where the floor is even
        floor &= 1
        floor += (1 << drop - 1) - 1
        floor += values
        floor >>= drop
        return floor
    return round_rest(floor, values - (floor << drop), np.asarray(drop), rounding)
