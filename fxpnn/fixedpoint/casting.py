"""The one-step cast on arrays: float to raw, raw to raw, raw to float.

A cast rounds the exact value once, then judges overflow once, on the rounded value. A cast between
a format and itself changes nothing.
"""

from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from fxpnn.errors import DataError
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding

Raw: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]


def cast(
    raw: npt.ArrayLike,
    source: QFormat,
    target: QFormat,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
) -> Raw:
    """Cast integers of one format to another.

    >>> cast([5, 6, 7], QFormat(8, 2), QFormat(8, 1)).tolist()
    [2, 3, 4]

    Args:
        raw: integers of any shape, counts of ``2**-source.frac``.
        source: their format; every word from 1 to 32 bits.
        target: the format wanted.
        rounding: what to do with the bits that are dropped.
        overflow: what to do with a rounded value outside the target's range.

    Returns:
        int64 counts of ``2**-target.frac``, in the shape of ``raw``.

    Raises:
        DataError: ``raw`` holds no integers, or one outside the source's range.
        FormatError: a text names no mode.
    """
    array = integers(raw)
    if array.size and (array.min() < source.min or array.max() > source.max):
        raise DataError(f"raw values must fit {source}, not reach {array.min()}..{array.max()}")
    rounding, overflow = Rounding.of(rounding), Overflow.of(overflow)
    values = array.astype(np.int64)
    if source == target:
        return values
    return requantize(values, source.frac, target, rounding, overflow)[0]


def requantize(
    values: Raw, frac: int | Raw, target: QFormat, rounding: Rounding, overflow: Overflow
) -> tuple[Raw, Flags]:
    """Cast exact values of any width up to 62 bits; also say which overflowed.

    Args:
        values: int64 counts of ``2**-frac``, ``|values| < 2**62``.
        frac: fraction bits, one for all or an array that broadcasts.
        target: the format wanted.
        rounding: what to do with the bits that are dropped.
        overflow: what to do with a rounded value outside the target's range.

    Returns:
        int64 raw values and where overflow was judged.
    """
    shift = np.asarray(frac, dtype=np.int64) - target.frac
    right, left = np.clip(shift, 0, 63), np.clip(-shift, 0, 63)
    rounded = _round_shift(values, right, rounding)
    # A left shift may not fit int64, so overflow is judged before it: for integers,
    # v << s > max exactly where v > max >> s.
    low, high = limits(target, overflow)
    over, under = rounded > (high >> left), rounded < -((-low) >> left)
    return _overflow(rounded << left, under, over, target, overflow), under | over


def limits(target: QFormat, overflow: Overflow) -> tuple[int, int]:
    """Return the smallest and largest raw value that is not an overflow."""
    if overflow is Overflow.SATURATE_SYMMETRIC and target.signed:
        return -target.max, target.max
    return target.min, target.max


def from_float(
    values: npt.ArrayLike,
    target: QFormat,
    rounding: Rounding | str = Rounding.NEAREST_EVEN,
    overflow: Overflow | str = Overflow.SATURATE,
    name: str = "values",
) -> Raw:
    """Cast floats to raw integers; the product with ``2**frac`` is taken exactly.

    >>> from_float([0.5, -3.0], QFormat(4, 3)).tolist()
    [4, -8]

    Args:
        values: floats of any shape; infinities saturate.
        target: the format wanted.
        rounding: what to do with the bits that are dropped.
        overflow: what to do with a rounded value outside the target's range.
        name: what the values are, for the error.

    Returns:
        int64 counts of ``2**-target.frac``.

    Raises:
        DataError: a value is NaN, or no double; it names the tensor and the index.
        FormatError: a text names no mode.
    """
    modes = Rounding.of(rounding), Overflow.of(overflow)
    return from_float_counted(values, target, *modes, name)[0]


def from_float_counted(
    values: npt.ArrayLike, target: QFormat, rounding: Rounding, overflow: Overflow, name: str
) -> tuple[Raw, Flags]:
    """Do as ``from_float`` and also say which values overflowed."""
    floats = _doubles(values, name)
    if np.isnan(floats).any():
        index = [int(i) for i in np.argwhere(np.isnan(floats))[0]]
        raise DataError(f"{name}{index} must be a number, not NaN")
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(floats, target.frac)
    # What underflows still rounds by its sign; any other value this small would do as well.
    tiny = (np.abs(scaled) < 2.0**-1000) & (floats != 0)
    whole = _round_float(np.where(tiny, np.copysign(2.0**-1000, floats), scaled), rounding)
    low, high = limits(target, overflow)
    over, under = whole > high, whole < low
    if overflow is Overflow.WRAP:
        kept = np.fmod(np.where(np.isinf(whole), 0, whole), 2.0**target.word).astype(np.int64)
        wrapped = _overflow(kept, under, over, target, overflow)
        endless = np.where(floats < 0, target.min, target.max)
        return np.where(np.isinf(floats), endless, wrapped), under | over
    kept = np.clip(whole, low, high).astype(np.int64)
    return _overflow(kept, under, over, target, overflow), under | over


