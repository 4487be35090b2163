"""Vector code of depthwise convolutions, from words to words: 32 lanes at once.

``layout.depthwise`` explains rows, blocks and in which order their lanes lie, ``vector.sums``
arguments. Nothing is checked here, as there.
"""

from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from fxpnn.kernels.build.llvm import (
    Builder,
    Intrinsic,
    Memory,
    Number,
    Variable,
    branch,
    integer,
    intrinsic,
    loop,
    types,
    writer,
)
from fxpnn.kernels.layout.depthwise import ORDER, WIDE
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.casts import Cast, Word
from fxpnn.kernels.vector.level_casts import LevelCast
from fxpnn.kernels.vector.sums import ROWS, Arrays, Numbers, multiply_add, points_of

HALVES = (range(LANES), range(LANES, WIDE))
"""The lanes of a block's two vectors."""
UNPACKED = [[int(lane) + tap * WIDE for lane in ORDER[half] for tap in (0, 1)] for half in HALVES]
"""Of two taps' words, one tap's behind the other's: those that meet in each vector's pairs."""
PACKED = np.argsort(ORDER).tolist()
"""Where each lane stands in ``ORDER``."""
TALL = max(1, ROWS // 2)
"""Rows of a tile: each has two vectors of sums."""

Cells: TypeAlias = list[list[Variable]]
"""The sums of each row, in two vectors."""


@intrinsic
def sum_taps(_: Any, rows: Any, arrays: Any, at: Any, to: Any) -> Intrinsic:
    """Sum the products of a block's taps and the bias, tile by tile, and cast them.

    Sums stay in registers from the bias to the words. They are *level*, as those of ``dot_column``
    are, and fit 32 bits or are ``rounding.near``: a tile in range takes the short way. Where one of
    its words is not, or if the mode has no ``rounding.rule``, the tile is cast as ``Cast`` does it,
    and counted; its sums of more than 32 bits are added up anew then, chunk by chunk.

    Args:
        rows: how many a tile has, a literal.
        arrays: ``(x, starts, weights, offsets, cuts, bias, shifts, rule, acc, out)``: int16, 32
            from each tap on may be read; int64; ``depthwise.pack``'s; ``depthwise.cuts``'s, or all
            pairs as one chunk; int64; int64, from 0 to 30; int32, a ``rounding.rule`` or zeros;
            int64, room for a tile's sums; int16.
        at: ``(row, tiles, block, chunks, pitch)``: the first row and how many tiles there are; the
            block; how many chunks of pairs; row ``r`` writes its 32 words at ``out[r * pitch]``, in
            order, so that it may overlap the next ones. Lanes that are none of the row's have
            weights and a bias of 0: their sums are in range.
        to: ``(level, near, modes)``: whether there is a rule; whether sums have more than 32 bits,
            and are ``rounding.near``, with a rule; what ``Cast`` has.

    Returns:
        How many rounded values were out of range, and how many, counted apart, were below 0.
    """

    def write(b: Builder, rows_: Number, arrays: Arrays, at: Numbers, to: Any) -> Numbers:
        row, tiles, *_ = at
        block = _Block(b, rows.literal_value, arrays, at, to)
        with loop(integer(b, 0), tiles) as tile:
            block.tile(row + tile * block.height)
        over, below = block.cast.counts()
        return over, below + block.level_cast.fallen.get()

    return types.UniTuple(types.int64, 2)(rows, arrays, at, to), writer(write)


class _Block:
    """What the code of a block is written from: vectors of 32 lanes, and its tiles' sums."""

    def __init__(self, b: Builder, height: int, arrays: Arrays, at: Numbers, to: Any) -> None:
        self.b, self.height = b, height
        x, starts, weights, self.offsets, self.cuts, bias, shifts, rule, self.acc, self.out = arrays
        _, _, block, self.chunks, self.pitch = at
        level, near, modes = to
        _, _, low, high, least, most, apart = modes
        lane = block * WIDE
        self.x, self.starts = x.at(lane), starts
        self.weights = weights.at(block * self.cuts.load(self.chunks) * (2 * WIDE))
        columns = [rule.at((lane + half.start) * 4) for half in HALVES]
        self.less, more, mask, keep = (
            columns[0].load(integer(b, way), LANES).joined(columns[1].load(integer(b, way), LANES))
            for way in range(0, 4 * LANES, LANES)
        )
        signed = low - (high + 1) * apart.sized(64)  # below 0 is in range if it is counted apart
        self.level, self.near = level.differs(0), near.differs(0)
        self.level_cast = LevelCast(mask, keep, (signed, high, least, most), apart, WIDE)
        self.cast = Cast(shifts.load(lane, WIDE), modes)
        self.lifted = more - (self.level_cast.base << self.less)
        self.bias = bias.load(lane, WIDE)
        self.first = self.bias.sized(32) + self.lifted

    def tile(self, row: Number) -> None:
        """Sum a tile's products and write its words."""
        points = points_of(self.x, self.starts, row, self.height)
        totals, seen = self.level_sums(points)
        written = Variable(integer(self.b, 0, 1))

        def put(words: Number, r: int) -> None:
            self.out.store(words, (row + r) * self.pitch)

        def part(rounded: list[Number]) -> list[Number]:
            return [_in_order(words) for words in rounded]

        def cast_level() -> None:
            quotients = [total.logical_shift(self.less) for total in totals]
            sure = (self.near ^ 1) | (seen < 0).count().equals(0)
            written.set(self.level_cast.write(totals, quotients, part, put, sure))

        def cast_each() -> None:
            branch(self.near, lambda: self.store_exact_sums(points), store_sums)
            self.cast.by_mode(cast_rows)

        def store_sums() -> None:
            for r, total in enumerate(totals):
                self.acc.store((total - self.lifted).sized(64), integer(self.b, r * WIDE))

        def cast_rows(word: Word) -> None:
            with loop(integer(self.b, 0), integer(self.b, self.height)) as r:
                words = word(self.acc.load(r * WIDE, WIDE)).shuffle(PACKED)
                self.out.store(words, (row + r) * self.pitch)

        branch(self.level, cast_level)
        branch(written.get(), lambda: None, cast_each)

    def level_sums(self, points: list[Memory]) -> tuple[list[Number], Number]:
        """Return each row's sum, and what is below 0 where one of them may have come round."""
        cells = _cells(self.first, points)
        seen = Variable(cells[0][0].get().constant(0))
        with loop(integer(self.b, 0), self.chunks) as chunk:
            self.add_products(points, cells, chunk)
            seen.set(
                reduce(Number.__or__, [half.get() for row in cells for half in row], seen.get())
            )
        return [one.get().joined(other.get()) for one, other in cells], seen.get()

    def store_exact_sums(self, points: list[Memory]) -> None:
        """Store each row's sum of 64 bits, chunk by chunk."""
        for r in range(self.height):
            self.acc.store(self.bias, integer(self.b, r * WIDE))
        with loop(integer(self.b, 0), self.chunks) as chunk:
            cells = _cells(self.first.constant(0), points)
            self.add_products(points, cells, chunk)
            for r, (one, other) in enumerate(cells):
                part, place = one.get().joined(other.get()).sized(64), integer(self.b, r * WIDE)
                self.acc.store(self.acc.load(place, WIDE) + part, place)

    def add_products(self, points: list[Memory], cells: Cells, chunk: Number) -> None:
        """Add a chunk of each row's products, two taps at a time."""
        with loop(self.cuts.load(chunk), self.cuts.load(chunk + 1)) as pair:
            taps = [self.offsets.load(pair * 2 + tap) for tap in (0, 1)]
            weights = [
                self.weights.load(pair * (2 * WIDE) + 2 * half.start, WIDE) for half in HALVES
            ]
            for point, sums in zip(points, cells, strict=True):
                words = point.load(taps[0], WIDE).joined(point.load(taps[1], WIDE))
                for total, order, lanes in zip(sums, UNPACKED, weights, strict=True):
                    total.set(total.get() + multiply_add(lanes, words.shuffle(order)))


def _cells(first: Number, points: list[Memory]) -> Cells:
    """Let each row's sums, two vectors, begin with the first."""
    return [[Variable(first.shuffle(half)) for half in HALVES] for _ in points]


def _in_order(rounded: Number) -> Number:
    """Return the low halves of 32 lanes, as words in the order of a row: as vectors are packed."""
    return rounded.halves().shuffle([2 * place for place in PACKED])
