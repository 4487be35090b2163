"""How an exact sum of doubles lies in digits of 32 bits, and the integer that it is.

A digit is an int64: each double adds at most three times ``2**32`` to it, so that 2**29 doubles
can be added, and digits of parts too, before a carry would have to go on to the next digit.
"""

import numpy as np
import numpy.typing as npt

DIGITS = 66
"""Digits of a sum in units of ``2**-1074``, the lowest first; doubles are below ``2**2098``."""

DIGIT = (1 << 32) - 1
"""The largest digit of a double."""


def no_sums(rows: int) -> npt.NDArray[np.int64]:
    """Return the digits of sums that are 0, int64 ``(rows, DIGITS)``."""
    return np.zeros((rows, DIGITS), np.int64)


def integers(digits: npt.NDArray[np.int64]) -> list[int]:
    """Return the sums of ``(rows, DIGITS)`` as integers in units of ``2**-1074``."""
    return [sum(digit << 32 * i for i, digit in enumerate(row) if digit) for row in digits.tolist()]
