"""Own the vector code of layers that make eight words of each eight, four rows at once.

With so few products an output costs as much for its cast as for its sum, and rows read pair by pair
would cost more than either. ``octets`` explains the layout. Nothing is checked here, as in
``vector``, which explains lanes and how arguments come.
"""

from functools import reduce
from typing import Any

from fxpnn.kernels.build.llvm import (
    Builder,
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
from fxpnn.kernels.layout.octets import OCTET, OCTET_ROWS
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.sums import Arrays, Numbers, multiply_add

WORDS = 2 * LANES
"""Words of a vector: four rows."""
TURNS = [[(i & -OCTET) + (i + 2 * turn) % OCTET for i in range(WORDS)] for turn in range(4)]
"""Where each word comes from as rows are turned by a pair at a time."""


@written
def dot_octets(_: Any, blocks: Any, arrays: Any, to: Any) -> Written:
    """Sum rows of eight words, and cast the sums, in blocks of ``OCTET_ROWS`` rows.

    Sums begin with what makes them 0 at the range's least value, so that those in range, and no
    others, have no bit above the range's width.

    Args:
        blocks: how many.
        arrays: ``(x, words, numbers, bias, out)``: int16; int16 and int32, an ``Octets``; an
            array of the sums' type, which is all that counts: where it is int32, all rows are known
            to be quiet; int16.
        to: ``(low, high, least)``: the range, and what words are raised to.

    Returns:
        How many blocks are done; of the next one, if there is one, a row was not quiet or a word is
        out of range, and what is written of it means nothing.
    """

    def write(b: Builder, blocks: Number, arrays: Arrays, to: Numbers) -> Number:
        x, words, numbers, bias, out = arrays
        vectors = [words.load(integer(b, i * WORDS), WORDS) for i in range(11)]
        begins, shifts = (
            [numbers.load(integer(b, i * LANES), LANES) for i in pair] for pair in ((0, 1), (2, 3))
        )
        sides, (mask, keep, quiet) = (vectors[:4], vectors[4:8]), vectors[8:]
        low, least = (limit.sized(16).splat(WORDS) for limit in (to[0], to[2]))
        above = ((to[1] - to[0]) ^ -1).sized(32).splat(LANES)
        rest = shifts[1].constant(16) - shifts[1]

        def joined(even: Number, odd: Number) -> Number:
            """Put the lower halves of the one below the upper halves of the other."""
            return ((even & 0xFFFF) | (odd & -0x10000)).halves()

        done = Variable(blocks)
        with tries(blocks) as (block, end):
            seen = [Variable(above.constant(0)) for _ in sides]
            smallest, largest = (Variable(low.constant(0)) for _ in range(2))
            first = block * (OCTET_ROWS * OCTET)
            with loop(integer(b, 0), integer(b, OCTET_ROWS * OCTET), WORDS) as at:
                rows = x.load(first + at, WORDS)
                if bias.bits == 64:
                    smallest.set(smallest.get().min(rows))
                    largest.set(largest.get().max(rows))
                turned = [rows.shuffle(turn) for turn in TURNS]
                totals = [
                    reduce(Number.__add__, map(multiply_add, weights, turned), begin)
                    for weights, begin in zip(sides, begins, strict=True)
                ]
                for cell, total in zip(seen, totals, strict=True):
                    cell.set(cell.get() | total)
                even, odd = totals
                made = joined(even.logical_shift(shifts[0]), odd << rest)
                tie = (joined(even, odd << 16) & mask).equals(0)
                made = tie.choose(made & keep, made) + low
                out.store(made.max(least), first + at)
            loud = (smallest.get() + quiet < 0) | (largest.get() > quiet)
            high = (cell.get() & (above << s) for cell, s in zip(seen, shifts, strict=True))
            beyond = reduce(Number.__or__, high).differs(0).count() + loud.count()

            def stop() -> None:
                done.set(block)
                end()

            branch(beyond.equals(0), lambda: None, stop)
        return done.get()

    return types.int64(blocks, arrays, to), writer(write)
