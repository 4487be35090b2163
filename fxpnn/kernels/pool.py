"""Loops of the pools, on maps that lie pixel by pixel: ``(height, width * channels)``.

A window is summed or compared line by line first: whole lines are long enough for vectors, however
few the channels are.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64, cast, round_shift
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import empty, free
from fxpnn.kernels.layout.instructions import AVERAGE, L2, MAX, NEAREST_EVEN, SATURATE_ZERO, Target
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
    kind: int,
    x: I16,
    shape: Shape,
    window: Window,
    rim: Rim,
    shift: int,
    to: Target,
    out: I16,
    images: int,
) -> tuple[int, int]:
    """Pool every image of a flat block; return how many casts overflowed, and how many below 0.

    ``MAX`` keeps the largest value of a window; outside the map stands ``to.low``. ``AVERAGE``
    divides the exact sum by the count, ``L2`` takes the root of the sum of squares; each is cast
    once, to ``shift`` fewer fraction bits. Positions in the rim count as 0. Where ``shift`` is
    negative, ``-shift`` bits more of a sum, and twice as many of a sum of squares, fit 62 bits.
    """
    kh, kw, sh, sw, top, left, dh, dw = window
    height, width, channels, high, wide = shape
    lines = empty(width * channels, np.int64)
    totals = empty(wide * channels, np.int64)
    saturations, below = 0, 0
    for image in range(images):
        maps = x[image * height * width * channels :]
        for i in range(high):
            first, begin = i * sh - top, to.low if kind == MAX else 0
            _combine_lines(kind, maps, lines, first, kh, dh, height, begin)
            totals[:] = begin
            for column in range(kw):
                _combine_pixels(kind, lines, totals, channels, column * dw - left, sw, width)
            line = out[(image * high + i) * wide * channels :]
            if kind == MAX:
                _narrow(totals, line)
            elif kind == L2:
                saturations += _roots(totals, shift, to, line)
            else:
                rows = _count(first, kh, dh, rim[0], height + rim[2])
                size = width, channels
                over, under = _divide(totals, rows, window, size, rim, shift, to, line)
                saturations, below = saturations + over, below + under
    free((lines, totals))
    return saturations, below


@loop
def mean_pool(x: I16, words: int, windows: I64, channels: int, out: I16, images: int) -> None:
    """Average windows that all lie inside their map and hold a power of two of values, 2 at least.

    Outputs have the format of the inputs; ties go to even. ``windows`` is ``(pixels, taps)``: where
    each finds a pixel's channels among an image's ``words``. Vectors of 16 lanes may read and write
    beyond a pixel: columns of lanes go from last to first and pixels in order, so that each word is
    written last by its own; the last ones, where the block ends, go one by one.
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
                target[pixel * channels + channel] = round_shift(total, shift, NEAREST_EVEN)


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
    totals: I64,
    rows: int,
    window: Window,
    size: tuple[int, int],
    rim: Rim,
    shift: int,
    to: Target,
    out: I16,
) -> tuple[int, int]:
    width, channels = size
    saturations, below = 0, 0
    for j in range(totals.size // channels):
        columns = _count(j * window[3] - window[5], window[1], window[7], rim[1], width + rim[3])
        here = slice(j * channels, (j + 1) * channels)
        drop = divide(totals[here], max(rows * columns, 1), shift)
        over, under = cast_all(totals[here], drop, to, out[here])
        saturations, below = saturations + over, below + under
    return saturations, below


@part
def _roots(totals: I64, shift: int, to: Target, out: I16) -> int:
    for k in range(totals.size):
        totals[k] = root(totals[k], shift)
    return cast_all(totals, 2, to, out)[0]


@part
def _narrow(totals: I64, out: I16) -> None:
    for k in range(totals.size):
        out[k] = totals[k]


@loop
def divide(totals: I64, count: int, shift: int) -> int:
    """Divide by ``count``, 1 or more, as far as a cast to ``shift`` fewer fraction bits asks.

    Two bits behind a quotient's floor tell whether its rest is nothing, less than half, half or
    more: that is all that a rounding asks. A power of two is left to the cast.

    Returns:
        How many bits the cast of the totals then drops.
    """
    if count & (count - 1) == 0:  # a shift is ten times faster than a division
        power = 0
        while 1 << power < count:
            power += 1
        return power + shift
    finer = max(-shift, 0)
    for k in range(totals.size):
        total = totals[k] << finer
        floor = total // count
        twice = 2 * (total - floor * count)
        totals[k] = 4 * floor + int(twice > 0) + int(twice >= count) + int(twice > count)
    return shift + finer + 2


@loop
def root(square: int, shift: int) -> int:
    """Return the root with ``shift`` fewer fraction bits and two more; ``0 <= square < 2**62``.

    The two tell, as ``divide``'s do, how it lies between the floor ``r`` and the next word. With
    ``j`` the bits that are dropped, the root is divided by ``2**j``, the square by ``4**j``; from
    ``j = 32`` on that is below a half. The middle is ``r + 1/2``, its square
    ``(r * r + r + 1/4) * 4**j``: nothing hits it where ``j`` is 0.
    """
    square <<= 2 * max(-shift, 0)
    j = min(max(shift, 0), 32)
    drop = min(2 * j, 62)
    whole = square >> drop
    floor = np.int64(np.sqrt(np.float64(whole)))
    while floor * floor > whole:  # the float root may be one off either way
        floor -= 1
    while (floor + 1) * (floor + 1) <= whole:
        floor += 1
    rest = square - (floor * floor << drop)
    middle = (floor << drop) + ((1 << 2 * j - 2) if j else 0)
    tie = j > 0 and rest == middle
    return 4 * floor + int(rest > 0) + int(tie or rest > middle) + int(rest > middle)


@loop
def cast_all(values: I64, shift: int, to: Target, out: I16) -> tuple[int, int]:
    """Cast to ``shift`` fewer fraction bits; return how many overflowed, and how many below 0.

    The default, to nearest even and clamped, has a loop that becomes vector code.
    """
    saturations, below = 0, 0
    if to.rounding == NEAREST_EVEN and to.overflow < SATURATE_ZERO and 0 <= shift <= 62:
        half = (1 << shift) >> 1
        less, odd = half - int(half > 0), int(half > 0)
        for k in range(values.size):
            rounded = (values[k] + less + ((values[k] >> shift) & odd)) >> shift
            kept = min(max(rounded, to.low), to.high)
            saturations += int(kept != rounded)
            below += int(rounded < min(to.low, 0))
            out[k] = kept
    else:
        for k in range(values.size):
            raw, over = cast(values[k], shift, to)
            saturations += int(over)
            below += int(over and values[k] < 0)
            out[k] = raw
    return saturations, below
