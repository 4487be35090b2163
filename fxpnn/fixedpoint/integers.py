"""Exact arithmetic on single Python integers: rounding, wrapping, the one-step cast, powers.

``raw @ F`` means ``raw * 2**-F``. Nothing here can overflow, and no float takes part.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, QFormat, Rounding

LOG2E = 378194
"""``round(log2(e) * 2**18)``: turns a power of e into a power of 2."""


def round_quotient(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Round the exact ``numerator / denominator`` to an integer; the denominator is positive."""
    floor, rest = divmod(numerator, denominator)
    if rest == 0 or rounding is Rounding.FLOOR:
        return floor
    if rounding is Rounding.ZERO:
        return floor + (numerator < 0)
    if 2 * rest != denominator:
        return floor + (2 * rest > denominator)
    tie_goes_up = {
        Rounding.NEAREST_EVEN: floor % 2 == 1,
        Rounding.NEAREST_UP: True,
        Rounding.NEAREST_DOWN: False,
        Rounding.NEAREST_ZERO: numerator < 0,
        Rounding.NEAREST_AWAY: numerator > 0,
    }
    return floor + tie_goes_up[rounding]


def wrap(value: int, word: QFormat | Accumulator) -> int:
    """Keep the low bits: the one value of the word's range that equals it modulo 2**bits."""
    return word.min + (value - word.min) % (1 << word.word)


def cast_raw(
    value: int,
    source_frac: int,
    target: QFormat,
    rounding: Rounding,
    overflow: Overflow,
    source: QFormat | None = None,
    count: int = 1,
) -> tuple[int, bool]:
    """Cast ``value / count @ source_frac``; return the raw result and whether it overflowed.

    One step: the exact quotient is rounded once, then overflow is judged once, on the rounded
    value. Where the value has a format of its own, ``source``, and that is the target's, nothing
    changes.
    """
    if source == target:
        return value, False
    down = source_frac - target.frac
    rounded = round_quotient(value << max(-down, 0), count << max(down, 0), rounding)
    symmetric = target.signed and overflow is Overflow.SATURATE_SYMMETRIC
    low, high = -target.max if symmetric else target.min, target.max
    if low <= rounded <= high:
        return rounded, False
    if overflow is Overflow.WRAP:
        return wrap(rounded, target), True
    if overflow is Overflow.SATURATE_ZERO:
        return 0, True
    return low if rounded < low else high, True


class Sum(NamedTuple):
    """What a register holds after a step: ``endless`` without any overflow, ``clamped`` if now."""

    held: int
    endless: int
    clamped: bool


def accumulation(
    register: Accumulator, bias: int, products: Iterable[int], dropped: int
) -> Iterator[Sum]:
    """Load the bias, then add one product after the other; yield what the register holds each time.

    Bias and products have ``dropped`` fraction bits more than the register, or fewer where that is
    negative. Let R round so many bits away and C be the register's overflow. The sum begins as
    C(R(bias)); a fused product makes a = C(R(a + product)), all bits of which R sees, a cast one
    a = C(a + C(R(product))).
    """
    down, up = max(dropped, 0), max(-dropped, 0)

    def added(acc: int, term: int) -> int:
        return round_quotient((acc << down) + (term << up), 1 << down, register.rounding)

    def kept(value: int) -> int:
        if register.overflow is Overflow.WRAP:
            return wrap(value, register)
        return min(max(value, register.min), register.max)

    endless = added(0, bias)
    acc = kept(endless)
    yield Sum(acc, endless, acc != endless)
    for product in products:
        if register.product is Product.FUSED:
            lost, exact, endless = False, added(acc, product), added(endless, product)
        else:
            term = added(0, product)
            lost, exact, endless = kept(term) != term, acc + kept(term), endless + term
        acc = kept(exact)
        yield Sum(acc, endless, lost or acc != exact)


def accumulate(
    register: Accumulator, bias: int, products: Iterable[int], dropped: int
) -> tuple[int, int]:
    """Return the last sum of an ``accumulation``, and the overflows.

    A register that saturates counts the steps that it clamps, the bias's included. One that wraps
    may overflow on the way and come back: it counts 1 where the sum without any C does not fit.
    """
    clamps = 0
    for last in accumulation(register, bias, products, dropped):
        clamps += last.clamped
    if register.overflow is Overflow.WRAP:
        return last.held, int(not register.min <= last.endless <= register.max)
    return last.held, clamps


def floor_shift(value: int, down: int) -> int:
    """Divide by ``2**down``, rounding down; multiply where ``down`` is negative."""
    return value >> down if down > 0 else value << -down


def half_up(value: int, down: int) -> int:
    """Divide by ``2**down``, adding half and rounding down; multiply where it is negative."""
    return floor_shift(value + (1 << down >> 1 if down > 0 else 0), down)


def divide(numerator: int, denominator: int) -> int:
    """Divide a numerator of 0 or more, adding half and rounding down."""
    return (numerator + (denominator >> 1)) // denominator


def exponential(d: int, frac: int, table: list[int]) -> int:
    """Return ``exp(-d @ frac)`` at F = 30, 31 bits, for a d of 0 or more; of 0 it is 2**30."""
    t = half_up(d * LOG2E, frac + 2)
    n = t >> 16
    return (mantissa(t, table) << 10) >> n if n <= 30 else 0


def reciprocal(S: int) -> tuple[int, int]:
    """Return ``2**(b + 18) / S``, 19 bits, and b, where ``2**b <= S < 2**(b + 1)``."""
    b = S.bit_length() - 1
    return divide(1 << (b + 18), S), b


def mantissa(u: int, table: list[int]) -> int:
    """Return ``2**-(u @ 16 modulo 1)`` at F = 20, 21 bits; ``table[k]`` is ``2**(-k / 256)``."""
    k, f = (u >> 8) & 255, u & 255
    return table[k] - (((table[k] - table[k + 1]) * f + 128) >> 8)


def short_exponential(d: int, frac: int, table: list[int]) -> int:
    """Return ``exp(d @ frac)`` at F = 8, rounded down; where it is over 2**8, some such number."""
    u = -half_up(d * LOG2E, frac + 2)
    return floor_shift(mantissa(u, table), max(u >> 16, -8) + 12)
