"""Loops around sums that are clamped after each product, where they may have to be.

``row_blocks`` explains how a call takes a layer. Nothing is checked here either.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.build.memory import empty, free, zeros
from fxpnn.kernels.layout.packing import HALF, LANES
from fxpnn.kernels.row_blocks import (
    BIAS,
    CUTS,
    GROUP,
    IMAGES,
    OFFSETS,
    OUTPUTS,
    ROWS_OF_IMAGE,
    SHIFTS,
    STARTS,
    STRIP,
    USED,
    WEIGHTS,
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
)
from fxpnn.kernels.vector.clamp_bounds import extremes, room, within
from fxpnn.kernels.vector.sums import ROWS, dot, step

Steps: TypeAlias = tuple[I16, I64, I64, I16, I64, I64, int]
Rooms: TypeAlias = tuple[Sums, Sums, I64]


@loop
def clamped(
    x: I16, out: I16, tables: Tables, steps: Steps, frame: Frame, word: Word, to: Modes
) -> Counts:
    """Run a dense layer or a convolution whose sums are clamped to the word after each product.

    A segment that provably needs no clamp, for words as the block has them and the sums that the
    rows have reached, is summed at once; so are all segments together, if they need none.

    Args:
        x: as ``row_blocks`` has it.
        out: as ``row_blocks`` has it.
        tables: as ``row_blocks`` has it; the bias lies inside the word.
        steps: ``(weights, offsets, cuts, matrix, edges, kinds, features)``, a ``packing.Steps``.
        frame: as ``row_blocks`` has it.
        word: as ``row_blocks`` has it.
        to: as ``row_blocks`` has it.

    Returns:
        How many adds were clamped, how many outputs were out of range, and how many, counted apart,
        were below 0.
    """
    cuts, starts, windows = tables[CUTS], tables[STARTS], tables[WINDOWS]
    framed, made, loose = scratch(x, tables, frame, STRIP)
    acc = aligned(loose)
    rooms = _rooms(x[: frame[IMAGES] * frame[WORDS]], steps, word, acc)
    overflows, saturations, fallen = 0, 0, 0
    size = out.size // frame[IMAGES]
    for image in range(0, frame[IMAGES], frame[GROUP]):
        source, target = enter(x[image * frame[WORDS] :], framed, frame), out[image * size :]
        here = starts[: (frame[IMAGES] - image) * frame[ROWS_OF_IMAGE]]
        for behind in range(1, len(cuts) + 1):
            column = len(cuts) - behind
            half = frame[USED] - column * LANES <= HALF
            for row in range(0, here.size, STRIP):
                rows = here[row : row + STRIP]
                overflows += _clamp(source, rows, tables, steps, column, half, rooms, word, acc)
                end, pitch = column_end(column, row, frame, made, target)
                shifts, lane = tables[SHIFTS], column * LANES
                over, below = cast_rows(acc, rows.size, shifts, lane, to, end, pitch)
                saturations, fallen = saturations + over, fallen + below
            if windows.size > 0:
                pool_rows(made, windows, target[column * LANES :], frame[OUTPUTS])
    free((framed, made, loose, *rooms))
    return overflows, saturations, fallen


@loop
def _clamp(
    x: I16,
    starts: I64,
    tables: Tables,
    steps: Steps,
    column: int,
    half: bool,
    rooms: Rooms,
    word: Word,
    acc: Sums,
) -> int:
    """Sum each row's products of one column, with a clamp after each where it may be needed."""
    weights, offsets, cuts, bias = tables[WEIGHTS], tables[OFFSETS], tables[CUTS], tables[BIAS]
    fine_weights, fine_offsets, fine_cuts = steps[:3]
    floor, ceiling, blocked = rooms
    pairs = x, starts, weights, offsets, acc
    products = x, starts, fine_weights, fine_offsets, acc
    bounds = acc, floor, ceiling
    segments = cuts.shape[1] - 1
    for row in range(starts.size):
        for lane in range(LANES):
            acc[row * LANES + lane] = bias[column * LANES + lane]
    overflows, row = 0, 0
    rooms_at = column * (segments + 1)
    while row < starts.size:
        tile, segment = ROWS if starts.size - row >= ROWS else 1, 0
        at_once = blocked[rooms_at + segments] == 0  # if all sums have room for all segments
        while segment < segments:
            here = rooms_at + (segments if at_once else segment)
            ahead = segments if at_once else max(1, blocked[here])
            limits, roomy = (row, here * LANES), blocked[here] == 0
            if tile == 1:
                roomy = roomy and within(1, bounds, limits)
            else:
                roomy = roomy and within(ROWS, bounds, limits)
            if at_once and not roomy:
                at_once = False
                continue
            if roomy:
                at = row, cuts[column, segment], cuts[column, segment + ahead]
                if tile == 1:
                    dot(LANES, 1, pairs, at)
                elif half:
                    dot(HALF, ROWS, pairs, at)
                else:
                    dot(LANES, ROWS, pairs, at)
            else:
                at = row, fine_cuts[column, segment], fine_cuts[column, segment + ahead]
                if tile == 1:
                    overflows += step(LANES, 1, products, at, word)
                elif half:
                    overflows += step(HALF, ROWS, products, at, word)
                else:
                    overflows += step(LANES, ROWS, products, at, word)
            segment += ahead
        row += tile
    return overflows


