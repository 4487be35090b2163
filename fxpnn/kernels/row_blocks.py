"""What layers of sums share: how a call takes them, and what is done with blocks of rows.

A call takes a layer as plain tuples, which Numba takes for a quarter of the price of named ones:

- ``tables``: ``(weights, offsets, cuts, starts, shifts, windows, bias, rule)``. The first three are
  a ``Packed``. ``starts`` is int64 ``(group * rows,)``: images' rows. ``shifts`` (int64,
  ``Fx + Fw - Fy``) and ``bias`` have a value per lane; sums have the type of the bias, int32 or
  int64. ``windows`` is int64 ``(pooled, taps)``, from ``packing.pool_windows``, or empty. ``rule``
  is a ``rounding.rule``, or zeros.
- ``frame``: ``(images, words, outputs, leave, lines, length, pitch, origin, total, used, group,
  rows, extra, near)``. Each image has ``words`` in ``x`` and makes ``outputs`` words in each of its
  ``rows`` or pooled pixels; ``leave`` says how: ``STRIPS`` or ``DIRECT``. Where ``total`` is not 0,
  its ``lines`` of ``length`` words are first copied into a frame of ``total`` zeros, the first to
  ``origin``, the next ``pitch`` behind. ``used`` is how many lanes, of all columns, are an
  output's. A ``group`` of images is summed as one: more than one image only without a frame or
  windows. 64-bit sums have at most ``32 + extra`` bits; ``near`` says whether they are
  ``rounding.near``.
- ``word``: ``(low, high)``: the limits of the accumulator.
- ``to``: ``(rounding, overflow, low, high, least, most, apart)``: the cast, and what words are
  raised and lowered to behind it; a floor of 0 is a ReLU.
  ``apart`` says that what is below 0 is counted apart; ``low`` and ``least`` are 0 then.

Nothing is checked. ``x`` has one word more than the images; ``out`` is as long as what they make.
A row may write beyond its last output into the next row, so columns go from last to first.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.arithmetic import I16, I32, I64, cast, cast_apart
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import empty, zeros
from fxpnn.kernels.layout.instructions import Target
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.requantize import largest, narrow

# Where a tuple has what, for loops that take few of its values: the same code as with numbers.
(WEIGHTS, OFFSETS, CUTS, STARTS, SHIFTS, WINDOWS, BIAS, RULE) = range(8)  # of tables
(IMAGES, WORDS, OUTPUTS, LEAVE, LINES, LENGTH, PITCH) = range(7)  # of a frame
(ORIGIN, TOTAL, USED, GROUP, ROWS_OF_IMAGE, EXTRA, NEAR) = range(7, 14)
(ROUNDING, OVERFLOW, LOW, HIGH, LEAST, MOST, APART) = range(7)  # of modes

STRIP = 240
"""Rows between two casts, a multiple of every tile's: their sums fit the first-level cache."""

Sums: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Tables: TypeAlias = tuple[I16, I64, I64, I64, I64, I64, Sums, I32]
Frame: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int]
Word: TypeAlias = tuple[int, int]
Modes: TypeAlias = tuple[int, int, int, int, int, int, int]
Counts: TypeAlias = tuple[int, int, int]
"""Overflows of the accumulator, outputs out of range, and those below 0 that are counted apart."""


@part
def scratch(x: I16, tables: Tables, frame: Frame, strip: int) -> tuple[I16, I16, Sums]:
    """Allocate an image's frame, what it makes before a pool, and a strip's sums.

    Pixels that share a row are read as vectors of their own, which end behind the last row.
    """
    starts, windows, bias = tables[STARTS], tables[WINDOWS], tables[BIAS]
    framed = zeros(frame[TOTAL], x.dtype)
    made = empty((starts.size + 1) * LANES if windows.size else 0, np.int16)
    return framed, made, zeros((min(starts.size, strip) + 2) * LANES, bias.dtype)


@part
def aligned(loose: Sums) -> Sums:
    """Begin sums on a line of the cache: vectors that lie across two take twice as long."""
    return loose[-loose.ctypes.data % 64 // loose.itemsize :]


@loop
def enter(x: I16, framed: I16, frame: Frame) -> I16:
    """Return where an image's rows read: in place, or in a copy with a frame of zeros."""
    lines, length, pitch = frame[LINES], frame[LENGTH], frame[PITCH]
    origin, total = frame[ORIGIN], frame[TOTAL]
    if total == 0:
        return x
    for line in range(lines):
        source, target = x[line * length :], framed[origin + line * pitch :]
        for i in range(length):
            target[i] = source[i]
    return framed


@part
def column_end(column: int, row: int, frame: Frame, made: I16, target: I16) -> tuple[I16, int]:
    """Return where a column's words go from a row on, to the output or to a pool, and how apart."""
    if made.size > 0:
        return made[row * LANES :], LANES
    return target[row * frame[OUTPUTS] + column * LANES :], frame[OUTPUTS]


@loop
def cast_rows(
    acc: Sums, rows: int, shifts: I64, first: int, to: Modes, out: I16, pitch: int
) -> tuple[int, int]:
    """Cast rows of sums, ``pitch`` apart in ``out``; return how many were out of range.

    Those below 0 that are counted apart come second.
    """
    whole = writes_all(rows, out, pitch, LANES)
    for lane in range(LANES):
        if not 0 <= shifts[first + lane] <= 8 * acc.itemsize - 2:
            whole = 0
    saturations, fallen = narrow(whole, (acc, shifts, out), (first, pitch), to)
    target = Target(to[ROUNDING], to[OVERFLOW], to[LOW], to[HIGH])
    for row in range(whole, rows):
        for lane in range(min(LANES, out.size - row * pitch)):
            total = np.int64(acc[row * LANES + lane])
            if to[APART]:
                raw, over, below = cast_apart(total, shifts[first + lane], target)
                fallen += below
            else:
                raw, over = cast(total, shifts[first + lane], target)
            out[row * pitch + lane] = min(max(raw, to[LEAST]), to[MOST])
            saturations += over
    return saturations, fallen


@loop
def pool_rows(made: I16, windows: I64, out: I16, pitch: int) -> None:
    """Keep the largest of each window's words, lane by lane."""
    pixels, taps = windows.shape
    whole = writes_all(pixels, out, pitch, LANES)
    largest(whole, (made, windows, out), (taps, pitch))
    for pixel in range(whole, pixels):
        for lane in range(min(LANES, out.size - pixel * pitch)):
            best = made[windows[pixel, 0] + lane]
            for tap in range(1, taps):
                best = max(best, made[windows[pixel, tap] + lane])
            out[pixel * pitch + lane] = best


@loop
def writes_all(rows: int, out: I16, pitch: int, lanes: int) -> int:
    """Count the rows, ``pitch`` apart in ``out``, that may write so many lanes."""
    return min(rows, max(0, (out.size - lanes) // pitch + 1))
