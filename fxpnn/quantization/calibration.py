"""Calibration: the way from a range of values, observed or proved, to the format that holds it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.layers import Array
from fxpnn.quantization.distribution import Distribution
from fxpnn.quantization.settings import PERCENTILE, Method

FINER = 6
"""How many fraction bits beyond the range's own ``mse`` tries."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a format is chosen for the values of one or more ``tensors``, which share it.

    ``minmax`` covers them all; ``percentile`` that percentage of their magnitudes; ``mse`` has the
    smallest mean squared error, of equals the widest range. ``room`` widens the range where the
    data to come may exceed it. A format that is not ``signed`` is chosen for values cut at 0.
    """

    tensors: tuple[str, ...]
    word: int
    method: Method
    room: float = 1.0
    percentile: float = PERCENTILE
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Chosen:
    """A format, the range of the values it was chosen for, and the magnitude of their bulk.

    ``bulk`` is what 99.9 % of the magnitudes above 0 do not exceed, to an eighth.
    """

    format: QFormat
    low: float
    high: float
    bulk: float


def fitting(low: float, high: float, word: int, signed: bool = True) -> QFormat:
    """Return the finest format of ``word`` bits in which ``low..high`` saturates nowhere.

    >>> str(fitting(-1.0, 0.5, 16)), str(fitting(-1.0, 1.0, 16)), str(fitting(0, 100, 8))
    ('Q0.15', 'Q1.14', 'Q7.0')

    Raises:
        FormatError: an end is not finite, or beyond every format.
    """
    largest = max(abs(low), abs(high))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise FormatError(f"a range must be finite to have a format, not {low} to {high}")
    if largest == 0:
        return QFormat(word, word - signed, signed)
    exponent = math.frexp(largest)[1]  # largest < 2**exponent
    for frac in range(word - signed - exponent + 1, word - signed - exponent - 2, -1):
        fmt = QFormat(word, max(-1000, min(1000, frac)), signed)
        if (
            round(math.ldexp(high, fmt.frac)) <= fmt.max
            and round(math.ldexp(low, fmt.frac)) >= fmt.min
        ):
            return fmt
    raise FormatError(f"a range must fit {word} bits of some format, not be {low} to {high}")


def finer(widest: QFormat) -> list[QFormat]:
    """Return a format and the next finer ones of its word, in which large values are clipped."""
    fracs = range(widest.frac, min(widest.frac + FINER, 1000) + 1)
    return [QFormat(widest.word, frac, widest.signed) for frac in fracs]


def choose(
    values: Array, word: int, method: Method, overflow: Overflow = Overflow.SATURATE
) -> QFormat:
    """Choose the format of ``word`` bits for values in memory, such as weights.

    The method ``mse`` has the smallest squared error; the others hold all values. Where values
    saturate symmetrically, the least word holds none.
    """
    low, high = float(values.min()), float(values.max())
    if overflow is Overflow.SATURATE_SYMMETRIC:
        high = max(-low, high)
    widest = fitting(low, high, word)
    if method is not Method.MSE:
        return widest
    return _least(widest, lambda fmt: _squared_error(values, Shift(fmt, overflow=overflow)))


def choose_shared(distributions: Iterable[Distribution], choice: Choice) -> Chosen:
    """Choose the format that tensors share, by their distributions.

    Raises:
        FormatError: no format holds the values.
    """
    values = reduce(Distribution.joined, distributions)
    values = values if choice.signed else values.rectified()
    low, high = values.low, values.high
    if choice.method is Method.PERCENTILE:
        limit = values.percentile(choice.percentile)
        low, high = (min(max(end, -limit), limit) for end in (low, high))
    fmt = fitting(low * choice.room, high * choice.room, choice.word, choice.signed)
    if choice.method is Method.MSE:
        fmt = _least(fmt, values.squared_error)
    return Chosen(fmt, values.low, values.high, values.bulk())


def _least(widest: QFormat, squared_error: Callable[[QFormat], float]) -> QFormat:
    """Return the format with the least error, which is in squared counts of each."""

    def error(fmt: QFormat) -> float:
        return math.ldexp(squared_error(fmt), 2 * (widest.frac - fmt.frac))

    return min(finer(widest), key=error)


def _squared_error(values: Array, cast: Shift) -> float:
    """Add up the squared errors, in squared counts of the format."""
    scaled = np.ldexp(values.astype(np.float64), cast.format.frac)
    errors = scaled - np.clip(np.rint(scaled), *cast.limits)
    return float(np.square(errors).sum())
