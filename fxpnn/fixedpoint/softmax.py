"""The softmax that cannot overflow, on whole arrays of raw words."""

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.integers import LOG2E

ONE = 32767
"""The largest Q0.15 word, which stands for 1."""
_ALL = np.bool_(True)


def softmax(
    x: Raw,
    frac: int,
    table: npt.NDArray[np.int32],
    visible: npt.NDArray[np.bool_] | np.bool_ = _ALL,
) -> Raw:
    """Return ``exp(x) / sum(exp(x))`` along the last axis, int64 words of Q0.15.

    ``x`` holds int64 words of at most 16 bits, counts of ``2**-frac``, of at most 4096 classes;
    those that are not ``visible`` take no part, and give 0. ``table[k]`` is ``2**(-k / 256)`` at
    F = 20. Each step is that of ``fxpnn.golden``; the widest intermediate, a power times the
    reciprocal, has 48 bits.
    """
    x = np.where(visible, x, x.min())  # none is then above the largest that counts
    product, down = (x.max(axis=-1, keepdims=True) - x) * LOG2E, frac + 2
    if down > 0:
        exponent = (product + (1 << min(down, 40) >> 1)) >> min(down, 40)  # 0 beyond 40 bits
    else:
        exponent = product << min(-down, 26)  # any distance but 0 is more than 2**7 then
    whole, k, rest = exponent >> 16, (exponent >> 8) & 255, exponent & 255
    entries = table.astype(np.int64)
    mantissa = entries[k] - (((entries[k] - entries[k + 1]) * rest + 128) >> 8)
    powers = np.where(visible & (whole <= 30), (mantissa << 10) >> np.minimum(whole, 30), 0)
    total = powers.sum(axis=-1, keepdims=True)  # 2**30 <= total <= 2**42, a double
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    reciprocal = ((np.int64(1) << (bits + 18)) + (total >> 1)) // total
    shares = (powers * reciprocal + (np.int64(1) << (bits + 2))) >> (bits + 3)
    return np.asarray(np.minimum(shares, ONE))