@loop
def _rooms(x: I16, steps: Steps, word: Word, acc: Sums) -> Rooms:
    """Return the floor and ceiling between which sums need no clamp in each segment, and in all.

    Returns:
        Floor and ceiling, of the sums' type, 16 for each column's segment, and for all its segments
        together behind them; and how many segments from each on have a lane without room, int64.
    """
    matrix, edges, kinds, features = steps[3:]
    segments, lanes = edges.size - 1, matrix.shape[1]
    smallest, largest = _extremes(x, kinds, features)
    size = lanes * (segments + 1)
    floor, ceiling = empty(size, acc.dtype), empty(size, acc.dtype)
    arrays = matrix, smallest, largest, floor, ceiling
    blocked = zeros(size // LANES, np.int64)
    for column in range(lanes // LANES):
        first, ahead, some = column * (segments + 1), 0, False
        for behind in range(1, segments + 1):
            segment = segments - behind
            span, here = (edges[segment], edges[segment + 1]), first + segment
            full = room(span, arrays, (column * LANES, lanes, here * LANES), word) > 0
            ahead, some = ahead * full + full, some or full
            blocked[here] = ahead
        blocked[first + segments] = some or not _join(floor, ceiling, first, segments, word)
    free((smallest, largest))
    return floor, ceiling, blocked


@loop
def _join(floor: Sums, ceiling: Sums, first: int, segments: int, word: Word) -> bool:
    """Find the room for all of a column's segments; say whether there is some in all lanes."""
    low, high = word
    roomy = True
    for lane in range(LANES):
        fall, rise = 0, 0
        for segment in range(segments):
            here = (first + segment) * LANES + lane
            fall, rise = fall + floor[here] - low, rise + high - ceiling[here]
        roomy = roomy and fall + rise <= high - low and max(fall, rise) < 2**31
        here = (first + segments) * LANES + lane
        floor[here], ceiling[here] = min(low + fall, high), max(high - rise, low)
    return roomy


@loop
def _extremes(x: I16, kinds: I64, features: int) -> tuple[I16, I16]:
    """Return the smallest and largest word, or 0, that the block has for each k's feature."""
    width = features * (1 + 63 // features)  # a vector's worth at least
    low, high = zeros(width, np.int16), zeros(width, np.int16)
    rows = x.size // width
    for first in range(0, width, 2 * LANES):  # the last may look once more at what was seen
        extremes((x, low, high), (min(first, width - 2 * LANES), width, rows))
    rest = x[rows * width :]
    for i in range(rest.size):
        low[i] = min(low[i], rest[i])
        high[i] = max(high[i], rest[i])
    smallest, largest = zeros(kinds.size, np.int16), zeros(kinds.size, np.int16)
    for k in range(kinds.size):
        for i in range(kinds[k], width, features):
            smallest[k] = min(smallest[k], low[i])
            largest[k] = max(largest[k], high[i])
    free((low, high))
    return smallest, largest
