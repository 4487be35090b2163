"""Own the loops around the vector code: layers of products, in strips that stay in cache.

A call takes a layer as plain tuples, which Numba takes for a quarter of the price of named ones:

- ``tables``: ``(weights, offsets, cuts, starts, shifts, windows, bias, rule, words, numbers)``. The
  first three are a ``Packed``, the last two an ``Octets`` if rows leave so. ``starts`` is int64
  ``(group * rows,)``: images' rows. ``shifts`` (int64, ``Fx + Fw - Fy``) and ``bias`` have a value
  per lane; sums have the type of the bias, int32 or int64. ``windows`` is int64 ``(pooled, taps)``,
  from ``packing.pool_windows``, or empty. ``rule`` is a ``rounding.rule``, or zeros.
- ``frame``: ``(images, words, outputs, leave, lines, length, pitch, origin, total, used, group,
  rows, extra, near)``. Each image has ``words`` in ``x`` and makes ``outputs`` words in each of its
  ``rows`` or pooled pixels; ``leave`` says how: ``STRIPS``, ``DIRECT``, ``OCTETS`` or, for windows
  of four, ``POOLED``. Where ``total`` is not 0, its ``lines`` of ``length`` words are first copied
  into a frame of ``total`` zeros, the first to ``origin``, the next ``pitch`` behind. ``used`` is
  how many lanes, of all columns, are an output's. A ``group`` of images is summed as one: more than
  one image only without a frame or windows. 64-bit sums have at most ``32 + extra`` bits; ``near``
  says whether they are ``rounding.near``.
- ``word``: ``(low, high)``: the limits of the accumulator.
- ``to``: ``(rounding, overflow, low, high, least)``: the cast, and its floor; 0 is a ReLU.

Nothing is checked. ``x`` has one word more than the images; ``out`` is as long as what they make.
A row may write beyond its last output into the next row, so columns go from last to first.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.arithmetic import I16, I32, I64, cast, loop, part
from fxpnn.kernels.codes import DIRECT, OCTETS, POOLED, STRIPS, Target
from fxpnn.kernels.column_sums import dot_column
from fxpnn.kernels.epilogue import largest, largest_sums, narrow
from fxpnn.kernels.headroom import extremes, room, within
from fxpnn.kernels.memory import empty, free, zeros
from fxpnn.kernels.octet_sums import dot_octets
from fxpnn.kernels.octets import OCTET, OCTET_ROWS
from fxpnn.kernels.packing import HALF, LANES
from fxpnn.kernels.vector import ROWS, dot, step

STRIP = 240
"""Rows between two casts, a multiple of every tile's: their sums fit the first-level cache."""

Sums: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Tables: TypeAlias = tuple[I16, I64, I64, I64, I64, I64, Sums, I32, I16, I32]
Steps: TypeAlias = tuple[I16, I64, I64, I16, I64, I64, int]
Rooms: TypeAlias = tuple[Sums, Sums, I64]
Frame: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int]
Word: TypeAlias = tuple[int, int]
Modes: TypeAlias = tuple[int, int, int, int, int]
Counts: TypeAlias = tuple[int, int]


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
    cuts, starts, windows = tables[2], tables[3], tables[5]
    leave = frame[3]
    strip = STRIP if leave == STRIPS else OCTET_ROWS if leave == OCTETS else max(1, starts.size)
    framed, made, loose = _scratch(tables, frame, ROWS if leave >= DIRECT else strip)
    acc = _aligned(loose)
    overflows, saturations = 0, 0
    size = out.size // frame[0]
    for image in range(0, frame[0], frame[10]):
        source, target = enter(x[image * frame[1] :], framed, frame), out[image * size :]
        here = starts[: (frame[0] - image) * frame[11]]
        for behind in range(1, len(cuts) + 1):
            column = len(cuts) - behind
            pooled, row = False, 0
            while row < here.size:
                if leave == OCTETS:
                    end, blocks = target[row * OCTET :], (here.size - row) // OCTET_ROWS
                    arrays = source[row * OCTET :], tables[8], tables[9], tables[6], end
                    row += OCTET_ROWS * dot_octets(blocks, arrays, to[2:])
                rows = here[row : row + strip]
                end, pitch = _end(column, row, frame, made, target)
                saturations += _sum(source, rows, tables, column, frame, to, acc, end, pitch)
                if wraps:
                    overflows += _wrap(acc, rows.size, word)
                if leave == POOLED:
                    pooled = _pool_sums(acc, tables, column, frame, to, target)
                if leave < DIRECT and not pooled:
                    lane = column * LANES
                    saturations += _cast(acc, rows.size, tables[4], lane, to, end, pitch)
                row += strip
            if windows.size > 0 and not pooled:
                _pool(made, windows, target[column * LANES :], frame[2])
    free((framed, made, loose))
    return overflows, saturations


