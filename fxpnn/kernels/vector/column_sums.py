"""Vector code of a column, from words to words: sums that are cast in registers.

``packing`` explains columns, ``rounding`` when sums may be cast so, ``vector.sums`` lanes and
arguments. Nothing is checked here, as there.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from fxpnn.kernels.build.llvm import (
    Builder,
    Memory,
    Number,
    Variable,
    Written,
    branch,
    integer,
    loop,
    tries,
    types,
    writer,
    written,
)
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.sums import Arrays, Numbers, add_products, points_of, zero_sums


@written
def dot_column(_: Any, lanes: Any, rows: Any, arrays: Any, at: Any, to: Any) -> Written:
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
        to: ``(direct, whole, low, high, least, near)``: whether sums are to be cast, and if so,
            which rows may write, the first so many; the range, and what words are raised to; and
            whether 64-bit sums are ``rounding.near``.

    Returns:
        How many tiles are done. Tiles that are not to be cast leave their sums, 0 in lanes that
        are not summed. The first whose words are not written ends the rest: its sums stand where
        ``acc`` begins, and unless they are in range, casts are to be counted one by one.
    """

    def write(
        b: Builder, lanes_: Number, rows_: Number, arrays: Arrays, at: Numbers, to: Numbers
    ) -> Number:
        x, starts, weights, offsets, cuts, bias, rule, acc, out = arrays
        many, height, wide = lanes.literal_value, rows.literal_value, acc.bits == 64
        first, tiles, cut, segments, lane, pitch = at[:6]
        direct, whole, near = to[0].differs(0), to[1], to[5].differs(0)
        biases, ways = bias.load(lane, many), rule.load(lane * 4, 4 * LANES)
        less, more, mask, keep = (
            _repeat(ways.shuffle(range(way, way + many))) for way in range(0, 4 * LANES, LANES)
        )
        even = to[2] & -2  # the format's least value, whatever the range is
        extra, base, above = (
            number.sized(32).splat(LANES) for number in (at[6], even, (to[3] - even) ^ -1)
        )
        low, least = (number.sized(16).splat(many) for number in (to[2], to[4]))
        shift = less + extra if wide else less
        exact = biases + more.shuffle(range(many)).sized(acc.bits)
        level = biases.sized(32) + (more - (base << shift)).shuffle(range(many))

        def span(segment: Number) -> tuple[Number, Number]:
            return cuts.load(cut + segment), cuts.load(cut + segment + 1)

        def level_sums(points: list[Memory]) -> tuple[list[Number], Number]:
            """Return sums, and what is below 0 where one of them may have come round."""
            cells, seen = [Variable(level) for _ in points], Variable(level.constant(0))
            with loop(integer(b, 0), segments if wide else integer(b, 1)) as segment:
                begun = [cell.get() for cell in cells]
                sums = add_products(points, weights, offsets, span(segment), begun)
                for cell, total in zip(cells, sums, strict=True):
                    cell.set(total)
                seen.set(reduce(Number.__or__, sums, seen.get()))
            return [cell.get() for cell in cells], seen.get()

        def exact_sums(points: list[Memory]) -> tuple[list[Number], list[Number]]:
            """Return the lowest 32 bits of sums, and the sums without their ``extra`` bits."""
            begins = exact.sized(32), (exact >> at[6].splat(many)).sized(32)
            lowers, uppers = (
                [Variable(part) for part in _join([begin] * height)] for begin in begins
            )
            with loop(integer(b, 0), segments) as segment:
                nothing = zero_sums(points, lanes)
                parts = _join(add_products(points, weights, offsets, span(segment), nothing))
                for lower, upper, part in zip(lowers, uppers, parts, strict=True):
                    lower.set(lower.get() + part)
                    upper.set(upper.get() + (part >> extra))
            totals, wholes = ([cell.get() for cell in cells] for cells in (lowers, uppers))
            known = extra.constant(-1).logical_shift(extra)
            for i, total in enumerate(totals):
                wholes[i] += (total.logical_shift(extra) - wholes[i]) & known
            return totals, wholes

        def cast(totals: Sequence[Number], quotients: Sequence[Number], row: Number) -> Number:
            """Write the words of quotients that begin at the range's least; say if all are so."""
            rounded = [
                (total & mask).equals(0).choose(quotient & keep, quotient).sized(16)
                for total, quotient in zip(totals, quotients, strict=True)
            ]
            added = even.sized(16).splat(many)
            made = [words + added for words in _part(rounded, many, height)]
            for r, words in enumerate(made):
                out.store(words.max(least), (row + r) * pitch)
            beyond = (reduce(Number.__or__, quotients) & above).differs(0).count()
            return (beyond + (reduce(Number.min, made) < low).count()).equals(0)

        def leave(totals: Sequence[Number], place: Number) -> None:
            for r, total in enumerate(totals):
                acc.store(total, (place + r) * LANES)
                if many < LANES:
                    acc.store(total.constant(0), (place + r) * LANES + many)

        done = Variable(tiles)
        with tries(tiles) as (tile, end):
            row = first + tile * height
            points = points_of(x, starts, row, height)
            writes, written = row + height < whole + 1, Variable(integer(b, 0, 1))

            def cast_level(sums: list[Number], seen: Number) -> None:
                totals = _join(sums)
                fits = cast(totals, [total.logical_shift(shift) for total in totals], row)
                if wide:
                    fits &= (seen < 0).count().equals(0)
                written.set(fits)

            def cast_exact(totals: list[Number], wholes: list[Number]) -> None:
                written.set(cast(totals, [(whole >> less) - base for whole in wholes], row))

            def leave_unless_written(totals: list[Number]) -> None:
                def stop() -> None:
                    leave(totals, integer(b, 0))
                    done.set(tile)
                    end()

                def go_on_or_stop() -> None:
                    branch(direct, stop, lambda: leave(totals, row))

                branch(written.get(), lambda: None, go_on_or_stop)

            def sum_exactly() -> None:
                totals, wholes = exact_sums(points)
                branch(writes & (near ^ 1), lambda: cast_exact(totals, wholes))
                uppers = [whole >> (extra.constant(32) - extra) for whole in wholes]
                sums = _part(list(map(Number.below, totals, uppers)), many, height)
                leave_unless_written([total - (exact - biases) for total in sums])

            if wide:
                branch(writes & near, lambda: cast_level(*level_sums(points)))
                branch(written.get(), lambda: None, sum_exactly)
            else:
                sums, seen = level_sums(points)
                branch(writes, lambda: cast_level(sums, seen))
                leave_unless_written([total - (level - biases) for total in sums])
        return done.get()

    return types.int64(lanes, rows, arrays, at, to), writer(write)


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
