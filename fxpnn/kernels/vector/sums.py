"""Vector code of sums: 16-bit products, added up for sixteen outputs at once.

A vector has 16 lanes on every machine: one register of AVX-512, two of AVX2, four of SSE2 or NEON.
``packing`` explains rows, columns and pairs, ``llvm`` the operators. Nothing is checked here:
arrays are C-contiguous and every index lies inside them. Arrays come in tuples of their own, which
loops can build outside. ``column_sums`` builds on this; what follows the sums is in ``requantize``.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeAlias

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
    machine,
    types,
    writer,
)
from fxpnn.kernels.build.processor import ADDS_FOURS, adds_fours
from fxpnn.kernels.layout.packing import LANES

PARTIAL_SUMS = 4
"""Independent sums of a lone row: as many as the cycles that a multiply-add takes."""

Numbers: TypeAlias = tuple[Number, ...]
Arrays: TypeAlias = tuple[Memory, ...]
Update: TypeAlias = Callable[[Sequence[Number], Number, Sequence[Number]], list[Number]]
"""Returns the next sums of some rows, from their sums, the next weights and the rows' words."""


def rows_per_tile() -> int:
    """Return how many rows' sums fit the registers of the machine that Numba compiles for."""
    name, features = machine()
    if "+avx512f" in features:
        return 8
    if features:
        return 5 if "+avx2" in features or "+neon" in features else 2
    return 2 if name in ("generic", "x86-64") else 5


ROWS = rows_per_tile()


@intrinsic
def dot(_: Any, lanes: Any, rows: Any, arrays: Any, at: Any) -> Intrinsic:
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
        points = points_of(x, starts, row, rows.literal_value)
        places = [(row + r) * LANES for r in range(len(points))]
        sums = [acc.load(place, lanes.literal_value) for place in places]
        if acc.bits == 32:
            sums = add_products(points, weights, offsets, (first, last), sums)
        else:
            more = add_products(points, weights, offsets, (first, last), zero_sums(points, lanes))
            sums = [total + part.sized(64) for total, part in zip(sums, more, strict=True)]
        for total, place in zip(sums, places, strict=True):
            acc.store(total, place)

    return types.void(lanes, rows, arrays, at), writer(write)


