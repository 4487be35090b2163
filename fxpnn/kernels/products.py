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
    CUTS,
    EXTRA,
    GROUP,
    HIGH,
    IMAGES,
    LEAST,
    LEAVE,
    LOW,
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
        How many totals did not fit the word, if it ``wraps``, and how many outputs were out of
        range.
    """
    cuts, starts, windows = tables[CUTS], tables[STARTS], tables[WINDOWS]
    leave = frame[LEAVE]
    strip = STRIP if leave == STRIPS else max(1, starts.size)
    framed, made, loose = scratch(tables, frame, ROWS if leave == DIRECT else strip)
    acc = aligned(loose)
    overflows, saturations = 0, 0
    size = out.size // frame[IMAGES]
    for image in range(0, frame[IMAGES], frame[GROUP]):
        source, target = enter(x[image * frame[WORDS] :], framed, frame), out[image * size :]
        here = starts[: (frame[IMAGES] - image) * frame[ROWS_OF_IMAGE]]
        for behind in range(1, len(cuts) + 1):
            column = len(cuts) - behind
            for row in range(0, here.size, strip):
                rows = here[row : row + strip]
                end, pitch = column_end(column, row, frame, made, target)
                saturations += _sum(source, rows, tables, column, frame, to, acc, end, pitch)
                if wraps:
                    overflows += _wrap(acc, rows.size, word)
                if leave == STRIPS:
                    lane = column * LANES
                    saturations += cast_rows(acc, rows.size, tables[SHIFTS], lane, to, end, pitch)
            if windows.size > 0:
                pool_rows(made, windows, target[column * LANES :], frame[OUTPUTS])
    free((framed, made, loose))
    return overflows, saturations


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
) -> int:
    """Sum each row's products of one column, segment by segment, and the bias.

    Sums that leave directly are cast tile by tile; it returns how many were out of range.
    """
    weights, offsets, cuts, _, shifts, _, bias, rule = tables
    arrays = x, starts, weights, offsets, cuts, bias, rule, acc, end
    direct, segments, lane = frame[LEAVE] == DIRECT, cuts.shape[1] - 1, column * LANES
    half = frame[USED] - lane <= HALF
    rows, cut = starts.size, column * (segments + 1)
    whole = writes_all(rows, end, pitch, HALF if half else LANES) if direct else 0
    lone = writes_all(rows, end, pitch, LANES) if direct else 0
    saturations = 0
    row, tiles = 0, rows - rows % ROWS
    while row < tiles:
        at = row, (tiles - row) // ROWS, cut, segments, lane, pitch, frame[EXTRA]
        limits = np.int64(direct), whole, to[LOW], to[HIGH], to[LEAST], frame[NEAR]
        if half:
            row += ROWS * dot_column(HALF, ROWS, arrays, at, limits)
        else:
            row += ROWS * dot_column(LANES, ROWS, arrays, at, limits)
        if row < tiles:  # a literal number of rows would be compiled for itself
            saturations += cast_rows(
                acc, np.int64(ROWS), shifts, lane, to, end[row * pitch :], pitch
            )
            row += ROWS
    while row < rows:
        at = row, rows - row, cut, segments, lane, pitch, frame[EXTRA]
        limits = np.int64(direct), lone, to[LOW], to[HIGH], to[LEAST], frame[NEAR]
        row += dot_column(LANES, 1, arrays, at, limits)
        if row < rows:
            saturations += cast_rows(acc, np.int64(1), shifts, lane, to, end[row * pitch :], pitch)
            row += 1
    return saturations


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
