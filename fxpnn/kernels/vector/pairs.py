"""Vector code that makes one block of two: words added or multiplied, cast once.

What ``vector.sums`` says of lanes and arrays holds here too.
"""

from collections.abc import Callable
from typing import Any

from fxpnn.kernels.build.llvm import (
    Builder,
    Intrinsic,
    Number,
    branch,
    integer,
    intrinsic,
    loop,
    types,
    writer,
)
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.casts import Cast, Word
from fxpnn.kernels.vector.sums import Arrays, Numbers


@intrinsic
def combine(_: Any, rows: Any, arrays: Any, at: Any, how: Any, to: Any) -> Intrinsic:
    """Combine rows of 16 words of one block with rows of another, and cast them.

    Values that fit 32 bits stay in registers from words to words. Lanes that are none of a row's
    are 0, which is in range of every format: they are written, but never counted.

    Args:
        rows: how many.
        arrays: ``(a, b, out)``, int16.
        at: ``(pitch, step, lanes)``: row ``r`` reads 16 words at ``a[r * pitch]`` and at
            ``b[r * step]``, with 0 for a step the same ones again, and writes 16 at
            ``out[r * pitch]``, in order, so that it may overlap the next ones; so many lanes are
            the row's.
        how: ``(multiplies, lift, other_lift, shift)``: whether words are multiplied or added, once
            those of each side are shifted to the left; and how many bits are then dropped.
        to: as ``Cast`` has it.

    Returns:
        How many rounded values were out of range, and how many, counted apart, were below 0.
    """

    def write(
        b: Builder, rows: Number, arrays: Arrays, at: Numbers, how: Numbers, to: Numbers
    ) -> Numbers:
        one, other, out = arrays
        pitch, step, lanes = at
        multiplies, *shifts = how
        lift, other_lift, shift = (number.sized(32).splat(LANES) for number in shifts)
        mask = (shift.lane_numbers() < lanes.sized(32).splat(LANES)).sized(32)
        cast = Cast(shift, to)

        def run(word: Word, combined: Callable[[Number, Number], Number]) -> None:
            with loop(integer(b, 0), rows) as row:
                left = one.load(row * pitch, LANES).sized(32) << lift
                right = other.load(row * step, LANES).sized(32) << other_lift
                out.store(word(combined(left, right) & mask), row * pitch)

        def run_either(word: Word) -> None:
            branch(
                multiplies.differs(0),
                lambda: run(word, Number.__mul__),
                lambda: run(word, Number.__add__),
            )

        cast.by_mode(run_either)
        return cast.counts()

    return types.UniTuple(types.int64, 2)(rows, arrays, at, how, to), writer(write)
