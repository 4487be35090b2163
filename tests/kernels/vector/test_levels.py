"""Sums that are levelled modulo 2**32 are cast as integers are, at the limits of every format."""

from dataclasses import replace

import numpy as np
import pytest

from fxpnn.fixedpoint.casting import limits
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from tests.support.sums import Case, Ints, assert_equal, run_chunked, run_exact

ROUNDINGS = (Rounding.NEAREST_EVEN, Rounding.NEAREST_UP, Rounding.NEAREST_DOWN, Rounding.FLOOR)
ROWS = np.array(
    [
        *[(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, -1), (1, -1, 0)],
        *[(-1, 1, 0), (1, 1, 0), (-1, -1, 0), (1, 1, 1), (-1, -1, -1), (-1, 1, 1)],
    ]
)
"""What each of three segments adds, in counts of nearly ``2**31``: a tile of rows and more."""


def near_biases(low: int, high: int, shift: int) -> Ints:
    """Return biases at the ends of the range, in it, for 16 lanes."""
    first, last = low << shift, (high << shift) - 1
    inside = [first, first + 1, last, last - 1, 0, -1, 1, first // 2, last // 2]
    return np.resize(np.clip(inside, first, last), 16).astype(np.int64)


def far_biases(low: int, high: int, shift: int) -> Ints:
    """Return biases about the ends of the range, and about those that come round to them."""
    edges = [low << shift, (high + 1) << shift, (low - 1) << shift]
    return np.array(
        [edge + round_ + beside for edge in edges for round_ in (0, 2**32) for beside in (-1, 0)]
        + [2**31, -(2**31), 2**32, -(2**32)]
    )


def shifts(word: int) -> range:
    """Return the shifts about the one with which a range of words fills 31 bits."""
    return range(max(0, 30 - word), min(30, 32 - word) + 1)


@pytest.mark.parametrize("word", range(2, 17))
@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda o: o.value)
def test_sums_at_the_limit_of_level_sums(word: int, overflow: Overflow) -> None:
    """Segments lead sums as far as one can, to all sides of the range; every rounding and shift."""
    fmt = QFormat(word, 0)
    low, high = limits(fmt, overflow)
    x = np.repeat(ROWS, 2, axis=1) * 32767
    for shift in shifts(word):
        for way in ROUNDINGS:
            for biases in (near_biases, far_biases):
                case = Case(x, np.full((16, 6), 32767), biases(low, high, shift), shift=shift)
                case = replace(case, rounding=way, overflow=overflow, output=fmt)
                assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("word", range(2, 17))
@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda o: o.value)
def test_sums_of_32_bits_at_their_limits(word: int, overflow: Overflow) -> None:
    """They reach both ends of 32 bits, and all sides of the range, for every rounding and shift."""
    fmt = QFormat(word, 0)
    low, high = limits(fmt, overflow)
    x = np.array([[0, 0], [1, 0], [0, -1], [3, 4], [-7, 1], [1, 1], [2, 0], [-1, -1], [0, 5]])
    for shift in shifts(word):
        for way in ROUNDINGS:
            bias = np.clip(far_biases(low, high, shift), 20 - 2**31, 2**31 - 21)
            case = Case(x, np.ones((16, 2), np.int64), bias, shift=shift)
            case = replace(case, rounding=way, overflow=overflow, output=fmt)
            assert_equal(run_exact(case), case)


def test_ternary_words_of_a_symmetric_range_are_not_near_with_a_shift_of_30() -> None:
    """Their format has a fourth word, one below the range: level sums would need 32 bits."""
    x = np.zeros((9, 8), np.int64)
    x[:, 4:6] = 32767
    case = Case(x, np.full((16, 8), 32767), np.full(16, (1 << 30) - 1), shift=30)
    case = replace(case, output=QFormat(2, 0), overflow=Overflow.SATURATE_SYMMETRIC)
    assert not case.near()
    assert replace(case, shift=29, bias=case.bias // 2).near()
    found, _, saturations, _ = run_chunked(case)
    assert (found == 1).all()
    assert saturations == found.size
