"""The loops that measure how far raw words are from the floats that they stand for."""

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.arithmetic import I16, I64
from fxpnn.kernels.build.decorators import part, sums_in_any_order
from fxpnn.kernels.layout.exact_sum import DIGIT


@sums_in_any_order
def measure(
    reference: npt.NDArray[np.float32], raw: I16, lsb: float
) -> tuple[float, float, float, float, float]:
    """Return the sum of squares of the floats and of the errors, the largest error, the range.

    Both arrays are flat; a word is worth ``lsb`` per count. Sums are float64 in any order.
    """
    signal, noise, largest = 0.0, 0.0, 0.0
    low, high = np.inf, -np.inf
    for i in range(reference.size):
        value = np.float64(reference[i])
        error = raw[i] * lsb - value
        signal += value * value
        noise += error * error
        largest = max(largest, abs(error))
        low = min(low, value)
        high = max(high, value)
    return signal, noise, largest, low, high


_HIDDEN = 1 << 52
"""The bit of a double that is not stored."""


@part
def _add(value: float, digits: I64, row: int) -> None:
    """Add a double of 0 or more to the digits of a row; one that is not finite is left out.

    The double is ``mantissa * 2**(place - 1074)``. Its 53 bits, shifted within a digit, reach into
    three of them.
    """
    bits = np.float64(value).view(np.int64)
    place, mantissa = (bits >> 52) & 2047, bits & (_HIDDEN - 1)
    if place < 2047:
        if place > 0:
            mantissa |= _HIDDEN
            place -= 1
        low = (mantissa & DIGIT) << (place & 31)
        high = (mantissa >> 32) << (place & 31)
        digits[row, place >> 5] += low & DIGIT
        digits[row, (place >> 5) + 1] += (low >> 32) + (high & DIGIT)
        digits[row, (place >> 5) + 2] += high >> 32


@sums_in_any_order
def measure_channels(
    reference: npt.NDArray[np.float32], raw: I16, lsb: float, places: int, digits: I64
) -> int:
    """Add up the squares of the floats and of the errors for each channel, into ``digits``.

    Both flat arrays hold images, channels, ``places``. The squares of one image's channel are added
    in float64, those of all images exactly, so that their order is of no importance. ``digits`` is
    int64 ``(2 * channels, DIGITS)``: a channel has a row for its floats and one for its errors.
    """
    i = 0
    while i < reference.size:
        for row in range(0, len(digits), 2):
            signal, noise = 0.0, 0.0
            for _ in range(places):
                value = np.float64(reference[i])
                error = raw[i] * lsb - value
                signal += value * value
                noise += error * error
                i += 1
            _add(signal, digits, row)
            _add(noise, digits, row + 1)
    return reference.size
