"""The code of a cast of vectors: one rounding, one range, what is out of it counted.

All vector code whose shifts and modes are known when it runs, not when it is written, casts by
this; what ``vector.sums`` says of lanes holds here too.
"""

from collections.abc import Callable
from typing import TypeAlias

from fxpnn.kernels.build.llvm import Number, Variable, branch
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.vector.sums import Numbers

Word: TypeAlias = Callable[[Number], Number]
"""Casts a vector of exact values to words, and counts."""


class Cast:
    """What the code of a cast is written from: its rule and its range, which stay in registers.

    Args:
        shift: a vector of the exact values' type: how many bits each lane drops, from 0 to 30, or
            to 62 of 64.
        to: ``(rounding, overflow, low, high, least, most, apart)``: the codes, the range, what a
            word is raised and lowered to once the range is judged, and whether those below 0 are
            counted apart; the range begins at 0 then.
    """

    def __init__(self, shift: Number, to: Numbers) -> None:
        self.rounding, self.overflow, *limits, self.apart = to
        self.low, self.high, self.least, self.most = (
            limit.sized(32).splat(shift.lanes) for limit in limits
        )
        self.shift, self.rule = shift, _rounding_rule(self.rounding, shift)
        nothing = self.low.constant(0)
        self.counted, self.fallen = Variable(nothing), Variable(nothing)
        wraps = self.overflow.equals(instructions.WRAP)
        ends = self.high - self.low, self.low
        self.span, self.base = (wraps.choose(value, nothing) for value in ends)

    def by_mode(self, run: Callable[[Word], None]) -> None:
        """Write a loop, which is given what casts, for each kind of cast, behind a branch."""

        def run_by_overflow(apart: bool) -> None:
            clamps = self.overflow < instructions.SATURATE_ZERO
            branch(
                clamps,
                lambda: run(lambda exact: self._word(exact, self._clamp, apart)),
                lambda: run(lambda exact: self._word(exact, self._wrap_or_zero, apart)),
            )

        branch(self.apart.differs(0), lambda: run_by_overflow(True), lambda: run_by_overflow(False))

    def counts(self) -> tuple[Number, Number]:
        """Return how many values were out of range, and how many, counted apart, were below 0."""
        below = self.fallen.get().total()
        return self.counted.get().total() - below, below

    def _word(self, exact: Number, fit: Word, apart: bool) -> Number:
        rounded = _round(exact, self.shift, self.rule)
        if apart:
            self.fallen.set(self.fallen.get() - (rounded < 0).sized(32))
        return fit(rounded).max(self.least).min(self.most).sized(16)

    def _clamp(self, exact: Number) -> Number:
        rounded = exact.clamped(32)  # the range's 16 bits do not tell it from the exact one
        kept = rounded.max(self.low).min(self.high)
        self.counted.set(self.counted.get() - kept.differs(rounded).sized(32))
        return kept

    def _wrap_or_zero(self, exact: Number) -> Number:
        over = self._clamp(exact).differs(exact.clamped(32))
        kept = exact.sized(32)
        return over.choose(((kept - self.low) & self.span) + self.base, kept)


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
