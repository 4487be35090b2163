"""Vector code of a column, from words to words: sums that are cast in registers.

``packing`` explains columns, ``rounding`` when sums may be cast so, ``vector.sums`` lanes and
arguments. Nothing is checked here, as there.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from fxpnn.kernels.build.llvm import (
    Builder,
    Intrinsic,
    Memory,
    Number,
    Variable,
    branch,
    breakable_loop,
    integer,
    intrinsic,
    loop,
    types,
    writer,
)
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.level_casts import LevelCast
from fxpnn.kernels.vector.sums import Arrays, Numbers, add_products, points_of, zero_sums


@intrinsic
def dot_column(_: Any, lanes: Any, rows: Any, arrays: Any, at: Any, to: Any) -> Intrinsic:
    """Sum the products of a column's pairs and the bias, tile by tile; cast what is in range.

    Sums stay in registers from the first segment to the words, where there are enough of them. A
    sum is rounded by the four numbers of its lane's rule. Less the format's least value, a quotient
    that the format has is without a bit above the format's width, and any other has one; a range
    that is symmetric lacks the least value. A tile is judged as one, and where quotients are out of
    range, little is lost.

    Sums of 32 bits are *level*: they begin with what makes them 0 at the format's least value, and
    are kept modulo ``2**32``. So are those of more bits that are ``rounding.near``: in range, they
    are below ``2**31``, and if they are so after each segment, none has come round, since a segment
    adds less than it takes to come round unseen. Where they are not, the tile is summed anew.

    Any other sum is two numbers of 32 bits: its lowest 32, and what its parts, one of each segment,
    add up to without their lowest ``extra`` bits. The sum without these is that and what the parts'
    bits carry, which the lowest 32 bits tell.

    Args:
        lanes: how many are summed, a literal: 16, or the first 8.
        rows: how many a tile has, a literal.
        arrays: ``(x, starts, weights, offsets, cuts, bias, rule, acc, out)``: the first four and
            ``acc`` as ``dot`` has them; int64; ``bias`` of the sums' type; int32, a
            ``rounding.rule``; int16.
        at: ``(row, tiles, cut, segments, lane, pitch, extra)``: the first row and how many tiles
            there are; where the column's cuts begin, and how many segments they make, one where
            sums are int32; where the 16 biases lie; row ``r`` writes its words at
            ``out[r * pitch]``, in order; 64-bit sums have at most ``32 + extra`` bits, ``extra``
            from 1 to 31, and ``2**(32 - extra)`` parts, the bias one of them.
        to: ``(direct, whole, (low, high, least, most), near, apart)``: whether sums are to be cast,
            and if so, which rows may write, the first so many; the range, and what words are raised
            and lowered to; whether 64-bit sums are ``rounding.near``; and whether words below 0 are
            counted.

    Returns:
        How many tiles are done, and how many words below 0 were counted in them. Tiles that are not
        to be cast leave their sums, 0 in lanes that are not summed. The first whose words are not
        written ends the rest: its sums stand where ``acc`` begins, and unless they are in range,
        casts are to be counted one by one.
    """

    def write(
        b: Builder, lanes_: Number, rows_: Number, arrays: Arrays, at: Numbers, to: Any
    ) -> Numbers:
        column = _Column(b, lanes, rows, arrays, at, to)
        done = Variable(column.tiles)
        with breakable_loop(column.tiles) as (tile, end):
            column.tile(tile, done, end)
        return done.get(), column.cast.fallen.get()

    return types.UniTuple(types.int64, 2)(lanes, rows, arrays, at, to), writer(write)


class _Column:
    """What the code of a column is written from: vectors that stay in registers, and their sums."""

    def __init__(
        self, b: Builder, lanes: Any, rows: Any, arrays: Arrays, at: Numbers, to: Any
    ) -> None:
        self.b, self.lanes = b, lanes
        self.first, self.tiles, self.cut, self.segments, self.lane, self.pitch, extra = at
        direct, self.whole, span, near, apart = to
        (
            self.x,
            self.starts,
            self.weights,
            self.offsets,
            self.cuts,
            self.bias,
            self.rule,
            self.acc,
            self.out,
        ) = arrays
        self.many, self.height, self.wide = (
            lanes.literal_value,
            rows.literal_value,
            self.acc.bits == 64,
        )
        self.extra_bits = extra
        self.direct, self.near = direct.differs(0), near.differs(0)
        self.biases, ways = (
            self.bias.load(self.lane, self.many),
            self.rule.load(self.lane * 4, 4 * LANES),
        )
        self.less, self.more, mask, keep = (
            _repeat(ways.shuffle(range(way, way + self.many))) for way in range(0, 4 * LANES, LANES)
        )
        self.cast = LevelCast(mask, keep, span, apart, self.many)
        self.base, self.extra = self.cast.base, extra.sized(32).splat(LANES)
        self.shift = self.less + self.extra if self.wide else self.less
        self.exact = self.biases + self.more.shuffle(range(self.many)).sized(self.acc.bits)
        self.level = self.biases.sized(32) + (self.more - (self.base << self.shift)).shuffle(
            range(self.many)
        )

    def span(self, segment: Number) -> tuple[Number, Number]:
        """Return a segment's first pair and the one behind its last."""
        return self.cuts.load(self.cut + segment), self.cuts.load(self.cut + segment + 1)

    def level_sums(self, points: list[Memory]) -> tuple[list[Number], Number]:
        """Return sums, and what is below 0 where one of them may have come round."""
        cells, seen = [Variable(self.level) for _ in points], Variable(self.level.constant(0))
        with loop(
            integer(self.b, 0), self.segments if self.wide else integer(self.b, 1)
        ) as segment:
            begun = [cell.get() for cell in cells]
            sums = add_products(points, self.weights, self.offsets, self.span(segment), begun)
            for cell, total in zip(cells, sums, strict=True):
                cell.set(total)
            seen.set(reduce(Number.__or__, sums, seen.get()))
        return [cell.get() for cell in cells], seen.get()

    def exact_sums(self, points: list[Memory]) -> tuple[list[Number], list[Number]]:
        """Return the lowest 32 bits of sums, and the sums without their ``extra`` bits."""
        begins = self.exact.sized(32), (self.exact >> self.extra_bits.splat(self.many)).sized(32)
        lowers, uppers = (
            [Variable(part) for part in _join([begin] * self.height)] for begin in begins
        )
        with loop(integer(self.b, 0), self.segments) as segment:
            nothing = zero_sums(points, self.lanes)
            parts = _join(
                add_products(points, self.weights, self.offsets, self.span(segment), nothing)
            )
            for lower, upper, part in zip(lowers, uppers, parts, strict=True):
                lower.set(lower.get() + part)
                upper.set(upper.get() + (part >> self.extra))
        totals, wholes = ([cell.get() for cell in cells] for cells in (lowers, uppers))
        known = self.extra.constant(-1).logical_shift(self.extra)
        for i, total in enumerate(totals):
            wholes[i] += (total.logical_shift(self.extra) - wholes[i]) & known
        return totals, wholes

    def write(
        self, totals: Sequence[Number], quotients: Sequence[Number], row: Number, sure: Number
    ) -> Number:
        """Write the words of a tile from a row on; say if all are in range."""

        def part(rounded: list[Number]) -> list[Number]:
            return _part([words.sized(16) for words in rounded], self.many, self.height)

        def put(words: Number, r: int) -> None:
            self.out.store(words, (row + r) * self.pitch)

        return self.cast.write(totals, quotients, part, put, sure)

    def store_sums(self, totals: Sequence[Number], place: Number) -> None:
        """Store sums that are not cast, 0 in lanes that are not summed."""
        for r, total in enumerate(totals):
            self.acc.store(total, (place + r) * LANES)
            if self.many < LANES:
                self.acc.store(total.constant(0), (place + r) * LANES + self.many)

    def tile(self, tile: Number, done: Variable, end: Callable[[], None]) -> None:
        """Sum a tile; write its words or store its sums; break the loop where words do not fit."""
        row = self.first + tile * self.height
        points = points_of(self.x, self.starts, row, self.height)
        writes, written = row + self.height < self.whole + 1, Variable(integer(self.b, 0, 1))

        def cast_level(sums: list[Number], seen: Number) -> None:
            totals = _join(sums)
            sure = (seen < 0).count().equals(0) if self.wide else integer(self.b, 1, 1)
            quotients = [total.logical_shift(self.shift) for total in totals]
            written.set(self.write(totals, quotients, row, sure))

        def cast_exact(totals: list[Number], wholes: list[Number]) -> None:
            quotients = [(whole >> self.less) - self.base for whole in wholes]
            written.set(self.write(totals, quotients, row, integer(self.b, 1, 1)))

        def store_unless_written(totals: list[Number]) -> None:
            def stop() -> None:
                self.store_sums(totals, integer(self.b, 0))
                done.set(tile)
                end()

            def go_on_or_stop() -> None:
                branch(self.direct, stop, lambda: self.store_sums(totals, row))

            branch(written.get(), lambda: None, go_on_or_stop)

        def sum_exactly() -> None:
            totals, wholes = self.exact_sums(points)
            branch(writes & (self.near ^ 1), lambda: cast_exact(totals, wholes))
            uppers = [whole >> (self.extra.constant(32) - self.extra) for whole in wholes]
            sums = _part(list(map(Number.below, totals, uppers)), self.many, self.height)
            store_unless_written([total - (self.exact - self.biases) for total in sums])

        if self.wide:
            branch(writes & self.near, lambda: cast_level(*self.level_sums(points)))
            branch(written.get(), lambda: None, sum_exactly)
        else:
            sums, seen = self.level_sums(points)
            branch(writes, lambda: cast_level(sums, seen))
            store_unless_written([total - (self.level - self.biases) for total in sums])


def _repeat(vector: Number) -> Number:
    """Fill a vector with one or, of half the lanes, two."""
    return vector if vector.lanes == LANES else vector.joined(vector)


def _join(vectors: Sequence[Number]) -> list[Number]:
    """Join half vectors two by two, an odd one with the first; they are rounded and cast so."""
    if vectors[0].lanes == LANES:
        return list(vectors)
    filled = [*vectors, *vectors[: len(vectors) % 2]]
    return list(map(Number.joined, filled[::2], filled[1::2]))


def _part(vectors: Sequence[Number], lanes: int, rows: int) -> list[Number]:
    """Undo ``_join``."""
    parts = [range(first, first + lanes) for first in range(0, LANES, lanes)]
    return [vector.shuffle(part) for vector in vectors for part in parts][:rows]
