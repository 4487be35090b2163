"""Vector code behind the sums: casts to words and pools, of sixteen outputs at once.

What ``vector.sums`` says of lanes and arrays holds here too.
"""

from collections.abc import Callable
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
    types,
    writer,
    written,
)
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector.sums import Arrays, Numbers


@written
def narrow(_: Any, rows: Any, arrays: Any, at: Any, to: Any) -> Written:
    """Cast rows of sums to 16-bit words; count the values out of range.

    Args:
        rows: how many.
        arrays: ``(acc, shifts, out)``: int32 or int64, row ``r`` has the 16 at ``16 * r``; int64,
            from 0 to 30, or to 62 where sums are int64; int16.
        at: ``(lane, pitch)``: where the 16 shifts lie; row ``r`` writes the 16 words at
            ``out[r * pitch]``, in order, so that it may overlap the next ones.
        to: ``(rounding, overflow, low, high, least)``: the codes, the range, and what a word is
            raised to once the range is judged.

    Returns:
        How many rounded values were out of range.
    """

    def write(b: Builder, rows: Number, arrays: Arrays, at: Numbers, to: Numbers) -> Number:
        acc, shifts, out = arrays
        lane, pitch = at
        low, high, least = (limit.sized(32).splat(LANES) for limit in to[2:])
        shift = shifts.load(lane, LANES).sized(acc.bits)
        rule = _rounding_rule(to[0], shift)
        counted = Variable(low.constant(0))

        def run(word: Callable[[Number], Number]) -> None:
            with loop(integer(b, 0), rows) as row:
                exact = _round(acc.load(row * LANES, LANES), shift, rule)
                out.store(word(exact).max(least).sized(16), row * pitch)

        def clamp(exact: Number) -> Number:
            rounded = exact.clamped(32)  # the range's 16 bits do not tell it from the exact one
            kept = rounded.max(low).min(high)
            counted.set(counted.get() - kept.differs(rounded).sized(32))
            return kept

        def wrap_or_zero(exact: Number) -> Number:
            over = clamp(exact).differs(exact.clamped(32))
            return over.choose(((exact.sized(32) - low) & span) + base, exact.sized(32))

        wraps = to[1].equals(instructions.WRAP)
        span, base = (wraps.choose(value, low.constant(0)) for value in (high - low, low))
        branch(to[1] < instructions.SATURATE_ZERO, lambda: run(clamp), lambda: run(wrap_or_zero))
        return counted.get().total()

    return types.int64(rows, arrays, at, to), writer(write)


@written
def largest(_: Any, pixels: Any, arrays: Any, at: Any) -> Written:
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


@written
def mean(_: Any, pixels: Any, arrays: Any, at: Any) -> Written:
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
        taps, pitch = at[0], at[2]
        shift = at[1].sized(32).splat(LANES)
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


def _rounding_rule(rounding: Number, shift: Number) -> Numbers:
    """Return what ``_round`` needs: the remainder's mask, a threshold, a bit and its weight.

    A nearest rounding goes up from half on, or beyond half; which, may depend on the bit that makes
    a quotient odd or a total negative, which then weighs as much as 1 more or less. ``zero`` goes
    up where a negative value has a remainder at all, ``floor`` never.
    """
    none, one, sign = (shift.constant(value) for value in (0, 1, shift.bits - 1))
    mask = (one << shift) - 1
    half = (one << shift).logical_shift(1).max(one)  # with no remainder, never reached
    rules = {
        instructions.NEAREST_EVEN: (half, shift, one),
        instructions.NEAREST_UP: (half - 1, sign, none),
        instructions.NEAREST_DOWN: (half, sign, none),
        instructions.NEAREST_ZERO: (half, sign, one),
        instructions.NEAREST_AWAY: (half - 1, sign, none - 1),
        instructions.FLOOR: (mask, sign, none),
        instructions.ZERO: (mask, sign, mask),
    }
    chosen = rules[instructions.FLOOR]
    for code, rule in rules.items():
        mine = rounding.equals(code)
        chosen = tuple(mine.choose(new, old) for new, old in zip(rule, chosen, strict=True))
    return mask, *chosen


def _round(total: Number, shift: Number, rule: Numbers) -> Number:
    """Divide by ``2**shift``; the remainder and the weight stay below ``2**(shift + 1)``."""
    mask, threshold, bit, weight = rule
    up = (total & mask) + ((total >> bit) & weight) > threshold
    return (total >> shift) - up.sized(total.bits)