@loop
def clamped(
    x: I16, out: I16, tables: Tables, steps: Steps, frame: Frame, word: Word, to: Modes
) -> Counts:
    """Run a dense layer or a convolution whose sums are clamped to the word after each product.

    A segment that provably needs no clamp, for words as the block has them and the sums that the
    rows have reached, is summed at once.

    Args:
        x: as the module has it.
        out: as the module has it.
        tables: as the module has it; the bias lies inside the word.
        steps: ``(weights, offsets, cuts, matrix, edges, kinds, features)``, a ``packing.Steps``.
        frame: as the module has it.
        word: as the module has it.
        to: as the module has it.

    Returns:
        How many adds were clamped, and how many outputs were out of range.
    """
    cuts, starts, windows = tables[2], tables[3], tables[5]
    framed, made, loose = _scratch(tables, frame, STRIP)
    acc = _aligned(loose)
    rooms = _rooms(x[: frame[0] * frame[1]], steps, word, acc)
    overflows, saturations = 0, 0
    size = out.size // frame[0]
    for image in range(0, frame[0], frame[10]):
        source, target = enter(x[image * frame[1] :], framed, frame), out[image * size :]
        here = starts[: (frame[0] - image) * frame[11]]
        for behind in range(1, len(cuts) + 1):
            column = len(cuts) - behind
            half = frame[9] - column * LANES <= HALF
            for row in range(0, here.size, STRIP):
                rows = here[row : row + STRIP]
                overflows += _clamp(source, rows, tables, steps, column, half, rooms, word, acc)
                end, pitch = _end(column, row, frame, made, target)
                saturations += _cast(acc, rows.size, tables[4], column * LANES, to, end, pitch)
            if windows.size > 0:
                _pool(made, windows, target[column * LANES :], frame[2])
    free((framed, made, loose, *rooms))
    return overflows, saturations


@part
def _scratch(tables: Tables, frame: Frame, strip: int) -> tuple[I16, I16, Sums]:
    """Allocate an image's frame, what it makes before a pool, and a strip's sums.

    Pixels that share a row are read as vectors of their own, which end behind the last row.
    """
    starts, windows, bias = tables[3], tables[5], tables[6]
    framed = zeros(frame[8], np.int16)
    made = empty((starts.size + 1) * LANES if windows.size else 0, np.int16)
    return framed, made, zeros((min(starts.size, strip) + 2) * LANES, bias.dtype)


