"""Own the vector code of sums: 16-bit products, added up for sixteen outputs at once.

A vector has 16 lanes on every machine: one register of AVX-512, two of AVX2, four of SSE2 or NEON.
``packing`` explains rows, columns and pairs, ``llvm`` the operators. Nothing is checked here:
arrays are C-contiguous and every index lies inside them. Arrays come in tuples of their own, which
loops can build outside. What follows the sums is in ``epilogue``.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeAlias

from numba import types

from fxpnn.kernels.llvm import (
    Builder,
    Memory,
    Number,
    Variable,
    Written,
    branch,
    integer,
    loop,
    machine,
    tries,
    writer,
    written,
)
from fxpnn.kernels.packing import LANES

PARTIAL_SUMS = 4
"""Independent sums of a lone row: as many as the cycles that a multiply-add takes."""

Numbers: TypeAlias = tuple[Number, ...]
Arrays: TypeAlias = tuple[Memory, ...]
Sum: TypeAlias = tuple[Number, Number]
"""The lowest 32 bits of sums, and those above; the same twice where there are no others."""


def rows_per_tile() -> int:
    """Return how many rows' sums fit the registers of the machine that Numba compiles for."""
    name, features = machine()
    if "+avx512f" in features:
        return 8
    if features:
        return 5 if "+avx2" in features or "+neon" in features else 2
    return 2 if name in ("generic", "x86-64") else 5


ROWS = rows_per_tile()


@written
def dot(_: Any, lanes: Any, rows: Any, arrays: Any, at: Any) -> Written:
    """Add the products of a range of pairs to the sums of a tile of rows.

    Products are summed modulo ``2**32``: exact where the final sum fits, whatever happens on the
    way (two products of -32768 by -32768 make ``2**31``). Sums that are int32 may do so with what
    they begin with, to sums that are int64 the products' sum is added.

    Args:
        lanes: how many are summed, a literal: 16, or the first 8.
        rows: how many, a literal.
        arrays: ``(x, starts, weights, offsets, acc)``: int16, int64, int16, int64, and int32 or
            int64: row ``r`` has the 16 sums at ``acc[16 * (row + r)]``.
        at: ``(row, first, last)``: the first row; the first pair and the one behind the last.
    """

    def write(b: Builder, lanes_: Number, rows_: Number, arrays: Arrays, at: Numbers) -> None:
        x, starts, weights, offsets, acc = arrays
        row, first, last = at
        points = _points(x, starts, row, rows.literal_value)
        places = [(row + r) * LANES for r in range(len(points))]
        sums = [acc.load(place, lanes.literal_value) for place in places]
        if acc.bits == 32:
            sums = _dot(points, weights, offsets, (first, last), sums)
        else:
            more = _dot(points, weights, offsets, (first, last), _nothing(points, lanes))
            sums = [total + part.sized(64) for total, part in zip(sums, more, strict=True)]
        for total, place in zip(sums, places, strict=True):
            acc.store(total, place)

    return types.void(lanes, rows, arrays, at), writer(write)


