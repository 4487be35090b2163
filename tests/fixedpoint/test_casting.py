"""Casts of arrays equal exact rational arithmetic in every mode, and say what overflowed."""

import math
import re
from fractions import Fraction
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fxpnn.errors import DataError
from fxpnn.fixedpoint.casting import (
    cast,
    from_float,
    from_float_counted,
    limits,
    requantize,
    to_float,
)
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.network.graph import Scaling
from tests.support.oracle_sums import ROUNDED, exact
from tests.support.oracles import cast_rational
from tests.support.strategies import Cast, casts, formats, overflows, roundings

SIGNS = [*product([True, False], repeat=2)]
SMALL = QFormat(4, 1)
SATURATE = Overflow.SATURATE


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize(("from_signed", "to_signed"), SIGNS)
def test_every_small_cast_is_rational(
    rounding: Rounding, overflow: Overflow, from_signed: bool, to_signed: bool
) -> None:
    """Every word of 5 bits, cast to 1 and to 3 bits by every shift that leaves something."""
    source = QFormat(5, 2, from_signed)
    raw = range(source.min, source.max + 1)
    for word, frac in product((1, 3), range(-4, 7)):
        target = QFormat(word, frac, to_signed)
        wanted = [cast_rational(exact(v, 2), target, rounding, overflow)[0] for v in raw]
        if source != target:
            assert cast(raw, source, target, rounding, overflow).tolist() == wanted


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("word", [1, 2, 31, 32])
def test_every_shift_is_rational(overflow: Overflow, signed: bool, word: int) -> None:
    """Few counts, shifted by up to more bits than int64 has either way."""
    source, raw = QFormat(4, 0), [*range(-3, 4)]
    for frac in range(-70, 71):
        target = QFormat(word, frac, signed)
        wanted = [cast_rational(exact(v, 0), target, Rounding.ZERO, overflow)[0] for v in raw]
        assert cast(raw, source, target, Rounding.ZERO, overflow).tolist() == wanted


@st.composite
def word_casts(draw: st.DrawFn) -> tuple[Cast, QFormat]:
    """Draw a cast beside a tie or limit, and a format of 1 to 32 bits that holds its value."""
    case = draw(casts().filter(lambda case: -(2**31) <= case.value < 2**32))
    signed = case.value < 0 or (case.value < 2**31 and draw(st.booleans()))
    bits = (case.value if case.value >= 0 else ~case.value).bit_length() + signed
    return case, QFormat(draw(st.integers(max(bits, 1), 32)), case.frac, signed)


@given(word_casts())
def test_cast_is_rational(pair: tuple[Cast, QFormat]) -> None:
    """Words 1 to 32 of either sign, and shifts far over the word in both directions."""
    (value, frac, target, rounding, overflow), source = pair
    wanted, _ = cast_rational(exact(value, frac), target, rounding, overflow)
    assert cast(value, source, target, rounding, overflow) == (
        value if source == target else wanted
    )


@given(st.lists(casts().filter(lambda case: abs(case.value) < 2**62), min_size=1, max_size=5))
def test_requantize_is_rational(cases: list[Cast]) -> None:
    """Values of 62 bits, each with a fraction of its own; flags say which overflowed."""
    _, _, target, rounding, overflow = cases[0]
    values, fracs = (np.array([case[i] for case in cases], np.int64) for i in (0, 1))
    raw, flags = requantize(values, fracs, target, rounding, overflow)
    wanted = [cast_rational(exact(*case[:2]), target, rounding, overflow) for case in cases]
    assert list(zip(raw.tolist(), flags.tolist(), strict=True)) == wanted


@given(
    st.integers(0, 62), st.integers(-1, 1), st.integers(-70, 70), formats(), roundings, overflows
)
def test_requantize_takes_62_bits(
    bits: int, beside: int, down: int, target: QFormat, rounding: Rounding, overflow: Overflow
) -> None:
    """Powers of two and their neighbours up to the widest, by one fraction for all."""
    value = min(2**bits + beside, 2**62 - 1)
    values, frac = [value, -value], target.frac + down
    raw, flags = requantize(np.array(values), frac, target, rounding, overflow)
    wanted = [cast_rational(exact(v, frac), target, rounding, overflow) for v in values]
    assert list(zip(raw.tolist(), flags.tolist(), strict=True)) == wanted


