"""Vector code behind the sums: casts to words and pools, of sixteen outputs at once.

What ``vector.sums`` says of lanes and arrays holds here too.
"""

from functools import reduce
from typing import Any

from fxpnn.kernels.build.llvm import (
    Builder,
    Intrinsic,
    Number,
    Variable,
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
def narrow(_: Any, rows: Any, arrays: Any, at: Any, to: Any) -> Intrinsic:
    """Cast rows of sums to 16-bit words; count the values out of range.

    Args:
        rows: how many.
        arrays: ``(acc, shifts, out)``: int32 or int64, row ``r`` has the 16 at ``16 * r``; int64,
            from 0 to 30, or to 62 where sums are int64; int16.
        at: ``(lane, pitch)``: where the 16 shifts lie; row ``r`` writes the 16 words at
            ``out[r * pitch]``, in order, so that it may overlap the next ones.
        to: as ``Cast`` has it.

    Returns:
        How many rounded values were out of range, and how many, counted apart, were below 0.
    """

    def write(b: Builder, rows: Number, arrays: Arrays, at: Numbers, to: Numbers) -> Numbers:
        acc, shifts, out = arrays
        lane, pitch = at
        cast = Cast(shifts.load(lane, LANES).sized(acc.bits), to)

        def run(word: Word) -> None:
            with loop(integer(b, 0), rows) as row:
                out.store(word(acc.load(row * LANES, LANES)), row * pitch)

        cast.by_mode(run)
        return cast.counts()

    return types.UniTuple(types.int64, 2)(rows, arrays, at, to), writer(write)


@intrinsic
def largest(_: Any, pixels: Any, arrays: Any, at: Any) -> Intrinsic:
    """Keep the largest words of each window, lane by lane.

    Args:
        pixels: how many windows.
        arrays: ``(made, windows, out)``: int16, int64, int16; the windows' taps, where each finds
            16 words in ``made``, lie one behind the other.
        at: ``(taps, pitch)``: a window's taps, at least 1; pixel ``p`` writes the 16 words at
            ``out[p * pitch]``, in order.
    """

    def write(b: Builder, pixels: Number, arrays: Arrays, at: Numbers) -> None:
        made, windows, out = arrays
        taps, pitch = at

        def words(pixel: Number, tap: Number) -> Number:
            return made.load(windows.load(pixel * taps + tap), LANES)

        def four() -> None:
            with loop(integer(b, 0), pixels) as pixel:
                seen = [words(pixel, integer(b, tap)) for tap in range(4)]
                out.store(reduce(Number.max, seen), pixel * pitch)

        def any_number() -> None:
            with loop(integer(b, 0), pixels) as pixel:
                best = Variable(words(pixel, integer(b, 0)))
                with loop(integer(b, 1), taps) as tap:
                    best.set(best.get().max(words(pixel, tap)))
                out.store(best.get(), pixel * pitch)

        branch(taps.equals(4), four, any_number)  # 2 by 2 is what most pools are

    return types.void(pixels, arrays, at), writer(write)


@intrinsic
def mean(_: Any, pixels: Any, arrays: Any, at: Any) -> Intrinsic:
    """Average the words of each window, lane by lane, ties to even.

    The sums of fewer than ``2**15`` words fit 32 bits. With ``s`` the shift, the result is
    ``(sum + 2**(s-1) - 1 + odd) >> s``, where ``odd`` is the floor's last bit.

    Args:
        pixels: how many windows.
        arrays: ``(words, windows, out)``, as ``largest`` has them.
        at: ``(taps, shift, pitch)``: a window's taps, ``2**shift``, at least 2; pixel ``p`` writes
            the 16 words at ``out[p * pitch]``, in order.
    """

    def write(b: Builder, pixels: Number, arrays: Arrays, at: Numbers) -> None:
        words, windows, out = arrays
        taps, drop, pitch = at
        shift = drop.sized(32).splat(LANES)
        half = (shift.constant(1) << shift) >> 1
        with loop(integer(b, 0), pixels) as pixel:
            total = Variable(words.load(windows.load(pixel * taps), LANES).sized(32))
            with loop(integer(b, 1), taps) as tap:
                word = words.load(windows.load(pixel * taps + tap), LANES)
                total.set(total.get() + word.sized(32))
            odd = (total.get() >> shift) & 1
            rounded = (total.get() + half - 1 + odd) >> shift
            out.store(rounded.sized(16), pixel * pitch)

    return types.void(pixels, arrays, at), writer(write)