@written
def dot_column(_: Any, lanes: Any, rows: Any, arrays: Any, at: Any, to: Any) -> Written:
    """Sum the products of a column's pairs and the bias, tile by tile; cast what is in range.

    Sums stay in registers from the first segment to the words, where there are enough of them. A
    sum is rounded by the four numbers of its lane's rule, and the smallest and the largest word of
    a tile tell whether all are in range; where they are not, little is lost.

    A sum of more than 32 bits is two numbers of 32: its lowest 32 bits, and what its parts, one of
    each segment, add up to without their lowest ``extra`` bits. The sum without these is that and
    what the parts' bits carry, which the lowest 32 bits tell.

    Args:
        lanes: how many are summed, a literal: 16, or the first 8.
        rows: how many a tile has, a literal.
        arrays: ``(x, starts, weights, offsets, cuts, bias, rule, acc, out)``: the first four and
            ``acc`` as ``dot`` has them; int64; ``bias`` of the sums' type; int32, a
            ``packing.rounding_rule``; int16.
        at: ``(row, tiles, cut, segments, lane, pitch, extra)``: the first row and how many tiles
            there are; where the column's cuts begin, and how many segments they make; where the 16
            biases lie; row ``r`` writes its words at ``out[r * pitch]``, in order; 64-bit sums have
            at most ``32 + extra`` bits, ``extra`` from 1 to 31, and ``2**(32 - extra)`` parts, the
            bias one of them.
        to: ``(direct, whole, low, high, least, near)``: whether sums are to be cast, and if so,
            which rows may write, the first so many; the range, and what words are raised to; and
            whether a sum whose word is in range always is ``packing.near``.

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
        direct, whole = to[0].differs(0), to[1]
        together = LANES // many  # half vectors are rounded and cast two by two

        def joined(numbers: Sequence[Number]) -> list[Number]:
            filled = [*numbers, *numbers[: -len(numbers) % together]]
            groups = (filled[i : i + together] for i in range(0, len(filled), together))
            return [reduce(Number.joined, group) for group in groups]

        ways = [rule.load(lane * 4 + i * LANES, many) for i in range(4)]
        begin = bias.load(lane, many) + ways[1].sized(acc.bits)
        shift, more, mask, keep = (joined([way] * together)[0] for way in ways)
        low, high = (limit.sized(32).splat(LANES) for limit in to[2:4])
        least, extra = to[4].sized(16).splat(LANES), at[6].sized(32).splat(LANES)
        middle = to[5].differs(0).choose(integer(b, 2**31), integer(b, 0)).sized(32).splat(LANES)
        middle = middle.logical_shift(extra)

        def summed(points: list[Memory]) -> list[Sum]:
            if not wide:
                span = cuts.load(cut), cuts.load(cut + segments)
                sums = _dot(points, weights, offsets, span, [begin] * len(points))
                return [(total, total) for total in joined(sums)]
            above = (begin >> at[6].splat(many)).sized(32) + middle.shuffle(range(many))
            lowers, uppers = (
                [Variable(one) for one in joined([part] * len(points))]
                for part in (begin.sized(32), above)
            )
            with loop(integer(b, 0), segments) as segment:
                span = cuts.load(cut + segment), cuts.load(cut + segment + 1)
                parts = joined(_dot(points, weights, offsets, span, _nothing(points, lanes)))
                for lower, upper, part in zip(lowers, uppers, parts, strict=True):
                    lower.set(lower.get() + part)
                    upper.set(upper.get() + (part >> extra))
            return [(lower.get(), upper.get()) for lower, upper in zip(lowers, uppers, strict=True)]

        def without_extra(lower: Number, upper: Number) -> Number:
            if not wide:
                return lower
            mask = extra.constant(-1).logical_shift(extra)
            return upper + ((lower.logical_shift(extra) - upper) & mask)

        def rows_of(vector: Number) -> list[Number]:
            return [vector.shuffle(range(i * many, (i + 1) * many)) for i in range(together)]

        def cast(sums: Sequence[Sum], row: Number, near: bool) -> Number:
            lowest, highest, target, seen = high, low, row * pitch, low.constant(0)
            for i, (lower, upper) in enumerate(sums):
                if near:
                    quotient, seen = lower >> (shift + extra), seen | upper
                else:
                    quotient = without_extra(lower, upper) >> shift
                tie = (lower & mask).equals(0)
                rounded = tie.choose(quotient & keep, quotient)
                lowest, highest = lowest.min(rounded), highest.max(rounded)
                for words in rows_of(rounded.sized(16).max(least))[: height - i * together]:
                    out.store(words, target)
                    target = target + pitch
            beyond = (lowest < low) | (highest > high)
            if near:
                beyond |= seen.logical_shift(extra.constant(32) - extra).differs(0)
            return beyond.count().equals(0)

        def leave(sums: Sequence[Sum], place: Number) -> None:
            totals = list[Number]()
            for lower, upper in sums:
                total = lower
                if wide:
                    above = without_extra(lower, upper - middle) >> (extra.constant(32) - extra)
                    total = lower.below(above)
                totals += rows_of(total - more.sized(acc.bits))
            for r, total in enumerate(totals[:height]):
                acc.store(total, (place + r) * LANES)
                if many < LANES:
                    acc.store(total.constant(0), (place + r) * LANES + many)

        done = Variable(tiles)
        with tries(tiles) as (tile, end):
            row = first + tile * height
            sums = summed(_points(x, starts, row, height))
            written = Variable(integer(b, 0, 1))

            def way(near: bool) -> Callable[[], None]:
                return lambda: written.set(cast(sums, row, near))

            def cast_all() -> None:
                if wide:
                    branch(to[5].differs(0), way(True), way(False))
                else:
                    way(False)()

            branch(row + height < whole + 1, cast_all)

            def rest() -> None:
                def stop() -> None:
                    leave(sums, integer(b, 0))
                    done.set(tile)
                    end()

                branch(direct, stop, lambda: leave(sums, row))

            branch(written.get(), lambda: None, rest)
        return done.get()

    return types.int64(lanes, rows, arrays, at, to), writer(write)


@written
def step(_: Any, lanes: Any, rows: Any, arrays: Any, at: Any, word: Any) -> Written:
    """Add products one by one, clamp after each, and count the adds that were clamped.

    The second weight of each pair is 0: a pair is one product. Sums are int32 for a word of 8 to 32
    bits, int64 for one of 33 to 62. Before its clamp a sum is exact: a word of up to 31 bits and
    one product of ``2**30`` fit 32, and for a word of 32 the sums tell which of them wrapped.

    Args:
        lanes: as ``dot`` has it.
        rows: how many, a literal.
        arrays: ``(x, starts, weights, offsets, acc)``, as ``dot`` has them.
        at: ``(row, first, last)``, as ``dot`` has it; sums begin and end in ``acc``, in the word.
        word: ``(low, high)``, the limits of two's complement.

    Returns:
        How many adds were clamped, in all rows and lanes.
    """

    def write(
        b: Builder, lanes_: Number, _: Number, arrays: Arrays, at: Numbers, word: Numbers
    ) -> Number:
        many = lanes.literal_value
        x, starts, weights, offsets, acc = arrays
        row, first, last = at
        low, high = (limit.sized(acc.bits).splat(many) for limit in word)
        points = _points(x, starts, row, rows.literal_value)
        places = [(row + r) * LANES for r in range(len(points))]
        counted = Variable(integer(b, 0))

        def clamp(total: Number, product: Number) -> Number:
            exact = total + product.sized(acc.bits)
            kept = exact.max(low).min(high)
            counted.set(counted.get() + kept.differs(exact).count())
            return kept

        def saturate(total: Number, product: Number) -> Number:
            # Only a sum 2**30 or more from 0 can wrap, and such a one loses its sign only then.
            added = total + product
            wrapped = ((added ^ total) & (total + 2**30)) < 0
            counted.set(counted.get() + wrapped.count())
            return wrapped.choose(total.logical_shift(31) + (2**31 - 1), added)

        def run(update: Callable[[Number, Number], Number]) -> None:
            sums = [acc.load(place, many) for place in places]
            sums = _add_pairs(points, weights, offsets, (first, last), sums, update)
            for total, place in zip(sums, places, strict=True):
                acc.store(total, place)

        if acc.bits == 64:
            run(clamp)
        else:
            branch(word[0].equals(-(2**31)), lambda: run(saturate), lambda: run(clamp))
        return counted.get()

    return types.int64(lanes, rows, arrays, at, word), writer(write)


def _points(x: Memory, starts: Memory, row: Number, rows: int) -> list[Memory]:
    """Return where each row of a tile begins."""
    return [x.at(starts.load(row + r)) for r in range(rows)]


def _nothing(points: Sequence[Memory], lanes: Any) -> list[Number]:
    return [integer(points[0].b, 0, 32).splat(lanes.literal_value)] * len(points)


def _dot(
    points: Sequence[Memory],
    weights: Memory,
    offsets: Memory,
    span: tuple[Number, Number],
    sums: list[Number],
) -> list[Number]:
    """Add the products of a span of pairs to each row's sum of 32 bits."""
    first, last = span
    if len(points) == 1:  # a lone row: its pairs go to several sums in turn
        whole = last - ((last - first) & (PARTIAL_SUMS - 1))
        sums = sums + [sums[0].constant(0)] * (PARTIAL_SUMS - 1)
        sums = _add_pairs(points, weights, offsets, (first, whole), sums, Number.__add__)
        sums, first = [reduce(Number.__add__, sums)], whole
    return _add_pairs(points, weights, offsets, (first, last), sums, Number.__add__)