def test_requantize_broadcasts_fractions() -> None:
    """One fraction per row serves a whole row."""
    values, fracs = np.array([[8, 12], [8, 12]]), np.array([[2], [3]])
    raw, flags = requantize(values, fracs, QFormat(3, 0), Rounding.NEAREST_EVEN, SATURATE)
    assert raw.tolist() == [[2, 3], [1, 2]]
    assert not flags.any()


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("signed", [True, False])
def test_a_cast_to_the_same_format_changes_nothing(
    rounding: Rounding, overflow: Overflow, signed: bool
) -> None:
    """Not even the smallest word, which a symmetric range leaves out."""
    fmt = QFormat(4, 7, signed)
    raw = np.arange(fmt.min, fmt.max + 1)
    assert cast(raw, fmt, fmt, rounding, overflow).tolist() == raw.tolist()


def test_a_cast_keeps_the_shape() -> None:
    """Scalars, empty arrays and any integer dtype become int64 of the same shape."""
    for raw in (3, [[1], [2]], np.zeros((2, 0), np.int8), np.array([7], np.uint64)):
        result = cast(raw, SMALL, QFormat(8, 2))
        assert result.shape == np.shape(raw)
        assert result.dtype == np.int64


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([0.5], "raw values must be integers, not float64"),
        ([True], "raw values must be integers, not bool"),
        ([2**70], "raw values must be integers, not object"),
        (["1"], "raw values must be integers, not <U1"),
        ([8, 0], "raw values must fit Q2.1, not reach 0..8"),
        ([-9, 1], "raw values must fit Q2.1, not reach -9..1"),
        (np.array([2**63], np.uint64), f"raw values must fit Q2.1, not reach {2**63}..{2**63}"),
    ],
)
def test_cast_refuses(raw: npt.ArrayLike, message: str) -> None:
    """What is no word of the source gives one line."""
    with pytest.raises(DataError, match=rf"^{re.escape(message)}$"):
        cast(raw, SMALL, QFormat(8, 2))


@pytest.mark.parametrize(
    ("overflow", "signed", "wanted"),
    [
        (Overflow.SATURATE, True, (-8, 7)),
        (Overflow.SATURATE, False, (0, 15)),
        (Overflow.SATURATE_SYMMETRIC, True, (-7, 7)),
        (Overflow.SATURATE_SYMMETRIC, False, (0, 15)),
        (Overflow.SATURATE_ZERO, True, (-8, 7)),
        (Overflow.WRAP, True, (-8, 7)),
    ],
)
def test_limits_are_the_words_that_are_no_overflow(
    overflow: Overflow, signed: bool, wanted: tuple[int, int]
) -> None:
    """Only a symmetric signed range leaves a word out."""
    assert limits(QFormat(4, 0, signed), overflow) == wanted


@st.composite
def float_casts(draw: st.DrawFn) -> tuple[float, QFormat]:
    """Draw any float, or one on or next to a tie or limit of a target; of any magnitude."""
    case = draw(casts().filter(lambda case: abs(case.value) < 2**53))
    far = draw(st.just(0) | st.integers(-800, 870))
    target = QFormat(case.target.word, case.target.frac + far, case.target.signed)
    at = math.ldexp(case.value, -case.frac - far)
    beside = [at, math.nextafter(at, math.inf), math.nextafter(at, -math.inf)]
    any_float = st.floats(allow_nan=False, allow_infinity=False)
    return draw(st.sampled_from(beside) | any_float), target


@given(float_casts(), roundings, overflows)
@example((0.49999999999999994, QFormat(8, 0)), Rounding.NEAREST_UP, SATURATE)
@example((0.49999999999999994, QFormat(8, 0)), Rounding.NEAREST_AWAY, SATURATE)
@example((5e-324, QFormat(16, -1000)), Rounding.NEAREST_EVEN, SATURATE)
@example((-5e-324, QFormat(16, -1000)), Rounding.FLOOR, SATURATE)
@example((2.5e-308, QFormat(16, -1000)), Rounding.NEAREST_UP, SATURATE)
@example((5e-324, QFormat(16, 1000)), Rounding.NEAREST_EVEN, SATURATE)
@example((1.7976931348623157e308, QFormat(16, 1000)), Rounding.ZERO, Overflow.WRAP)
@example((4503599627370497.5, QFormat(32, 0)), Rounding.NEAREST_EVEN, Overflow.WRAP)
@example((-4503599627370497.5, QFormat(32, 1)), Rounding.FLOOR, Overflow.WRAP)
def test_from_float_is_rational(
    case: tuple[float, QFormat], rounding: Rounding, overflow: Overflow
) -> None:
    """Of subnormal to huge floats, the product with 2**frac is exact and rounded once."""
    value, target = case
    raw, flags = from_float_counted([value], target, rounding, overflow, "x")
    wanted = cast_rational(Fraction(value), target, rounding, overflow)
    assert (raw.item(), flags.item()) == wanted
    assert from_float(value, target, rounding, overflow) == raw


