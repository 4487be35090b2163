"""Kernels, compiled and as plain Python, against integers that cannot overflow."""

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxpnn.exact import cast_raw, wrap
from fxpnn.kernels import arithmetic, lookup, plain, pool
from fxpnn.kernels.arithmetic import target
from fxpnn.kernels.plain import Geometry, Sum
from fxpnn.qformat import Accumulator, Overflow, QFormat, Rounding
from tests.strategies import Accumulation, Cast, accumulations, casts, near_ties

Kernel = Callable[..., Any]


def both(kernel: Any) -> pytest.MarkDecorator:
    """Run a test with a kernel compiled and as plain Python."""
    return pytest.mark.parametrize("kernel", [kernel, kernel.py_func], ids=["jit", "python"])


@both(arithmetic.round_shift)
@given(case=near_ties())
def test_round_shift_is_ties_to_even(kernel: Kernel, case: tuple[int, int]) -> None:
    """The shifted integer equals the rational quotient, rounded half to even."""
    value, shift = case
    if shift > 0:
        assert kernel(value, shift, arithmetic.NEAREST_EVEN) == round(Fraction(value, 2**shift))


@both(arithmetic.cast)
@given(case=casts(high=16))
def test_cast_is_the_exact_cast(kernel: Kernel, case: Cast) -> None:
    """Every rounding and overflow mode, any shift, ties and limits: value and overflow."""
    assume(abs(case.value) <= 2**62)  # what the kernel promises to take
    shift = case.frac - case.target.frac
    to = target(case.target, case.rounding, case.overflow)
    expected = cast_raw(case.value, case.frac, case.target, case.rounding, case.overflow)
    assert kernel(case.value, shift, to) == expected


@both(arithmetic.requantize)
def test_requantize_has_a_shift_per_channel(kernel: Kernel) -> None:
    """Channels become rows, each by its own shift; overflows are counted."""
    acc = np.array([[10, 3000], [-6, -5], [7, 1 << 40]])
    out = np.empty((2, 3), np.int16)
    to = target(QFormat(8, 0), Rounding.NEAREST_EVEN, Overflow.SATURATE)
    assert kernel(acc, np.array([2, 4]), to, out) == 2
    assert out.tolist() == [[2, -2, 2], [127, 0, 127]]


SUMS = {Overflow.SATURATE: plain.STEPWISE, Overflow.WRAP: plain.WRAPPED}


@both(plain.accumulate)
@given(case=accumulations())
def test_accumulate_clamps_every_add(kernel: Kernel, case: Accumulation) -> None:
    """The bias first, then each product; a wrapping word keeps the low bits of the total."""
    word = case.accumulator
    how = Sum(SUMS[word.overflow], word.min, word.max)
    acc = np.empty((1, 1), np.int64)
    overflows = kernel(case.x[None], case.weight[None], np.array([case.bias]), how, acc)
    assert (acc.item(), overflows) == summed(case)


def summed(case: Accumulation) -> tuple[int, int]:
    """Add up in Python integers; return the total and the count of overflows."""
    word = case.accumulator
    terms = [case.bias, *(int(a) * int(b) for a, b in zip(case.x, case.weight, strict=True))]
    if word.overflow is Overflow.WRAP:
        return wrap(sum(terms), word), int(not word.min <= sum(terms) <= word.max)
    total = overflows = 0
    for term in terms:
        total += term
        overflows += not word.min <= total <= word.max
        total = sorted((word.min, total, word.max))[1]
    return total, overflows


@both(plain.accumulate)
@pytest.mark.parametrize("method", [plain.SUM_32, plain.SUM_64])
def test_plain_sums_at_their_bound(kernel: Kernel, method: int) -> None:
    """The plain loops are exact where the proof allows them: 2**31 - 1 and -2**31."""
    x = np.array([[-32768, -32768, 32767]], np.int16)
    weight = np.array([[-32767, -32767, 2], [32767, 32767, 2], [32767, 32767, -1]], np.int16)
    bias = np.array([1 << 45, 0, -7])
    acc = np.empty((1, 3), np.int64)
    assert kernel(x, weight, bias, Sum(method, 0, 0), acc) == 0
    exact = weight.astype(object) @ x[0].astype(object) + bias.astype(object)
    assert acc[0].tolist() == exact.tolist()


@both(plain.gather)
def test_gather_reads_zero_outside(kernel: Kernel) -> None:
    """Patches run over channel, row, column; what lies in the padding is 0."""
    image = np.arange(1, 9, dtype=np.int16).reshape(2, 2, 2)
    patches = np.full((4, 8), 99, np.int16)
    kernel(image, Geometry((2, 2), (2, 2), (1, 1), (1, 1)), 2, patches)
    assert patches.tolist() == [
        [0, 0, 0, 1, 0, 0, 0, 5],
        [0, 0, 2, 0, 0, 0, 6, 0],
        [0, 3, 0, 0, 0, 7, 0, 0],
        [4, 0, 0, 0, 8, 0, 0, 0],
    ]


@both(pool.divide)
@given(total=st.integers(-(2**40), 2**40), count=st.integers(1, 2**20))
def test_divide_is_ties_to_even(kernel: Kernel, total: int, count: int) -> None:
    """One division, rounded half to even: 5/9 of a count is 1."""
    assert kernel(total, count) == round(Fraction(total, count))
    assert kernel(5, 9) == 1


@both(pool.root)
@given(base=st.integers(0, 2**30), offset=st.integers(-2, 2))
def test_root_is_nearest(kernel: Kernel, base: int, offset: int) -> None:
    """The integer nearest to the root, beside squares and halfway points."""
    for square in (base * base + offset, base * base + base + offset):
        if square >= 0:
            nearest = (isqrt(4 * square) + 1) // 2
            assert kernel(square) == nearest


@both(lookup.slope)
def test_slope_takes_negative_values_only(kernel: Kernel) -> None:
    """Each channel has its slope and shift; the overflow of -8 * -2 is counted."""
    x = np.array([[[5, -8], [7, -8]]], np.int16)
    out = np.empty_like(x)
    to = target(QFormat(5, 0), Rounding.FLOOR, Overflow.SATURATE)
    assert kernel(x, np.array([3, -4]), np.array([2, 1]), to, out) == 1
    assert out.tolist() == [[[5, -6], [7, 15]]]


@both(lookup.add)
def test_add_of_formats_20_bits_apart(kernel: Kernel) -> None:
    """Both sides are aligned exactly, added exactly and cast once."""
    a, b = np.array([1, -32768], np.int16), np.array([1, 32767], np.int16)
    out = np.empty(2, np.int16)
    to = target(QFormat(16, 0), Rounding.NEAREST_UP, Overflow.SATURATE)
    assert kernel(a, b, 20, 0, 1, to, out) == 2
    assert out.tolist() == [32767, -32768]
    assert kernel(a, b, 20, 0, 21, to, out) == 0
    assert out.tolist() == [1, -16384]


@both(lookup.look_up)
def test_look_up_indexes_by_the_words_bits(kernel: Kernel) -> None:
    """Negative words are found at their unsigned index."""
    answers = np.arange(65536).astype(np.uint16).view(np.int16)[::-1].copy()
    x = np.array([-32768, -1, 0, 32767], np.int16)
    out = np.empty_like(x)
    kernel(x, answers, out)
    assert out.tolist() == [32767, 0, -1, -32768]


def test_accumulator_words_fit_the_kernels() -> None:
    """The widest accumulator plus one product stays inside int64."""
    assert Accumulator(62).max + 2**30 < 2**63
