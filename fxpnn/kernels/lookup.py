"""Own the loops over single values: look-ups, slopes per channel, and the sum of two tensors."""

import numpy as np
from numba import njit

from fxpnn.kernels.arithmetic import I16, I64, Bools, Target, cast


@njit(cache=True, nogil=True)
def look_up(x: I16, answers: I16, out: I16) -> None:
    """Answer each word of a flat array from a table indexed by the word's 16 bits."""
    for i in range(x.size):
        out[i] = answers[np.uint16(x[i])]


@njit(cache=True, nogil=True)
def count(x: I16, flags: Bools) -> int:
    """Count the words of a flat array whose flag stands."""
    total = 0
    for i in range(x.size):
        total += flags[np.uint16(x[i])]
    return total


@njit(cache=True, nogil=True)
def slope(x: I16, slopes: I64, shifts: I64, to: Target, out: I16) -> int:
    """Multiply negative values by their channel's slope; return how many casts overflowed.

    ``x`` is ``(N, channels, values)``; products are below ``2**31``.
    """
    saturations = 0
    for image in range(x.shape[0]):
        for channel in range(x.shape[1]):
            for i in range(x.shape[2]):
                raw, over = np.int64(x[image, channel, i]), False
                if raw < 0:
                    raw, over = cast(raw * slopes[channel], shifts[channel], to)
                out[image, channel, i] = raw
                saturations += over
    return saturations


@njit(cache=True, nogil=True)
def add(a: I16, b: I16, lift_a: int, lift_b: int, shift: int, to: Target, out: I16) -> int:
    """Align two flat tensors by left shifts, add exactly, cast once; count the overflows.

    Lifts are at most 44, so that a sum is at most ``2**60``.
    """
    saturations = 0
    for i in range(a.size):
        total = (np.int64(a[i]) << lift_a) + (np.int64(b[i]) << lift_b)
        raw, over = cast(total, shift, to)
        out[i] = raw
        saturations += over
    return saturations