@pytest.mark.parametrize("rounding", Rounding)
def test_every_small_float_is_rational(rounding: Rounding) -> None:
    """Quarters of counts, the ties among them, of either sign."""
    quarters = [quarter / 4 for quarter in range(-20, 21)]
    assert from_float(quarters, QFormat(8, 0), rounding).tolist() == [
        ROUNDED[rounding](Fraction(value)) for value in quarters
    ]


def test_from_float_does_not_add_a_half() -> None:
    """The float below one half is below one half, though adding 0.5 to it gives 1."""
    below = 0.49999999999999994
    assert below + 0.5 == 1.0
    for rounding in Rounding:
        assert from_float([below, -below], QFormat(8, 0), rounding).tolist() == [
            0,
            -(rounding is Rounding.FLOOR),
        ]


@pytest.mark.parametrize(
    ("overflow", "signed", "wanted"),
    [
        (Overflow.SATURATE, True, [7, -8]),
        (Overflow.SATURATE_SYMMETRIC, True, [7, -7]),
        (Overflow.SATURATE_ZERO, True, [0, 0]),
        (Overflow.WRAP, True, [7, -8]),
        (Overflow.WRAP, False, [15, 0]),
        (Overflow.SATURATE, False, [15, 0]),
    ],
)
@pytest.mark.parametrize("rounding", Rounding)
def test_infinity_overflows(
    overflow: Overflow, signed: bool, wanted: list[int], rounding: Rounding
) -> None:
    """It saturates, under wrap too, for it has no low bits; both ends are flagged."""
    target = QFormat(4, 2, signed)
    endless = np.array([math.inf, -math.inf])
    raw, flags = from_float_counted(endless, target, rounding, overflow, "x")
    assert raw.tolist() == wanted
    assert flags.all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_from_float_names_the_first_nan(dtype: type[np.floating]) -> None:
    """The error says which tensor and where in it."""
    values = np.zeros((2, 3), dtype)
    values[1, 2] = values[1, 1] = math.nan
    with pytest.raises(DataError, match=r"^hidden\.weight\[1, 1\] must be a number, not NaN$"):
        from_float(values, SMALL, name="hidden.weight")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_from_float_takes_narrow_floats(dtype: type[np.floating]) -> None:
    """A float of fewer bits means what it means, and the shape stays."""
    raw = from_float(np.array([[0.25], [-1.5], [65504]], dtype), QFormat(16, 2))
    assert raw.tolist() == [[1], [-6], [32767]]
    assert raw.dtype == np.int64


@given(formats(), st.integers(-990, 990), st.data())
def test_to_float_is_exact(fmt: QFormat, frac: int, data: st.DataObject) -> None:
    """The float is the rational that the word means, and casts back to the word."""
    fmt = QFormat(fmt.word, frac, fmt.signed)
    raw = data.draw(st.integers(fmt.min, fmt.max))
    value = to_float([raw], fmt)
    assert Fraction(value.item()) == exact(raw, frac)
    assert from_float(value, fmt).tolist() == [raw]


def test_pixels_are_scaled_per_channel() -> None:
    """A pixel becomes (pixel * scale - mean) / std, of its own channel where there are several."""
    pixels = np.array([[[[0, 255]], [[64, 128]]]], np.uint8)
    assert Scaling().apply(pixels).tolist() == [[[[0.0, 255 / 256]], [[0.25, 0.5]]]]
    scaling = Scaling(0.5, (1.0, 2.0), (2.0, 4.0))
    assert scaling.apply(pixels).tolist() == [[[[-0.5, 63.25]], [[7.5, 15.5]]]]
    assert scaling.apply(pixels[:, 0, 0]).tolist() == [[-0.5, (127.5 - 2) / 4]]


def test_pixels_scaled_beyond_every_float_are_infinite() -> None:
    """They saturate in the cast that follows, without a word on stderr."""
    scaled = Scaling(1e307, std=(-1e-300,)).apply(np.array([[0, 255]], np.uint8))
    assert scaled.tolist() == [[0.0, -math.inf]]