def to_float(raw: npt.ArrayLike, source: QFormat) -> Floats:
    """Return the exact values of raw integers, float64.

    Raises:
        DataError: ``raw`` holds no integers, or one that means no double: a count beyond ``2**53``,
            or a number beyond ``2**1024``.
    """
    array = integers(raw)
    if array.size and (array.min() < -(2**53) or array.max() > 2**53):
        raise DataError(f"raw values must be doubles, not reach {array.min()}..{array.max()}")
    with np.errstate(over="ignore"):
        floats = np.ldexp(array.astype(np.float64), -source.frac)
    if np.isinf(floats).any():
        ends = f"{array.min()}..{array.max()}"
        raise DataError(f"raw values of {source} must mean doubles, not reach {ends}")
    return floats


def integers(raw: npt.ArrayLike, name: str = "raw values") -> npt.NDArray[np.integer[Any]]:
    """Return an array of integers.

    Raises:
        DataError: they are none.
    """
    array = as_array(raw)
    if array.dtype.kind not in "iu":
        raise DataError(f"{name} must be integers, not {array.dtype}")
    return array


def as_array(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return an array; rows of different lengths become one object, which is no number.

    Raises:
        DataError: it is masked: what the mask hides would be taken too.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise DataError("an array must have no mask; its method filled gives one without")
    try:
        return np.asarray(values)
    except ValueError:
        return np.array(None)


def is_array(values: object) -> TypeGuard[npt.NDArray[Any]]:
    """Return whether a value is an array of NumPy, each value of which is meant: none is masked."""
    return isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray)


def _doubles(values: npt.ArrayLike, name: str) -> Floats:
    """Return numbers as float64; those that it would round are refused, for a cast rounds once."""
    array = as_array(values)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} must be an array of real numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        doubles = array.astype(np.float64)
    lost = np.zeros(array.shape, np.bool_)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        lost = (doubles.astype(array.dtype) != array) & ~np.isnan(array)
    elif array.dtype.kind in "iu":
        lost = (array > 2**53) | (array < -(2**53))
    if lost.any():
        index = [int(i) for i in np.argwhere(lost)[0]]
        raise DataError(f"{name}{index} must be a double, not a longer number that one rounds")
    return doubles


def _round_shift(values: Raw, shift: Raw, rounding: Rounding) -> Raw:
    floor = values >> shift
    return round_rest(floor, values - (floor << shift), shift, rounding)


def round_rest(floor: Raw, rest: Raw, shift: Raw, rounding: Rounding) -> Raw:
    """Round ``floor + rest * 2**-shift`` to integers; ``0 <= rest < 2**shift``, 63 bits at most."""
    half = (np.int64(1) << shift) >> 1  # 0 where nothing is dropped
    half = np.where(shift == 63, np.int64(1) << 62, half)
    tie = (rest == half) & (shift > 0)
    if rounding is Rounding.FLOOR:
        up = np.zeros_like(tie)
    elif rounding is Rounding.ZERO:
        up = (floor < 0) & (rest != 0)
    else:
        up = (rest > half) & (shift > 0) | tie & _tie_up(floor, floor < 0, rounding)
    return np.asarray(floor + up)


def _tie_up(floor: Raw, negative: Flags, rounding: Rounding) -> Flags:
    if rounding is Rounding.NEAREST_EVEN:
        return np.asarray(floor & 1 == 1)
    if rounding is Rounding.NEAREST_UP:
        return np.ones_like(negative)
    if rounding is Rounding.NEAREST_DOWN:
        return np.zeros_like(negative)
    return negative if rounding is Rounding.NEAREST_ZERO else ~negative


def _round_float(values: Floats, rounding: Rounding) -> Floats:
    if rounding is Rounding.NEAREST_EVEN:
        return np.rint(values)
    if rounding is Rounding.FLOOR:
        return np.floor(values)
    whole = np.trunc(values)
    if rounding is Rounding.ZERO:
        return whole
    with np.errstate(invalid="ignore"):
        rest = values - whole  # exact, with the sign of the value; NaN where it is infinite
    negative = values < 0
    away = np.abs(rest) > 0.5
    tie = np.abs(rest) == 0.5
    if rounding is Rounding.NEAREST_UP:
        away |= tie & ~negative
    elif rounding is Rounding.NEAREST_DOWN:
        away |= tie & negative
    elif rounding is Rounding.NEAREST_AWAY:
        away |= tie
    return np.asarray(whole + np.where(away, np.copysign(1.0, values), 0.0))


def _overflow(values: Raw, under: Flags, over: Flags, target: QFormat, overflow: Overflow) -> Raw:
    if overflow is Overflow.WRAP:
        kept = values & ((1 << target.word) - 1)
        return kept - ((kept > target.max).astype(np.int64) << target.word)
    low, high = limits(target, overflow)
    if overflow is Overflow.SATURATE_ZERO:
        low = high = 0
    return np.where(over, high, np.where(under, low, values))
