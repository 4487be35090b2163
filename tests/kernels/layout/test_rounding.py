"""What vector code rounds by, and when it may, is what rationals and integers say."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.kernels.layout import instructions, rounding
from fxpnn.kernels.layout.packing import LANES
from tests.support.oracles import cast_rational

Ints = npt.NDArray[np.int64]
WORD16 = QFormat(16, 0)
ROUNDINGS = (Rounding.NEAREST_EVEN, Rounding.NEAREST_UP, Rounding.NEAREST_DOWN, Rounding.FLOOR)
EVEN = instructions.target(Shift(WORD16))


def rule(
    way: Rounding, shift: int, *sums: int, extra: int = 0, word: QFormat = WORD16
) -> Ints | None:
    """Make the rule of a column whose shifts are alike, for sums from the least to the largest."""
    to = instructions.target(Shift(word, way))
    return rounding.rule(np.full(LANES, shift), to, (min(sums), max(sums)), extra)


@given(
    way=st.sampled_from(ROUNDINGS),
    shift=st.integers(0, 30),
    quotient=st.integers(-40000, 40000),
    beside=st.integers(-1, 1),
    whole=st.booleans(),
    extra=st.integers(0, 16),
)
def test_the_rule_of_a_rounding_is_the_rounding(
    way: Rounding, shift: int, quotient: int, beside: int, whole: bool, extra: int
) -> None:
    """On ties, on whole numbers and beside them, four numbers say what rationals say."""
    total = (quotient << shift) + beside + (0 if whole else (1 << shift) >> 1)
    made = rule(way, shift, total, extra=extra)
    assume(made is not None)
    assert made is not None
    shifts, more, mask, keep = (int(part[0]) for part in made.reshape(4, LANES))
    found = (total + more) >> extra >> shifts
    if (total + more) & mask == 0:
        found &= keep
    wide = WORD16, way, Overflow.WRAP
    assert found % 2**16 == cast_rational(Fraction(total, 1 << shift), *wide)[0] % 2**16


@given(
    word=st.integers(2, 16),
    signed=st.booleans(),
    shift=st.integers(0, 30),
    beside=st.integers(-2, 2),
    data=st.data(),
)
def test_a_bit_tells_what_is_out_of_range(
    word: int, signed: bool, shift: int, beside: int, data: st.DataObject
) -> None:
    """Modulo 2**32, less the format's least, the format's quotients and no others are below it."""
    fmt = QFormat(word, 0, signed=signed)
    edge = data.draw(st.sampled_from([fmt.min << shift, (fmt.max + 1) << shift, -(2**31), 2**31]))
    total = min(max(edge + beside, -(2**31)), 2**31 - 1)
    made = rule(Rounding.FLOOR, shift, total, word=fmt)
    assume(made is not None)
    level = (total - (fmt.min << shift)) % 2**32
    assert (level >> shift < 2**word) == (fmt.min <= total >> shift <= fmt.max)


def test_sums_that_the_rule_does_not_suit_have_none() -> None:
    """The sign decides, or the shift is too wide or small."""
    even = Rounding.NEAREST_EVEN
    for way in Rounding:
        assert (rule(way, 3, 0) is None) == (way not in ROUNDINGS)
    for shift in (-1, 31):
        assert rule(even, shift, 0, extra=0, word=QFormat(2, 0)) is None
    assert rule(even, 30, 0, word=QFormat(2, 0)) is not None
    assert rule(even, 30, 0, extra=1) is not None
    assert rule(even, 4, 2**40, extra=4) is not None
    assert rule(even, 3, 0, extra=4) is None


@pytest.mark.parametrize("word", [WORD16, QFormat(12, 0), QFormat(15, 0, signed=False)])
@pytest.mark.parametrize("shift", [4, 16])
def test_sums_of_32_bits_do_not_come_round_into_the_range(word: QFormat, shift: int) -> None:
    """Less the least in range, the largest is below 2**32, and none is 2**32 below the range."""
    even = Rounding.NEAREST_EVEN
    most = 2**32 - ((1 - word.min) << shift) - 1
    least = ((word.max + 1) << shift) - 2**32
    assert rule(even, shift, most, least, word=word) is not None
    assert rule(even, shift, most + 1, word=word) is None
    assert rule(even, shift, 0, least - 1, word=word) is None


def test_sums_are_near_where_those_in_range_fit_31_bits() -> None:
    """The widest shift decides; so does a bias out of range, on either side."""
    shifts, bias = np.full(LANES, 14), np.zeros(LANES, np.int64)
    shifts[3] = 15
    assert rounding.near(shifts, bias, EVEN)
    assert not rounding.near(shifts + 1, bias, EVEN)
    for value, fits in ((-(2**29), True), (-(2**29) - 1, False), (32767 << 14, False)):
        bias[5] = value
        assert rounding.near(shifts, bias, EVEN) == fits
    bias[5] = (32767 << 14) - 1
    assert rounding.near(shifts, bias, EVEN)


def test_extra_bits_hold_every_sum_and_tell_carries_apart() -> None:
    """They leave room for half a divisor; as many parts as the other bits can count."""
    room = rounding.MOST_MORE
    assert rounding.extra_bits(0, 2) == rounding.extra_bits(2**32 - room - 1, 2**31) == 1
    assert rounding.extra_bits(2**32 - room, 2**30) == 2
    assert rounding.extra_bits(2**32 - room, 2**30 + 1) is None
    assert rounding.extra_bits(2**47 - room - 1, 2**16) == 16
    assert rounding.extra_bits(2**62 - room - 1, 2) == 31
    assert rounding.extra_bits(2**62 - room, 1) is None
