"""Own the loops of the pools, on maps that lie pixel by pixel: ``(height, width, channels)``."""

from typing import TypeAlias

import numpy as np
from numba import njit

from fxpnn.kernels.arithmetic import I16, I32

Window: TypeAlias = tuple[int, int, int, int, int, int, int, int]
"""Kernel, stride, origin (the padding above and left) and dilation, vertical first each."""
Rim: TypeAlias = tuple[int, int, int, int]
"""The padding above, left, below and right that an average counts."""


@njit(nogil=True)
def max_pool(x: I16, window: Window, lowest: int, out: I16) -> None:
    """Keep the largest value of each window; outside the map stands ``lowest``."""
    kh, kw, sh, sw, top, left, dh, dw = window
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            best = out[i, j]
            best[:] = lowest
            for row in range(kh):
                y = i * sh - top + row * dh
                for column in range(kw):
                    z = j * sw - left + column * dw
                    if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                        here = x[y, z]
                        for channel in range(best.size):
                            best[channel] = max(best[channel], here[channel])


@njit(nogil=True)
def average_pool(x: I16, window: Window, rim: Rim, out: I16) -> None:
    """Divide each window's exact sum by its count once, ties to even.

    Positions in the rim count as 0. A window of fewer than ``2**16`` values sums within 32 bits.
    """
    kh, kw, sh, sw, top, left, dh, dw = window
    height, width = x.shape[0], x.shape[1]
    total = np.empty(x.shape[2], np.int32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total[:] = 0
            count = 0
            for row in range(kh):
                y = i * sh - top + row * dh
                for column in range(kw):
                    z = j * sw - left + column * dw
                    if -rim[0] <= y < height + rim[2] and -rim[1] <= z < width + rim[3]:
                        count += 1
                    if 0 <= y < height and 0 <= z < width:
                        here = x[y, z]
                        for channel in range(total.size):
                            total[channel] += here[channel]
            _divide_all(total, count, out[i, j])


@njit
def _divide_all(total: I32, count: int, out: I16) -> None:
    """Divide sums by one count; by a power of two in vectors."""
    shift = 0
    while 1 << shift < count:
        shift += 1
    if 1 << shift == count:
        odd, half = np.int32(shift > 0), np.int32((1 << shift) >> 1)
        for i in range(total.size):
            even = (total[i] >> shift) & odd  # a tie rounds up from an odd floor only
            out[i] = (total[i] + half - odd + even) >> shift
        return
    for i in range(total.size):
        out[i] = divide(np.int64(total[i]), max(count, 1))


@njit
def divide(total: int, count: int) -> int:
    """Return ``total / count`` rounded to nearest, ties to even; ``count > 0``."""
    quotient = total // count  # floor
    twice = 2 * (total - quotient * count)
    if twice > count or (twice == count and quotient & 1):
        quotient += 1
    return quotient


@njit
def root(square: int) -> int:
    """Return ``sqrt(square)`` rounded to nearest; ``0 <= square < 2**62``."""
    floor = np.int64(np.sqrt(np.float64(square)))
    while floor * floor > square:  # the float root may be one off either way
        floor -= 1
    while (floor + 1) * (floor + 1) <= square:
        floor += 1
    return floor + (square - floor * floor > floor)


@njit(nogil=True)
def l2_pool(x: I16, window: Window, highest: int, out: I16) -> int:
    """Take the root of each window's sum of squares; return how many were out of range.

    A window of fewer than ``2**31`` values has a sum below ``2**61``.
    """
    kh, kw, sh, sw, top, left, dh, dw = window
    saturations = 0
    total = np.empty(x.shape[2], np.int64)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total[:] = 0
            for row in range(kh):
                y = i * sh - top + row * dh
                for column in range(kw):
                    z = j * sw - left + column * dw
                    if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                        here = x[y, z]
                        for channel in range(total.size):
                            total[channel] += np.int64(here[channel]) * here[channel]
            for channel in range(total.size):
                length = root(total[channel])
                saturations += length > highest
                out[i, j, channel] = min(length, highest)
    return saturations


@njit(nogil=True)
def pool_all(
    kind: int,
    x: I16,
    shape: tuple[int, int, int],
    window: Window,
    rim: Rim,
    limit: int,
    pooled: tuple[int, int, int],
    out: I16,
    images: int,
) -> int:
    """Pool every image of a flat block; ``kind`` is ``MAX``, ``AVERAGE`` or ``L2``."""
    maps = x.reshape((images, shape[0], shape[1], shape[2]))
    results = out.reshape((images, pooled[0], pooled[1], pooled[2]))
    saturations = 0
    for image in range(images):
        if kind == MAX:
            max_pool(maps[image], window, limit, results[image])
        elif kind == AVERAGE:
            average_pool(maps[image], window, rim, results[image])
        else:
            saturations += l2_pool(maps[image], window, limit, results[image])
    return saturations


MAX, AVERAGE, L2 = range(3)
