"""Loops of the pools, on maps that lie pixel by pixel: ``(height, width * channels)``.

A window is summed or compared line by line first: whole lines are long enough for vectors, however
few the channels are.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import empty, free
from fxpnn.kernels.layout.instructions import AVERAGE, L2, MAX
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.requantize import mean

Window: TypeAlias = tuple[int, int, int, int, int, int, int, int]
"""Kernel, stride, origin (the padding above and left) and dilation, vertical first each."""
Rim: TypeAlias = tuple[int, int, int, int]
"""The padding above, left, below and right that an average counts."""
Shape: TypeAlias = tuple[int, int, int, int, int]
"""Height, width and channels of the map, height and width of what is pooled."""


@loop
def pool(
    kind: int, x: I16, shape: Shape, window: Window, rim: Rim, limit: int, out: I16, images: int
) -> int:
    """Pool every image of a flat block; return how many values were out of range.

    ``MAX`` keeps the largest value of a window; outside the map stands ``limit``. ``AVERAGE``
    divides the exact sum by the count once, ties to even; positions in the rim count as 0.
    ``L2`` takes the root of the sum of squares and clamps it to ``limit``. A window of fewer than
    ``2**31`` values has a sum of squares below ``2**61``.
    """
    kh, kw, sh, sw, top, left, dh, dw = window
    height, width, channels, high, wide = shape
    lines = empty(width * channels, np.int64)
    totals = empty(wide * channels, np.int64)
    saturations = 0
    for image in range(images):
        maps = x[image * height * width * channels :]
        for i in range(high):
            first, begin = i * sh - top, limit if kind == MAX else 0
            _combine_lines(kind, maps, lines, first, kh, dh, height, begin)
            totals[:] = begin
            for column in range(kw):
                _combine_pixels(kind, lines, totals, channels, column * dw - left, sw, width)
            line = out[(image * high + i) * wide * channels :]
            if kind == AVERAGE:
                rows = _count(first, kh, dh, rim[0], height + rim[2])
                _divide(totals, rows, window, width, channels, rim, line)
            else:
                saturations += _leave(kind, totals, limit, line)
    free((lines, totals))
    return saturations


@loop
def mean_pool(x: I16, words: int, windows: I64, channels: int, out: I16, images: int) -> None:
    """Average windows that all lie inside their map and hold a power of two of values.

    ``windows`` is ``(pixels, taps)``: where each finds a pixel's channels among an image's
    ``words``. Vectors of 16 lanes may read and write beyond a pixel: columns of lanes go from last
    to first and pixels in order, so that each word is written last by its own; the last ones, where
    the block ends, go one by one.
    """
    pixels, taps = windows.shape
    shift = 0
    while 1 << shift < taps:
        shift += 1
    for image in range(images):
        source, target = x[image * words :], out[image * pixels * channels :]
        whole = pixels
        while whole and (
            windows[whole - 1, taps - 1] + channels + LANES > source.size
            or whole * channels + LANES > target.size
        ):
            whole -= 1
        for behind in range(LANES, channels + LANES, LANES):
            lane = (channels + LANES - 1) // LANES * LANES - behind
            mean(whole, (source[lane:], windows, target[lane:]), (taps, shift, channels))
        for pixel in range(whole, pixels):
            for channel in range(channels):
                total = np.int64(0)
                for tap in range(taps):
                    total += source[windows[pixel, tap] + channel]
                target[pixel * channels + channel] = divide(total, taps)


@loop
def _combine_lines(
    kind: int, maps: I16, lines: I64, first: int, kernel: int, step: int, height: int, begin: int
) -> None:
    """Combine the lines that a window sees, place by place."""
    lines[:] = begin
    for row in range(kernel):
        y = first + row * step
        if 0 <= y < height:
            line = maps[y * lines.size : (y + 1) * lines.size]
            if kind == MAX:
                for k in range(lines.size):
                    lines[k] = max(lines[k], np.int64(line[k]))
            elif kind == AVERAGE:
                for k in range(lines.size):
                    lines[k] += np.int64(line[k])
            else:
                for k in range(lines.size):
                    lines[k] += np.int64(line[k]) * np.int64(line[k])


@loop
def _combine_pixels(
    kind: int, lines: I64, totals: I64, channels: int, first: int, stride: int, width: int
) -> None:
    """Combine each window's pixel at one column into its total."""
    for j in range(totals.size // channels):
        z = first + j * stride
        if 0 <= z < width:
            source, total = lines[z * channels :], totals[j * channels :]
            for c in range(channels):
                if kind == MAX:
                    total[c] = max(total[c], source[c])
                else:
                    total[c] += source[c]


@loop
def _count(first: int, kernel: int, step: int, before: int, end: int) -> int:
    """Count the places ``first + i * step`` from ``-before`` up to ``end``."""
    places = 0
    for i in range(kernel):
        places += -before <= first + i * step < end
    return places


@part
def _divide(
    totals: I64, rows: int, window: Window, width: int, channels: int, rim: Rim, out: I16
) -> None:
    for j in range(totals.size // channels):
        columns = _count(j * window[3] - window[5], window[1], window[7], rim[1], width + rim[3])
        count = max(rows * columns, 1)
        for k in range(j * channels, (j + 1) * channels):
            out[k] = divide(totals[k], count)


@part
def _leave(kind: int, totals: I64, limit: int, out: I16) -> int:
    saturations = 0
    for k in range(totals.size):
        value = root(totals[k]) if kind == L2 else totals[k]
        saturations += kind == L2 and value > limit
        out[k] = min(value, limit) if kind == L2 else value
    return saturations


@loop
def divide(total: int, count: int) -> int:
    """Return ``total / count`` rounded to nearest, ties to even; ``count > 0``."""
    if count & (count - 1) == 0:  # a shift is ten times faster than a division
        shift = 0
        while 1 << shift < count:
            shift += 1
        half = count >> 1
        odd = (total >> shift) & 1 if shift else 0
        return (total + half - (half > 0) + odd) >> shift
    quotient = total // count  # floor
    twice = 2 * (total - quotient * count)
    if twice > count or (twice == count and quotient & 1):
        quotient += 1
    return quotient


@loop
def root(square: int) -> int:
    """Return ``sqrt(square)`` rounded to nearest; ``0 <= square < 2**62``."""
    floor = np.int64(np.sqrt(np.float64(square)))
    while floor * floor > square:  # the float root may be one off either way
        floor -= 1
    while (floor + 1) * (floor + 1) <= square:
        floor += 1
    return floor + (square - floor * floor > floor)
