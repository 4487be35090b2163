"""Vector code that finds where sums need no clamp, from the words that a block has.

Nothing is checked here, as in ``vector.sums``, which explains lanes, rows and how arguments come.
"""

from functools import reduce
from typing import Any

from fxpnn.kernels.build.llvm import (
    Builder,
    Intrinsic,
    Number,
    Variable,
    integer,
    intrinsic,
    loop,
    types,
    writer,
)
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.sums import Arrays, Numbers


@intrinsic
def extremes(_: Any, arrays: Any, at: Any) -> Intrinsic:
    """Find the smallest and the largest word, or 0, of 32 neighbours in rows of words.

    Args:
        arrays: ``(x, smallest, largest)``, int16.
        at: ``(first, width, rows)``: where in a row the neighbours begin, and in the other arrays
            what is found; how many words a row has, and how many rows there are.
    """

    def write(b: Builder, arrays: Arrays, at: Numbers) -> None:
        x, smallest, largest = arrays
        first, width, rows = at
        low, high = (Variable(integer(b, 0, 16).splat(2 * LANES)) for _ in range(2))
        with loop(integer(b, 0), rows) as row:
            words = x.load(row * width + first, 2 * LANES)
            low.set(low.get().min(words))
            high.set(high.get().max(words))
        smallest.store(low.get(), first)
        largest.store(high.get(), first)

    return types.void(arrays, at), writer(write)


@intrinsic
def room(_: Any, span: Any, arrays: Any, at: Any, word: Any) -> Intrinsic:
    """Find between which sums the products of a range of words cannot leave the word, lane by lane.

    On its way a sum rises at most by all positive products, each with its word's extreme of largest
    effect, and falls at most by all negative ones. There is no room, a floor above its ceiling,
    where the products' own sum might not fit 32 bits.

    Args:
        span: ``(first, last)``: the first k and the one behind the last.
        arrays: ``(matrix, smallest, largest, floor, ceiling)``: int16, the weights of each k;
            int16, the extremes of its word or 0; where floors and ceilings go, of the sums' type.
        at: ``(lane, lanes, room)``: the first of 16 lanes, how many a k has, and where these go.
        word: ``(low, high)``, the limits of two's complement.

    Returns:
        In how many lanes there is no room.
    """

    def write(b: Builder, span: Numbers, arrays: Arrays, at: Numbers, word: Numbers) -> Number:
        matrix, smallest, largest, floor, ceiling = arrays
        lane, lanes, place = at
        low, high = (limit.splat(LANES) for limit in word)
        rise, fall = Variable(low.constant(0)), Variable(low.constant(0))
        with loop(*span) as k:
            weights = matrix.load(k * lanes + lane, LANES).sized(32)
            ends = (end.load(k).sized(32).splat(LANES) for end in (smallest, largest))
            one, other = (weights * end for end in ends)
            rise.set(rise.get() + one.max(other).sized(64))
            fall.set(fall.get() + one.min(other).sized(64))
        fits = (rise.get() < 2**31) & (fall.get() > -(2**31) - 1)
        lowest = fits.choose(low - fall.get(), high)
        highest = fits.choose(high - rise.get(), low)
        floor.store(lowest.sized(floor.bits), place)
        ceiling.store(highest.sized(floor.bits), place)
        return (lowest > highest).count()

    return types.int64(span, arrays, at, word), writer(write)


@intrinsic
def within(_: Any, rows: Any, arrays: Any, at: Any) -> Intrinsic:
    """Say whether all sums of a tile of rows lie between a floor and a ceiling per lane.

    Args:
        rows: how many, a literal.
        arrays: ``(acc, floor, ceiling)``, of one type.
        at: ``(row, room)``: the first row, and where 16 lanes' floors and ceilings lie.
    """

    def write(b: Builder, _: Number, arrays: Arrays, at: Numbers) -> Number:
        acc, floor, ceiling = arrays
        row, room = at
        sums = [acc.load((row + r) * LANES, LANES) for r in range(rows.literal_value)]
        under = reduce(Number.min, sums) < floor.load(room, LANES)
        over = reduce(Number.max, sums) > ceiling.load(room, LANES)
        return (under | over).count().equals(0)

    return types.boolean(rows, arrays, at), writer(write)
