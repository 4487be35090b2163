"""Loops around exact sums: layers of products, in blocks of rows that stay in cache.

``row_blocks`` explains how a call takes a layer. Nothing is checked here either.
"""

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import free
from fxpnn.kernels.layout.instructions import DIRECT, STRIPS
from fxpnn.kernels.layout.packing import HALF, LANES
from fxpnn.kernels.row_blocks import (
    APART,
    CUTS,
    EXTRA,
    GROUP,
    HIGH,
    IMAGES,
    LEAST,
    LEAVE,
    LOW,
    MOST,
    NEAR,
    OUTPUTS,
    ROWS_OF_IMAGE,
    SHIFTS,
    STARTS,
    STRIP,
    USED,
    WINDOWS,
    WORDS,
    Counts,
    Frame,
    Modes,
    Sums,
    Tables,
    Word,
    aligned,
    cast_rows,
    column_end,
    enter,
    pool_rows,
    scratch,
    writes_all,
)
from fxpnn.kernels.vector.column_sums import dot_column
from fxpnn.kernels.vector.sums import ROWS


@loop
def exact(
    x: I16, out: I16, tables: Tables, frame: Frame, word: Word, wraps: bool, to: Modes
) -> Counts:
    """Run a dense layer or a convolution whose sums are exact.

    The caller has proved that each segment's products fit 32 bits, and every sum its type.

    Returns:
        How many totals did not fit the word, if it ``wraps``, how many outputs were out of range,
        and how many, counted apart, were below 0.
    """
    cuts, starts, windows = tables[CUTS], tables[STARTS], tables[WINDOWS]
    leave = frame[LEAVE]
    strip = STRIP if leave == STRIPS else max(1, starts.size)
    framed, made, loose = scratch(x, tables, frame, ROWS if leave == DIRECT else strip)
    acc = aligned(loose)
    overflows, saturations, fallen = 0, 0, 0
    size = out.size // frame[IMAGES]
    for image in range(0, frame[IMAGES], frame[GROUP]):
        source, target = enter(x[image * frame[WORDS] :], framed, frame), out[image * size :]
        here = starts[: (frame[IMAGES] - image) * frame[ROWS_OF_IMAGE]]
        for behind in range(1, len(cuts) + 1):
            column = len(cuts) - behind
            for row in range(0, here.size, strip):
                rows = here[row : row + strip]
                end, pitch = column_end(column, row, frame, made, target)
                over, below = _sum(source, rows, tables, column, frame, to, acc, end, pitch)
                if wraps:
                    overflows += _wrap(acc, rows.size, word)
                if leave == STRIPS:
                    lane = column * LANES
                    over, below = cast_rows(acc, rows.size, tables[SHIFTS], lane, to, end, pitch)
                saturations += over
                fallen += below
            if windows.size > 0:
                pool_rows(made, windows, target[column * LANES :], frame[OUTPUTS])
    free((framed, made, loose))
    return overflows, saturations, fallen


@part
def _sum(
    x: I16,
    starts: I64,
    tables: Tables,
    column: int,
    frame: Frame,
    to: Modes,
    acc: Sums,
    end: I16,
    pitch: int,
) -> tuple[int, int]:
    """Sum each row's products of one column, segment by segment, and the bias.

    Sums that leave directly are cast tile by tile; it returns how many were out of range, and how
    many, counted apart, were below 0. Those are in range of a signed word of one bit more.
    """
    weights, offsets, cuts, _, shifts, _, bias, rule = tables
    arrays = x, starts, weights, offsets, cuts, bias, rule, acc, end
    direct, segments, lane = frame[LEAVE] == DIRECT, cuts.shape[1] - 1, column * LANES
    half = frame[USED] - lane <= HALF
    rows, cut = starts.size, column * (segments + 1)
    whole = writes_all(rows, end, pitch, HALF if half else LANES) if direct else 0
    lone = writes_all(rows, end, pitch, LANES) if direct else 0
    low = to[LOW] - (to[HIGH] + 1) * to[APART]
    span = low, to[HIGH], to[LEAST], to[MOST]
    saturations, fallen = 0, 0
    row, tiles = 0, rows - rows % ROWS
    while row < tiles:
        at = row, (tiles - row) // ROWS, cut, segments, lane, pitch, frame[EXTRA]
        limits = np.int64(direct), whole, span, frame[NEAR], to[APART]
        if half:
            done, below = dot_column(HALF, ROWS, arrays, at, limits)
        else:
            done, below = dot_column(LANES, ROWS, arrays, at, limits)
        row, fallen = row + ROWS * done, fallen + below
        if row < tiles:  # a literal number of rows would be compiled for itself
            height, rest = np.int64(ROWS), end[row * pitch :]
            over, below = cast_rows(acc, height, shifts, lane, to, rest, pitch)
            saturations, fallen = saturations + over, fallen + below
            row += ROWS
    while row < rows:
        at = row, rows - row, cut, segments, lane, pitch, frame[EXTRA]
        limits = np.int64(direct), lone, span, frame[NEAR], to[APART]
        done, below = dot_column(LANES, 1, arrays, at, limits)
        row, fallen = row + done, fallen + below
        if row < rows:
            rest = end[row * pitch :]
            over, below = cast_rows(acc, np.int64(1), shifts, lane, to, rest, pitch)
            saturations, fallen = saturations + over, fallen + below
            row += 1
    return saturations, fallen


@loop
def _wrap(acc: Sums, rows: int, word: Word) -> int:
    """Keep the low bits of exact totals; return how many did not fit."""
    low, high = word
    overflows, span = 0, high - low  # 2**word - 1
    for i in range(rows * LANES):
        total = np.int64(acc[i])
        overflows += (total < low) | (total > high)
        acc[i] = ((total - low) & span) + low
    return overflows
