"""Own the loops of the pools, on ``(maps, height, width)``."""

import numpy as np
from numba import njit

from fxpnn.kernels.arithmetic import I16, Target
from fxpnn.kernels.plain import Geometry


@njit(cache=True, nogil=True)
def max_pool(x: I16, geometry: Geometry, lowest: int, out: I16) -> None:
    """Keep the largest value of each window; outside the map stands ``lowest``."""
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel, geometry.stride, geometry.dilation
    for channel in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                best = lowest
                for row in range(kh):
                    y = i * sh - geometry.origin[0] + row * dh
                    for column in range(kw):
                        z = j * sw - geometry.origin[1] + column * dw
                        if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                            best = max(best, x[channel, y, z])
                out[channel, i, j] = best


@njit(cache=True, nogil=True)
def average_pool(x: I16, geometry: Geometry, rim: tuple[int, int, int, int], out: I16) -> None:
    """Divide each window's exact sum by its count once, ties to even.

    Positions from ``-rim[0]``, ``-rim[1]`` up to ``rim[2]``, ``rim[3]`` beyond the map count too.
    """
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel, geometry.stride, geometry.dilation
    height, width = x.shape[1], x.shape[2]
    for channel in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                total, count = np.int64(0), np.int64(0)
                for row in range(kh):
                    y = i * sh - geometry.origin[0] + row * dh
                    for column in range(kw):
                        z = j * sw - geometry.origin[1] + column * dw
                        if 0 <= y < height and 0 <= z < width:
                            total += x[channel, y, z]
                        if -rim[0] <= y < height + rim[2] and -rim[1] <= z < width + rim[3]:
                            count += 1
                out[channel, i, j] = divide(total, max(count, 1))


@njit(cache=True)
def divide(total: int, count: int) -> int:
    """Return ``total / count`` rounded to nearest, ties to even; ``count > 0``."""
    quotient = total // count  # floor
    twice = 2 * (total - quotient * count)
    if twice > count or (twice == count and quotient & 1):
        quotient += 1
    return quotient


@njit(cache=True)
def root(square: int) -> int:
    """Return ``sqrt(square)`` rounded to nearest; ``0 <= square < 2**62``."""
    floor = np.int64(np.sqrt(np.float64(square)))
    while floor * floor > square:  # the float root may be one off either way
        floor -= 1
    while (floor + 1) * (floor + 1) <= square:
        floor += 1
    return floor + (square - floor * floor > floor)


@njit(cache=True, nogil=True)
def l2_pool(x: I16, geometry: Geometry, to: Target, out: I16) -> int:
    """Take the root of each window's sum of squares; return how many were out of range.

    A window of fewer than ``2**31`` values has a sum below ``2**61``.
    """
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel, geometry.stride, geometry.dilation
    saturations = 0
    for channel in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                total = np.int64(0)
                for row in range(kh):
                    y = i * sh - geometry.origin[0] + row * dh
                    for column in range(kw):
                        z = j * sw - geometry.origin[1] + column * dw
                        if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                            total += np.int64(x[channel, y, z]) * x[channel, y, z]
                length = root(total)
                saturations += length > to.high
                out[channel, i, j] = min(length, to.high)
    return saturations
