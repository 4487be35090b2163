"""Exact casts against rational arithmetic, and examples worked by hand."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.fixedpoint.integers import (
    accumulate,
    cast_raw,
    divide,
    floor_shift,
    half_up,
    round_quotient,
    wrap,
)
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from tests.support.oracle_sums import HALF, ROUNDED, exact
from tests.support.oracles import cast_rational
from tests.support.strategies import (
    Cast,
    accumulators,
    casts,
    near_ties,
    roundings,
)


@pytest.mark.parametrize(
    ("rounding", "results"),
    [
        (Rounding.NEAREST_EVEN, [-2, -2, 0, 0, 2, 2]),
        (Rounding.NEAREST_UP, [-2, -1, 0, 1, 2, 3]),
        (Rounding.NEAREST_DOWN, [-3, -2, -1, 0, 1, 2]),
        (Rounding.NEAREST_ZERO, [-2, -1, 0, 0, 1, 2]),
        (Rounding.NEAREST_AWAY, [-3, -2, -1, 1, 2, 3]),
        (Rounding.FLOOR, [-3, -2, -1, 0, 1, 2]),
        (Rounding.ZERO, [-2, -1, 0, 0, 1, 2]),
    ],
)
def test_ties_go_where_the_contract_says(rounding: Rounding, results: list[int]) -> None:
    """-2.5, -1.5, -0.5, 0.5, 1.5 and 2.5 become these integers."""
    assert [round_quotient(n, 2, rounding) for n in (-5, -3, -1, 1, 3, 5)] == results


@given(case=near_ties(), rounding=roundings)
def test_round_quotient_is_the_rounded_rational(case: tuple[int, int], rounding: Rounding) -> None:
    """On ties and beside them, of either sign, every rounding equals rational arithmetic."""
    value, shift = case
    assert round_quotient(value, 2**shift, rounding) == ROUNDED[rounding](exact(value, shift))


@given(st.integers(-200, 200), st.integers(1, 12), roundings)
def test_round_quotient_divides_by_any_count(n: int, count: int, rounding: Rounding) -> None:
    """The denominator need not be a power of two."""
    assert round_quotient(n, count, rounding) == ROUNDED[rounding](Fraction(n, count))


@given(casts())
def test_a_cast_is_exact_rational_arithmetic(case: Cast) -> None:
    """Every mode, word 1 to 32, signed or not, shifts far over the word either way."""
    value, frac, target, rounding, overflow = case
    assert cast_raw(*case) == cast_rational(exact(value, frac), target, rounding, overflow)


@pytest.mark.parametrize(
    ("overflow", "results"),
    [
        (Overflow.SATURATE, [-4, -4, -3, 3, 3]),
        (Overflow.SATURATE_SYMMETRIC, [-3, -3, -3, 3, 3]),
        (Overflow.SATURATE_ZERO, [0, -4, -3, 3, 0]),
        (Overflow.WRAP, [3, -4, -3, 3, -4]),
    ],
)
def test_overflow_goes_where_the_contract_says(overflow: Overflow, results: list[int]) -> None:
    """-5, -4, -3, 3 and 4 in a signed word of 3 bits, which holds -4..3."""
    target, values = QFormat(3, 0), (-5, -4, -3, 3, 4)
    casts = [cast_raw(v, 0, target, Rounding.FLOOR, overflow) for v in values]
    symmetric = overflow is Overflow.SATURATE_SYMMETRIC
    assert [raw for raw, _ in casts] == results
    assert [over for _, over in casts] == [True, symmetric, False, False, True]


def test_symmetric_saturation_of_an_unsigned_word_is_plain() -> None:
    """-1 and 8 in an unsigned word of 3 bits become 0 and 7."""
    modes = (Rounding.FLOOR, Overflow.SATURATE_SYMMETRIC)
    target = QFormat(3, 0, signed=False)
    assert [cast_raw(v, 0, target, *modes) for v in (-1, 0, 8)] == [
        (0, True),
        (0, False),
        (7, True),
    ]


def test_overflow_is_judged_after_rounding() -> None:
    """3.25 fits a word that ends at 3, 3.5 rounds up out of it, -4.5 rounds back into it."""
    modes = (QFormat(3, 0), Rounding.NEAREST_EVEN, Overflow.SATURATE)
    assert [cast_raw(v, 2, *modes) for v in (13, 14, -18)] == [(3, False), (3, True), (-4, False)]


def test_a_cast_between_equal_formats_changes_nothing() -> None:
    """The minimum survives saturate-symmetric only where source and target are one format."""
    source, symmetric = QFormat(8, 4), Overflow.SATURATE_SYMMETRIC
    same = cast_raw(-128, 4, source, Rounding.FLOOR, symmetric, source)
    wider = cast_raw(-128, 4, source, Rounding.FLOOR, symmetric, QFormat(9, 4))
    assert (same, wider) == ((-128, False), (-127, True))


@pytest.mark.parametrize(
    ("rounding", "tiny", "minus_tiny"),
    [(Rounding.FLOOR, 0, -1), (Rounding.NEAREST_UP, 0, 0), (Rounding.ZERO, 0, 0)],
)
def test_a_shift_over_the_word_leaves_the_sign(
    rounding: Rounding, tiny: int, minus_tiny: int
) -> None:
    """1 and -1 at 100 fraction bits are almost 0 for a word without any."""
    casts = [cast_raw(v, 100, QFormat(16, 0), rounding, Overflow.SATURATE) for v in (1, -1)]
    assert casts == [(tiny, False), (minus_tiny, False)]


@pytest.mark.parametrize(
    ("overflow", "result"), [(Overflow.SATURATE, 32767), (Overflow.WRAP, 0)], ids=str
)
def test_a_left_shift_over_the_word_is_exact_before_it_overflows(
    overflow: Overflow, result: int
) -> None:
    """1 at 100 fraction bits fewer than the target saturates, or wraps to its low bits, 0."""
    assert cast_raw(1, -100, QFormat(16, 0), Rounding.FLOOR, overflow) == (result, True)
    assert cast_raw(0, -100, QFormat(16, 0), Rounding.FLOOR, overflow) == (0, False)


@given(accumulators, st.integers(-(2**64), 2**64))
def test_wrap_keeps_the_low_bits(word: Accumulator, value: int) -> None:
    """The result lies in the range, and differs from the value by a multiple of 2**word."""
    assert word.min <= wrap(value, word) <= word.max
    assert (value - wrap(value, word)) & (2**word.word - 1) == 0


@given(st.integers(-(2**40), 2**40), st.integers(-20, 60))
def test_shifts_divide_by_a_power_of_two(value: int, down: int) -> None:
    """``floor_shift`` rounds down, ``half_up`` to the nearest, ties upward."""
    assert floor_shift(value, down) == math.floor(exact(value, down))
    assert half_up(value, down) == math.floor(exact(value, down) + HALF)


@given(st.integers(0, 2**70), st.integers(1, 2**43))
def test_divide_rounds_to_the_nearest(numerator: int, denominator: int) -> None:
    """Ties go up; an odd denominator has none, so half of it may be rounded down."""
    assert divide(numerator, denominator) == math.floor(Fraction(numerator, denominator) + HALF)


# Sums in a register that drops bits: a bias of 2, then 5, -6 and -7 quarters, dropping 2 bits


@pytest.mark.parametrize(
    ("text", "total"),
    [
        # 2 + 1.25 = 3.25, then - 1.5 and - 1.75; the step at which roundings part is marked
        ("Q7.0 floor", -1),  # 3, 1 (of 1.5), -1 (of -0.75)
        ("Q7.0 zero", 0),  # 3, 1, 0 (of -0.75)
        ("Q7.0 nearest-even", 0),  # 3, 2 (of 1.5), 0 (of 0.25)
        ("Q7.0 nearest-up", 0),  # 3, 2, 0
        ("Q7.0 nearest-down", -1),  # 3, 1, -1
        ("Q7.0 nearest-zero", -1),  # 3, 1, -1
        ("Q7.0 nearest-away", 0),  # 3, 2, 0
        ("Q7.0 floor cast", -1),  # 2 + 1 - 2 - 2
        ("Q7.0 zero cast", 1),  # 2 + 1 - 1 - 1
        ("Q7.0 nearest-even cast", -1),  # 2 + 1 - 2 - 2
        ("Q7.0 nearest-up cast", 0),  # 2 + 1 - 1 - 2
        ("Q7.0 nearest-down cast", -1),  # 2 + 1 - 2 - 2
        ("Q7.0 nearest-zero cast", 0),  # 2 + 1 - 1 - 2
        ("Q7.0 nearest-away cast", -1),  # 2 + 1 - 2 - 2
    ],
)
def test_a_register_rounds_each_step(text: str, total: int) -> None:
    """A fused product with the sum that it meets, a cast one by itself."""
    register = Accumulator.parse(text)
    assert accumulate(register, 8, [5, -6, -7], 2) == (total, 0)


def test_the_bias_is_rounded_and_clamped_first() -> None:
    """127.75 rounds up to 128, which is clamped: one overflow; wrapped, it is -128, and goes."""
    assert accumulate(Accumulator.parse("Q7.0 nearest-up"), 511, [0], 2) == (127, 1)
    assert accumulate(Accumulator.parse("Q7.0 floor"), 511, [0], 2) == (127, 0)
    assert accumulate(Accumulator.parse("Q7.0 nearest-up wrap"), 511, [0], 2) == (-128, 1)
    assert accumulate(Accumulator.parse("Q7.0 nearest-up wrap"), 511, [-4], 2) == (127, 0)


def test_a_step_that_clamps_twice_counts_once() -> None:
    """A product cast to 127 and added to 100: both clamp, in one step."""
    assert accumulate(Accumulator.parse("Q7.0 cast"), 100, [200, -300], 0) == (-1, 2)
    assert accumulate(Accumulator.parse("Q7.0 fused"), 100, [200, -300], 0) == (-128, 2)
    assert accumulate(Accumulator.parse("Q7.0 cast"), -100, [200], 0) == (27, 1)
    assert accumulate(Accumulator.parse("Q7.0 fused"), -100, [200], 0) == (100, 0)


def test_a_wrapping_register_counts_what_an_endless_one_ends_at() -> None:
    """127 + 2.5 toward 0 is 129, wrapped -127; back by 2.5 the one is 126, the other -129: 127."""
    register = Accumulator.parse("Q7.0 zero wrap")
    assert accumulate(register, 254, [5], 1) == (-127, 1)
    assert accumulate(register, 254, [5, -5], 1) == (127, 0)
    assert accumulate(Accumulator.parse("Q7.0 zero"), 254, [5, -5], 1) == (124, 1)


def test_bits_that_a_register_adds_are_exact() -> None:
    """3 in a register of 4 more fraction bits is 48; a plain accumulator keeps what it is given."""
    assert accumulate(Accumulator.parse("Q7.4 zero"), 1, [3, -2], -4) == (32, 0)
    assert accumulate(Accumulator.parse("Q3.4 cast"), 1, [8, -8], -4) == (-1, 1)
    assert accumulate(Accumulator(8), 100, [100, -27], 0) == (100, 1)
