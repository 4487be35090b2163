"""Texts and objects are taken alike; what is no number of 64 bits is refused."""

from itertools import product
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn.errors import DataError, FormatError
from fxpnn.fixedpoint.integers import accumulate
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.quantization.settings import Method, Settings

RAW = np.arange(-400, 400, 7)
FLOATS = RAW / 256
WIDE, NARROW = QFormat(16, 12), QFormat(4, 4)


@pytest.mark.parametrize(("rounding", "overflow"), [*product(Rounding, Overflow)])
def test_a_mode_may_be_given_by_its_name(rounding: Rounding, overflow: Overflow) -> None:
    """Both casts do for a text, ``ap_fixed``'s too, what they do for the mode of that name."""
    modes = (rounding, overflow)
    cast, from_float = (
        fxpnn.cast(RAW, WIDE, NARROW, *modes),
        fxpnn.from_float(FLOATS, NARROW, *modes),
    )
    for texts in ((rounding.value, overflow.value), (rounding.ap_name, overflow.ap_name)):
        assert (fxpnn.cast(RAW, WIDE, NARROW, *texts) == cast).all()
        assert (fxpnn.from_float(FLOATS, NARROW, *texts) == from_float).all()
        assert Settings(rounding=texts[0], overflow=texts[1]) == Settings(  # type: ignore[arg-type] # what a user may pass
            rounding=rounding, overflow=overflow
        )


@pytest.mark.parametrize(
    "value", ["nonsense", "FLOOR", "", "AP_SAT", "ap_trn", [], None, 3, Overflow.WRAP]
)
def test_what_names_no_rounding_is_refused(value: str) -> None:
    """Nothing is rounded by another mode instead."""
    message = r"^rounding must be one of nearest-even, .*, zero, not .*$"
    with pytest.raises(FormatError, match=message):
        fxpnn.cast(RAW, WIDE, NARROW, value)
    with pytest.raises(FormatError, match=message):
        fxpnn.from_float(RAW / 256, NARROW, value)


def test_what_names_no_overflow_is_refused() -> None:
    """It is named in the line."""
    message = "^overflow must be one of saturate, .*, wrap, not 'rubbish'$"
    with pytest.raises(FormatError, match=message):
        fxpnn.cast(RAW, WIDE, NARROW, "floor", "rubbish")


def test_settings_take_texts() -> None:
    """Settings of texts equal those of objects."""
    words: dict[str, Any] = {
        "method": "mse",
        "rounding": "floor",
        "overflow": "wrap",
        "accumulator": "32 wrap",
        "output": "Q5.10",
        "weight": ("Q1.6", "Q0.7"),
    }
    assert Settings(**words) == Settings(
        method=Method.MSE,
        rounding=Rounding.FLOOR,
        overflow=Overflow.WRAP,
        accumulator=Accumulator(32, Overflow.WRAP),
        output=QFormat(16, 10),
        weight=(QFormat(8, 6), QFormat(8, 7)),
    )


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("method", "^method must be one of minmax, percentile, mse, proved, not 'nonsense'$"),
        ("rounding", "^rounding must be one of .*, not 'nonsense'$"),
        ("overflow", "^overflow must be one of .*, not 'nonsense'$"),
        ("accumulator", "^an accumulator must look like .*, not 'nonsense'$"),
        ("output", "^a format must look like .*, not 'nonsense'$"),
        ("weight", "^a format must look like .*, not 'nonsense'$"),
        ("word", "^a tensor's word must be 2 to 16 bits, not 'nonsense'$"),
        ("weight_word", "^a tensor's word must be 2 to 16 bits, not 'nonsense'$"),
    ],
)
def test_nonsense_in_settings_is_refused(key: str, message: str) -> None:
    """When they are made, not when they are used."""
    with pytest.raises(FormatError, match=message):
        Settings(**{key: "nonsense"})  # type: ignore[arg-type] # what a user may pass


def test_an_object_of_another_kind_is_refused() -> None:
    """A format is no accumulator."""
    with pytest.raises(FormatError, match=r"^Accumulator must be one or its text, not QFormat.*$"):
        Settings(accumulator=QFormat(16, 10))  # type: ignore[arg-type] # what a user may pass


def test_a_format_has_whole_numbers() -> None:
    """Floats are refused, even those without a fraction."""
    with pytest.raises(FormatError, match=r"^a word must be a whole number, not 16\.0$"):
        QFormat(16.0, 12)  # type: ignore[arg-type] # what a user may pass
    with pytest.raises(FormatError, match=r"^fraction bits must be a whole number, not '12'$"):
        QFormat(16, "12")  # type: ignore[arg-type] # what a user may pass


def test_counts_may_be_integers_of_numpy() -> None:
    """They become Python's: a shift or a sum with one of NumPy's overflows in 64 bits."""
    whole: list[Any] = [*np.array([16, 60, 62])]
    far = QFormat(whole[0], whole[1])
    assert Shift(far).raw(12345, 0) == (32767, True)
    assert (far, str(far)) == (QFormat(16, 60), "Q-45.60")
    register = Accumulator(whole[2], frac=whole[1])
    assert accumulate(register, 1 << 61, [1 << 61], 0) == (register.max, 2)
    short: list[Any] = [*np.array([8, 9], np.uint8)]
    assert (QFormat(*short).min, str(QFormat(*short))) == (-128, "Q-2.9")
    for count in (far.word, far.frac, register.word, register.frac):
        assert type(count) is int


def test_integers_of_hls_are_read() -> None:
    """``ap_int<8>`` means ``ap_fixed<8,8>``."""
    assert QFormat.parse("ap_int<8>") == QFormat(8, 0)
    assert QFormat.parse(" ap_uint< 12 > ") == QFormat(12, 0, signed=False)
    with pytest.raises(
        FormatError, match=r"^ap_int<40> takes 40 bits; a word must be 1 to 32 bits$"
    ):
        QFormat.parse("ap_int<40>")


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 60, reason="long doubles are short here")
def test_a_number_longer_than_a_double_is_refused() -> None:
    """It would be rounded twice; one that is a double is taken."""
    long = np.array([0.25, np.longdouble(0.5) + np.longdouble(2) ** -60])
    with pytest.raises(DataError, match=r"^x\[1\] must be a double, not a longer number .*$"):
        fxpnn.from_float(long, QFormat(16, 0), name="x")
    exact = np.array([0.5, np.inf, -2.5], np.longdouble)
    assert fxpnn.from_float(exact, QFormat(16, 1)).tolist() == [1, 32767, -5]


def test_an_integer_longer_than_a_double_is_refused() -> None:
    """2**53 is the last from which on all are doubles."""
    assert fxpnn.from_float([2**53, -(2**53)], QFormat(8, -48)).tolist() == [32, -32]
    with pytest.raises(DataError, match=r"^values\[0\] must be a double, .*$"):
        fxpnn.from_float([2**53 + 1], QFormat(8, -48))


@pytest.mark.parametrize("values", [["a"], [None], [1j], [[1.0], [1.0, 2.0]]])
def test_what_is_no_number_is_refused(values: list[object]) -> None:
    """The line says what is taken."""
    with pytest.raises(DataError, match=r"^values must be an array of real numbers, not .*$"):
        fxpnn.from_float(values, NARROW)  # type: ignore[arg-type] # what a user may pass
