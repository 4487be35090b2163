"""Own the multiply-accumulate loops: dense layers, and convolutions as dense layers of patches."""

from typing import NamedTuple

import numpy as np
from numba import njit

from fxpnn.kernels.arithmetic import I16, I64, Target, requantize

SUM_32, SUM_64, STEPWISE, WRAPPED = range(4)
"""How a sum is computed: plainly in 32 or 64 bits, clamped at each step, or wrapped at the end."""


class Sum(NamedTuple):
    """An accumulator as the kernels take it: the way of summing, and its smallest and largest."""

    method: int
    low: int
    high: int


class Geometry(NamedTuple):
    """A convolution's window as the kernels take it: pairs are vertical, horizontal."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    origin: tuple[int, int]
    dilation: tuple[int, int]


@njit(cache=True, nogil=True)
def _sum_32(x: I16, weight: I16, bias: I64, acc: I64) -> None:
    """Sum in 32 bits: every ``|bias| + sum(|weight| * |x|) < 2**31``."""
    for row in range(x.shape[0]):
        for out in range(weight.shape[0]):
            total = np.int32(0)
            for k in range(x.shape[1]):
                product = np.int32(np.int32(x[row, k]) * np.int32(weight[out, k]))
                total = np.int32(total + product)
            acc[row, out] = bias[out] + total


@njit(cache=True, nogil=True)
def _sum_64(x: I16, weight: I16, bias: I64, acc: I64) -> None:
    """Sum in 64 bits: ``|bias| < 2**61`` and fewer than ``2**31`` products of ``2**30``."""
    for row in range(x.shape[0]):
        for out in range(weight.shape[0]):
            total = bias[out]
            for k in range(x.shape[1]):
                total += np.int64(x[row, k]) * np.int64(weight[out, k])
            acc[row, out] = total


@njit(cache=True, nogil=True)
def _stepwise(x: I16, weight: I16, bias: I64, low: int, high: int, acc: I64) -> int:
    """Clamp after every add, the bias first; return how many adds were clamped.

    Before its clamp a sum is below ``2**61 + 2**30``.
    """
    overflows = 0
    for row in range(x.shape[0]):
        for out in range(weight.shape[0]):
            total = min(max(bias[out], low), high)
            overflows += total != bias[out]
            for k in range(x.shape[1]):
                exact = total + np.int64(x[row, k]) * np.int64(weight[out, k])
                total = min(max(exact, low), high)
                overflows += total != exact
            acc[row, out] = total
    return overflows


@njit(cache=True, nogil=True)
def _wrap(acc: I64, low: int, high: int) -> int:
    """Keep the low bits of exact totals in place; return how many did not fit."""
    overflows = 0
    span = high - low  # 2**word - 1
    for row in range(acc.shape[0]):
        for out in range(acc.shape[1]):
            total = acc[row, out]
            if not low <= total <= high:
                overflows += 1
                total &= span
                acc[row, out] = total - span - 1 if total > high else total
    return overflows


@njit(cache=True, nogil=True)
def accumulate(x: I16, weight: I16, bias: I64, how: Sum, acc: I64) -> int:
    """Sum ``bias[o] + x[p, k] * weight[o, k]``, k ascending; return the accumulator's overflows.

    ``x`` is ``(positions, k)``, ``weight`` ``(out, k)``, ``acc`` ``(positions, out)``. ``how`` may
    be ``SUM_32`` or ``SUM_64`` only where the caller has proved that no step overflows.
    """
    if how.method == SUM_32:
        _sum_32(x, weight, bias, acc)
        return 0
    if how.method == STEPWISE:
        return _stepwise(x, weight, bias, how.low, how.high, acc)
    _sum_64(x, weight, bias, acc)
    return _wrap(acc, how.low, how.high) if how.method == WRAPPED else 0


@njit(cache=True, nogil=True)
def gather(image: I16, geometry: Geometry, width: int, patches: I16) -> None:
    """Copy each window of ``image`` to a row of ``patches``, outside it 0.

    ``image`` is ``(channels, height, width)``, ``patches`` ``(positions, k)`` with k in the order
    channel, kernel row, kernel column; ``width`` counts the positions in a row.
    """
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel, geometry.stride, geometry.dilation
    for position in range(patches.shape[0]):
        top = position // width * sh - geometry.origin[0]
        left = position % width * sw - geometry.origin[1]
        k = 0
        for channel in range(image.shape[0]):
            for row in range(kh):
                y = top + row * dh
                for column in range(kw):
                    x = left + column * dw
                    inside = 0 <= y < image.shape[1] and 0 <= x < image.shape[2]
                    patches[position, k] = image[channel, y, x] if inside else 0
                    k += 1


@njit(cache=True, nogil=True)
def dense(
    x: I16, weight: I16, bias: I64, how: Sum, shifts: I64, to: Target, out: I16
) -> tuple[int, int]:
    """Run a dense layer; return the accumulator's overflows and the output's.

    ``x`` is ``(N, in)``, ``weight`` ``(out, in)``, ``out`` ``(N, out)``.
    """
    acc = np.empty((x.shape[0], weight.shape[0]), np.int64)
    overflows = accumulate(x, weight, bias, how, acc)
    return overflows, requantize(acc, shifts, to, out.T)


@njit(cache=True, nogil=True)
def convolve(
    x: I16,
    weight: I16,
    bias: I64,
    geometry: Geometry,
    how: Sum,
    shifts: I64,
    to: Target,
    out: I16,
) -> tuple[int, int]:
    """Run a convolution; return the accumulator's overflows and the output's.

    ``x`` is ``(N, in, height, width)``, ``weight`` ``(out, in / groups * kernel)``, ``out``
    ``(N, out, height', width')``.
    """
    kernel = geometry.kernel[0] * geometry.kernel[1]
    depth = weight.shape[1] // kernel  # input maps of one group
    groups = x.shape[1] // depth
    made = weight.shape[0] // groups  # output maps of one group
    positions = out.shape[2] * out.shape[3]
    patches = np.empty((positions, weight.shape[1]), np.int16)
    acc = np.empty((positions, made), np.int64)
    overflows, saturations = 0, 0
    for image in range(x.shape[0]):
        for group in range(groups):
            first = group * made
            maps = x[image, group * depth : (group + 1) * depth]
            gather(maps, geometry, out.shape[3], patches)
            group_weight, group_bias = weight[first : first + made], bias[first : first + made]
            overflows += accumulate(patches, group_weight, group_bias, how, acc)
            flat = out[image, first : first + made].reshape(made, positions)
            saturations += requantize(acc, shifts[first : first + made], to, flat)
    return overflows, saturations