def _add_pairs(
    points: Sequence[Memory],
    weights: Memory,
    offsets: Memory,
    span: tuple[Number, Number],
    sums: Sequence[Number],
    update: Callable[[Number, Number], Number],
) -> list[Number]:
    """Loop over a span of pairs and update each row's sum, or a lone row's sums in turn."""
    cells = [Variable(total) for total in sums]
    stride = len(sums) // len(points)
    with loop(*span, stride) as pair:
        for ahead in range(stride):
            offset = offsets.load(pair + ahead)
            lanes = weights.load((pair + ahead) * (2 * LANES), 2 * sums[0].lanes)
            for point, cell in zip(points, cells[ahead::stride], strict=True):
                words = point.load(offset, 2).shuffle([0, 1] * (lanes.lanes // 2))
                product = multiply_add(lanes, words)
                cell.set(update(cell.get(), product))
    return [cell.get() for cell in cells]


def multiply_add(weights: Number, words: Number) -> Number:
    """Multiply neighbours and add the products of each two.

    LLVM knows this shape, whole vectors multiplied and neighbours added, as one instruction.
    """
    products = weights.sized(32) * words.sized(32)
    order = range(0, products.lanes, 2)
    return products.shuffle(order) + products.shuffle([lane + 1 for lane in order])