@part
def _aligned(loose: Sums) -> Sums:
    """Begin sums on a line of the cache: vectors that lie across two take twice as long."""
    return loose[-loose.ctypes.data % 64 // loose.itemsize :]


@loop
def enter(x: I16, framed: I16, frame: Frame) -> I16:
    """Return where an image's rows read: in place, or in a copy with a frame of zeros."""
    lines, length, pitch, origin, total = frame[4:9]
    if total == 0:
        return x
    for line in range(lines):
        source, target = x[line * length :], framed[origin + line * pitch :]
        for i in range(length):
            target[i] = source[i]
    return framed


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
    weights, offsets, cuts, _, shifts, _, bias, rule = tables[:8]
    arrays = x, starts, weights, offsets, cuts, bias, rule, acc, end
    direct, segments, lane = frame[3] >= DIRECT, cuts.shape[1] - 1, column * LANES
    half = frame[9] - lane <= HALF
    rows, cut = starts.size, column * (segments + 1)
    whole = _writes_all(rows, end, pitch, HALF if half else LANES) if direct else 0
    lone = _writes_all(rows, end, pitch, LANES) if direct else 0
    saturations = 0
    row, tiles = 0, rows - rows % ROWS
    while row < tiles:
        at = row, (tiles - row) // ROWS, cut, segments, lane, pitch, frame[12]
        limits = np.int64(direct), whole, to[2], to[3], to[4], frame[13]
        if half:
            row += ROWS * dot_column(HALF, ROWS, arrays, at, limits)
        else:
            row += ROWS * dot_column(LANES, ROWS, arrays, at, limits)
        if row < tiles:  # a literal number of rows would be compiled for itself
            saturations += _cast(acc, np.int64(ROWS), shifts, lane, to, end[row * pitch :], pitch)
            row += ROWS
    while row < rows:
        at = row, rows - row, cut, segments, lane, pitch, frame[12]
        limits = np.int64(direct), lone, to[2], to[3], to[4], frame[13]
        row += dot_column(LANES, 1, arrays, at, limits)
        if row < rows:
            saturations += _cast(acc, np.int64(1), shifts, lane, to, end[row * pitch :], pitch)
            row += 1
    return saturations


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
    weights, offsets, cuts, bias = tables[0], tables[1], tables[2], tables[6]
    fine_weights, fine_offsets, fine_cuts = steps[:3]
    floor, ceiling, blocked = rooms
    pairs = x, starts, weights, offsets, acc
    products = x, starts, fine_weights, fine_offsets, acc
    bounds = acc, floor, ceiling
    segments = cuts.shape[1] - 1
    for row in range(starts.size):
        for lane in range(LANES):
            acc[row * LANES + lane] = bias[column * LANES + lane]
    overflows = 0
    row = 0
    while row < starts.size:
        tile, segment = ROWS if starts.size - row >= ROWS else 1, 0
        while segment < segments:
            here = column * segments + segment
            ahead = max(1, blocked[here])
            limits = row, here * LANES
            first, last = cuts[column, segment], cuts[column, segment + 1]
            at = row, first, last
            first, last = fine_cuts[column, segment], fine_cuts[column, segment + ahead]
            roomy = blocked[here] == 0
            if tile == 1:
                if roomy and within(1, bounds, limits):
                    dot(LANES, 1, pairs, at)
                else:
                    overflows += step(LANES, 1, products, (row, first, last), word)
            elif roomy and within(ROWS, bounds, limits):
                if half:
                    dot(HALF, ROWS, pairs, at)
                else:
                    dot(LANES, ROWS, pairs, at)
            elif half:
                overflows += step(HALF, ROWS, products, (row, first, last), word)
            else:
                overflows += step(LANES, ROWS, products, (row, first, last), word)
            segment += ahead
        row += tile
    return overflows


@loop
def _rooms(x: I16, steps: Steps, word: Word, acc: Sums) -> Rooms:
    """Return the floor and ceiling between which sums need no clamp in each segment.

    Returns:
        Floor and ceiling, of the sums' type, 16 for each column's segment; and how many segments
        from each on have a lane without room, int64.
    """
    matrix, edges, kinds, features = steps[3:]
    segments, lanes = edges.size - 1, matrix.shape[1]
    smallest, largest = _extremes(x, kinds, features)
    floor, ceiling = empty(lanes * segments, acc.dtype), empty(lanes * segments, acc.dtype)
    arrays = matrix, smallest, largest, floor, ceiling
    blocked = zeros(lanes // LANES * segments + 1, np.int64)
    for behind in range(1, blocked.size):
        here = blocked.size - 1 - behind
        column, segment = here // segments, here % segments
        span = edges[segment], edges[segment + 1]
        if room(span, arrays, (column * LANES, lanes, here * LANES), word):
            blocked[here] = 1 + blocked[here + 1] * (segment + 1 < segments)
    free((smallest, largest))
    return floor, ceiling, blocked


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


@part
def _end(column: int, row: int, frame: Frame, made: I16, target: I16) -> tuple[I16, int]:
    """Return where a column's words go from a row on, to the output or to a pool, and how apart."""
    if made.size > 0:
        return made[row * LANES :], LANES
    return target[row * frame[2] + column * LANES :], frame[2]


@loop
def _cast(acc: Sums, rows: int, shifts: I64, first: int, to: Modes, out: I16, pitch: int) -> int:
    """Cast rows of sums, ``pitch`` apart in ``out``; return how many were out of range."""
    whole = _writes_all(rows, out, pitch, LANES)
    for lane in range(LANES):
        if not 0 <= shifts[first + lane] <= 8 * acc.itemsize - 2:
            whole = 0
    saturations = narrow(whole, (acc, shifts, out), (first, pitch), to)
    target = Target(to[0], to[1], to[2], to[3])
    for row in range(whole, rows):
        for lane in range(min(LANES, out.size - row * pitch)):
            total = np.int64(acc[row * LANES + lane])
            raw, over = cast(total, shifts[first + lane], target)
            out[row * pitch + lane] = max(raw, to[4])
            saturations += over
    return saturations


@loop
def _pool(made: I16, windows: I64, out: I16, pitch: int) -> None:
    """Keep the largest of each window's words, lane by lane."""
    pixels, taps = windows.shape
    whole = _writes_all(pixels, out, pitch, LANES)
    largest(whole, (made, windows, out), (taps, pitch))
    for pixel in range(whole, pixels):
        for lane in range(min(LANES, out.size - pixel * pitch)):
            best = made[windows[pixel, 0] + lane]
            for tap in range(1, taps):
                best = max(best, made[windows[pixel, tap] + lane])
            out[pixel * pitch + lane] = best


@part
def _pool_sums(
    acc: Sums, tables: Tables, column: int, frame: Frame, to: Modes, target: I16
) -> bool:
    """Pool an image's sums and cast the largest; say whether all were in range.

    If not, each is to be cast and counted before the pool.
    """
    out, shifts, windows = target[column * LANES :], tables[4], tables[5]
    whole = _writes_all(len(windows), out, frame[2], LANES)
    at = column * LANES, frame[2], min(LANES, frame[2] - column * LANES)
    beyond = largest_sums(whole, (acc, windows, shifts, out), at, to)
    cast_to = Target(to[0], to[1], to[2], to[3])
    for pixel in range(whole, len(windows)):
        for lane in range(min(LANES, out.size - pixel * frame[2])):
            best = np.int64(acc[windows[pixel, 0] + lane])
            for tap in range(4):
                total = np.int64(acc[windows[pixel, tap] + lane])
                beyond += cast(total, shifts[column * LANES + lane], cast_to)[1]
                best = max(best, total)
            raw, _ = cast(best, shifts[column * LANES + lane], cast_to)
            out[pixel * frame[2] + lane] = max(raw, to[4])
    return beyond == 0


@loop
def _writes_all(rows: int, out: I16, pitch: int, lanes: int) -> int:
    """Count the rows, ``pitch`` apart in ``out``, that may write so many lanes."""
    return min(rows, max(0, (out.size - lanes) // pitch + 1))