@intrinsic
def step(_: Any, lanes: Any, rows: Any, arrays: Any, at: Any, word: Any) -> Intrinsic:
    """Add products one by one, clamp after each, and count the adds that were clamped.

    The second weight of each pair is 0: a pair is one product. Sums are int32 for a word that has
    ``packing.narrow_steps``, else int64, for one of up to 62 bits. Before its clamp a sum is exact:
    one of up to 30 bits, less the least, and a product of ``2**30`` fit 32, and sums of 32 bits
    tell which of them wrapped.

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
        least, most = word
        low, high = (limit.sized(acc.bits).splat(many) for limit in (least, most))
        points = points_of(x, starts, row, rows.literal_value)
        places = [(row + r) * LANES for r in range(len(points))]
        counted = Variable(integer(b, 0))

        def count(flags: Sequence[Number]) -> None:
            together = LANES // many  # half vectors' flags, two by two
            for first in range(0, len(flags), together):
                found = reduce(Number.joined, flags[first : first + together])
                counted.set(counted.get() + found.count())

        def clamp(
            above: Sequence[Number], weights: Number, words: Sequence[Number]
        ) -> list[Number]:
            # Sums less the least: as unsigned numbers, those below the word are too large as well.
            exact = _add(above, weights, words)
            count([total.exceeds(high - low) for total in exact])
            return [total.max(low.constant(0)).min(high - low) for total in exact]

        def saturate(
            totals: Sequence[Number], weights: Number, words: Sequence[Number]
        ) -> list[Number]:
            # Only a sum 2**30 or more from 0 can wrap, and such a one loses its sign only then.
            added = _add(totals, weights, words)
            wrapped = [
                ((new ^ old) & (old + 2**30)) < 0 for new, old in zip(added, totals, strict=True)
            ]
            count(wrapped)
            limits = [old.logical_shift(31) + (2**31 - 1) for old in totals]
            return list(map(Number.choose, wrapped, limits, added))

        def run(update: Update, least: Number) -> None:
            sums = [acc.load(place, many) - least for place in places]
            sums = _add_pairs(points, weights, offsets, (first, last), sums, update)
            for total, place in zip(sums, places, strict=True):
                acc.store(total + least, place)

        if acc.bits == 64:
            run(clamp, low)
        else:
            none = low.constant(0)
            branch(least.equals(-(2**31)), lambda: run(saturate, none), lambda: run(clamp, low))
        return counted.get()

    return types.int64(lanes, rows, arrays, at, word), writer(write)


def points_of(x: Memory, starts: Memory, row: Number, rows: int) -> list[Memory]:
    """Return where each row of a tile begins."""
    return [x.at(starts.load(row + r)) for r in range(rows)]


def zero_sums(points: Sequence[Memory], lanes: Any) -> list[Number]:
    """Return sums of no products, a vector of so many for each row."""
    return [integer(points[0].b, 0, 32).splat(lanes.literal_value)] * len(points)


def add_products(
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
        sums = _add_pairs(points, weights, offsets, (first, whole), sums, _add)
        sums, first = [reduce(Number.__add__, sums)], whole
    return _add_pairs(points, weights, offsets, (first, last), sums, _add)


def _add(totals: Sequence[Number], weights: Number, words: Sequence[Number]) -> list[Number]:
    if weights.bits == 8:
        return [add_fours(total, weights, each) for total, each in zip(totals, words, strict=True)]
    return [
        total + multiply_add(weights, each).sized(total.bits)
        for total, each in zip(totals, words, strict=True)
    ]


def _add_pairs(
    points: Sequence[Memory],
    weights: Memory,
    offsets: Memory,
    span: tuple[Number, Number],
    sums: Sequence[Number],
    update: Update,
) -> list[Number]:
    """Loop over a span of pairs and update all rows' sums, or a lone row's sums in turn.

    Where words are bytes, four take the place of a pair, and of their weights two lie in a word.
    """
    cells = [Variable(total) for total in sums]
    stride = len(sums) // len(points)
    with loop(*span, stride) as pair:
        for ahead in range(stride):
            offset = offsets.load(pair + ahead)
            lanes = weights.load((pair + ahead) * (2 * LANES), 2 * sums[0].lanes)
            lanes = lanes.halves() if points[0].bits == 8 else lanes
            order = [*range(lanes.lanes // sums[0].lanes)] * sums[0].lanes
            words = [point.load(offset, 32 // point.bits).shuffle(order) for point in points]
            rows = cells[ahead::stride]
            totals = update([cell.get() for cell in rows], lanes, words)
            for cell, total in zip(rows, totals, strict=True):
                cell.set(total)
    return [cell.get() for cell in cells]


def add_fours(totals: Number, weights: Number, octets: Number) -> Number:
    """Add the products of four weights, which have signs, and four bytes, which have none.

    LLVM 22 knows no shape as the one instruction for it; so here it is named where there is one.
    """
    if adds_fours(machine()[1]):
        return totals.instruction(f"{ADDS_FOURS}.{32 * totals.lanes}", octets, weights)
    products = weights.sized(32) * (octets.sized(32) & 255)
    orders = [range(first, products.lanes, 4) for first in range(4)]
    return reduce(Number.__add__, map(products.shuffle, orders), totals)


def multiply_add(weights: Number, words: Number) -> Number:
    """Multiply neighbours and add the products of each two.

    LLVM knows this shape, whole vectors multiplied and neighbours added, as one instruction.
    """
    products = weights.sized(32) * words.sized(32)
    order = range(0, products.lanes, 2)
    return products.shuffle(order) + products.shuffle([lane + 1 for lane in order])
