"""The loop that measures how far raw words are from the floats that they stand for."""

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.arithmetic import I16
from fxpnn.kernels.build.decorators import sums_in_any_order


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
