"""Formats, modes and accumulators read and print as the field spells them."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import (
    Accumulator,
    NumberType,
    Overflow,
    Product,
    QFormat,
    Rounding,
    parse_number,
)

AP_ROUNDING = {
    "nearest-even": "AP_RND_CONV",
    "nearest-up": "AP_RND",
    "nearest-down": "AP_RND_MIN_INF",
    "nearest-zero": "AP_RND_ZERO",
    "nearest-away": "AP_RND_INF",
    "floor": "AP_TRN",
    "zero": "AP_TRN_ZERO",
}
AP_OVERFLOW = {
    "saturate": "AP_SAT",
    "saturate-symmetric": "AP_SAT_SYM",
    "saturate-zero": "AP_SAT_ZERO",
    "wrap": "AP_WRAP",
}
any_format = st.builds(
    QFormat, st.integers(1, 32), st.integers(-1000, 1000) | st.integers(-4, 40), st.booleans()
)


@given(any_format)
def test_a_format_reads_as_it_prints(fmt: QFormat) -> None:
    """Both spellings give the format back, whatever its fraction."""
    assert QFormat.parse(str(fmt)) == fmt
    assert QFormat.parse(fmt.ap_name) == fmt
    assert parse_number(f" {fmt}\n") == NumberType(fmt)


@pytest.mark.parametrize("word", range(1, 33))
@pytest.mark.parametrize("signed", [True, False])
def test_every_word_reads_as_it_prints(word: int, signed: bool) -> None:
    """Each of the words, with none to all of its bits behind the point and some more."""
    for frac in range(-3, word + 4):
        fmt = QFormat(word, frac, signed)
        assert QFormat.parse(str(fmt)) == QFormat.parse(fmt.ap_name) == fmt


@pytest.mark.parametrize(
    ("text", "word", "frac", "signed", "canonical"),
    [
        ("Q3.12", 16, 12, True, "Q3.12"),
        ("UQ0.8", 8, 8, False, "UQ0.8"),
        ("Q-2.17", 16, 17, True, "Q-2.17"),
        ("Q20.-5", 16, -5, True, "Q20.-5"),
        ("UQ-3.10", 7, 10, False, "UQ-3.10"),
        ("Q0.0", 1, 0, True, "Q0.0"),
        ("UQ32.0", 32, 0, False, "UQ32.0"),
        ("ap_fixed<16,4>", 16, 12, True, "Q3.12"),
        ("ap_ufixed<8,0>", 8, 8, False, "UQ0.8"),
        (" ap_fixed< 16 , -3 > ", 16, 19, True, "Q-4.19"),
        ("ap_fixed<16,40>", 16, -24, True, "Q39.-24"),
    ],
)
def test_formats_mean_what_the_field_means(
    text: str, word: int, frac: int, signed: bool, canonical: str
) -> None:
    """Texas Instruments do not count the sign bit, Xilinx count it."""
    assert QFormat.parse(text) == QFormat(word, frac, signed)
    assert str(QFormat(word, frac, signed)) == canonical


@pytest.mark.parametrize("word", [1, 2, 8, 15, 16, 31, 32])
def test_limits_are_those_of_the_word(word: int) -> None:
    """The ends are what all ones, or the sign bit alone, mean in the word."""
    signed, unsigned = QFormat(word, 3), QFormat(word, 3, signed=False)
    ones = int("1" * word, 2)
    assert (unsigned.min, unsigned.max) == (0, ones)
    assert signed.max - signed.min == ones
    assert signed.min + signed.max == -1
    assert signed.lsb == 0.125
    assert (signed.integer, unsigned.integer) == (word - 4, word - 3)


def test_modes_have_the_names_of_ap_fixed() -> None:
    """Each mode is known by the contract's name and by Xilinx's."""
    assert {mode.value: mode.ap_name for mode in Rounding} == AP_ROUNDING
    assert {mode.value: mode.ap_name for mode in Overflow} == AP_OVERFLOW


@pytest.mark.parametrize(("rounding", "overflow"), [*product(AP_ROUNDING, AP_OVERFLOW)])
def test_ap_fixed_reads_with_its_modes(rounding: str, overflow: str) -> None:
    """All 28 pairs of modes are read, with or without blanks and the count of sign bits."""
    names = f"{AP_ROUNDING[rounding]},{AP_OVERFLOW[overflow]}"
    wanted = NumberType(QFormat(16, 10), Rounding(rounding), Overflow(overflow))
    assert parse_number(f"ap_fixed<16,6,{names}>") == wanted
    assert parse_number(f"ap_fixed<16, 6, {names.replace(',', ' , ')}, 0>") == wanted
    assert parse_number(f"ap_fixed<16,6,{AP_ROUNDING[rounding]}>").overflow is None


NOT_A_FORMAT = [
    *("", "Q", "3.12", "q3.12", "Q3,12", "Q3.12.1", "Q 3.12", "IQ3.12", "Q3.", "Q.12", "Q+3.12"),
    *("Q3.12345", "ap_fixed<16>", "ap_fixed<-16,4>", "ap_fixed<16,4,AP_RND,AP_SAT,1>"),
    *("ap_fixed<16,4,>", "ap_fixed<16,4", "ap_int<16,8>", "float32", "Q3.12 Q3.12", "ap_fixed<,>"),
]


@pytest.mark.parametrize("text", NOT_A_FORMAT)
def test_parse_refuses_other_text(text: str) -> None:
    """What is no format is quoted, with the spellings that are."""
    message = f"a format must look like Q3.12, UQ0.8 or ap_fixed<16,4>, not {text!r}"
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        QFormat.parse(text)


ROUNDINGS, OVERFLOWS = ", ".join(AP_ROUNDING.values()), ", ".join(AP_OVERFLOW.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q20.20", "Q20.20 takes 41 bits; a word must be 1 to 32 bits"),
        ("Q-1.0", "Q-1.0 takes 0 bits; a word must be 1 to 32 bits"),
        ("UQ0.0", "UQ0.0 takes 0 bits; a word must be 1 to 32 bits"),
        ("UQ-9.3", "UQ-9.3 takes -6 bits; a word must be 1 to 32 bits"),
        ("ap_fixed<33,4>", "ap_fixed<33,4> takes 33 bits; a word must be 1 to 32 bits"),
        ("ap_ufixed<0,4>", "ap_ufixed<0,4> takes 0 bits; a word must be 1 to 32 bits"),
        ("Q-985.1001", "fraction bits must be -1000 to 1000, not 1001"),
        ("ap_fixed<16,1017>", "fraction bits must be -1000 to 1000, not -1001"),
        (
            "ap_fixed<16,4,AP_SAT>",
            f"the rounding of ap_fixed<16,4,AP_SAT> must be one of {ROUNDINGS}, not AP_SAT",
        ),
        (
            "ap_fixed<16,4,AP_RND,AP_RND>",
            f"the overflow of ap_fixed<16,4,AP_RND,AP_RND> must be one of {OVERFLOWS}, not AP_RND",
        ),
        (
            "ap_fixed<16,4,AP_RND>",
            "ap_fixed<16,4,AP_RND> must be a format without rounding or overflow here",
        ),
        (
            "ap_ufixed<8,4,AP_TRN,AP_WRAP>",
            "ap_ufixed<8,4,AP_TRN,AP_WRAP> must be a format without rounding or overflow here",
        ),
    ],
)
def test_parse_refuses_impossible_formats(text: str, message: str) -> None:
    """A word or fraction out of range, a mode of the wrong kind, or modes where none belong."""
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        QFormat.parse(text)


@pytest.mark.parametrize(
    ("word", "frac", "message"),
    [
        (0, 0, "a word must be 1 to 32 bits, not 0"),
        (33, 0, "a word must be 1 to 32 bits, not 33"),
        (-1, 0, "a word must be 1 to 32 bits, not -1"),
        (16, 1001, "fraction bits must be -1000 to 1000, not 1001"),
        (16, -1001, "fraction bits must be -1000 to 1000, not -1001"),
    ],
)
def test_a_format_refuses_impossible_numbers(word: int, frac: int, message: str) -> None:
    """A format that cannot be cannot be made."""
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        QFormat(word, frac)


@given(any_format)
def test_a_tensor_has_what_int16_holds(fmt: QFormat) -> None:
    """A format is a tensor's exactly where it has 2 bits or more and int16 holds its ends."""
    if fmt.word >= 2 and fmt.min >= -(2**15) and fmt.max < 2**15:
        assert fmt.for_tensor() is fmt
    else:
        with pytest.raises(FormatError, match=r"^.+$"):
            fmt.for_tensor()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q4.12", "Q4.12 takes 17 bits with its sign, not 16; did you mean Q3.12?"),
        ("Q9.9", "Q9.9 takes 19 bits with its sign, not 16; did you mean Q6.9?"),
        ("Q0.31", "Q0.31 takes 32 bits with its sign, not 16; did you mean Q-16.31?"),
        (
            "UQ8.8",
            "UQ8.8 takes 17 bits with the zero sign of int16, not 16; did you mean UQ7.8?",
        ),
        ("UQ1.0", "a tensor's word must be 2 to 16 bits, not 1 (UQ1.0)"),
        ("Q-3.3", "a tensor's word must be 2 to 16 bits, not 1 (Q-3.3)"),
    ],
)
def test_for_tensor_proposes_the_nearest(text: str, message: str) -> None:
    """The message counts the bits as int16 does and keeps the fraction in what it proposes."""
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        QFormat.parse(text).for_tensor()


@given(any_format.filter(lambda fmt: fmt.word + (not fmt.signed) > 16))
def test_what_for_tensor_proposes_is_a_tensors(fmt: QFormat) -> None:
    """The remedy is accepted, and has the sign and the fraction of what was wanted."""
    with pytest.raises(FormatError, match=r"^.+; did you mean \S+\?$") as caught:
        fmt.for_tensor()
    remedy = QFormat.parse(str(caught.value).rpartition(" ")[2].rstrip("?"))
    assert remedy.for_tensor() == QFormat(16 - (not fmt.signed), fmt.frac, fmt.signed)


@pytest.mark.parametrize("word", range(8, 63))
@pytest.mark.parametrize("overflow", [Overflow.SATURATE, Overflow.WRAP])
def test_an_accumulator_reads_as_it_prints(word: int, overflow: Overflow) -> None:
    """Each of the 110 accumulators comes back, with the limits of its word."""
    accumulator = Accumulator(word, overflow)
    assert Accumulator.parse(str(accumulator)) == accumulator
    assert accumulator.max - accumulator.min == int("1" * word, 2)
    assert accumulator.min + accumulator.max == -1


def test_an_accumulator_saturates_in_a_dsp_slice_unless_told() -> None:
    """The default has 48 bits; a bare word saturates; blanks do not matter."""
    assert Accumulator() == Accumulator.parse("48") == Accumulator(48, Overflow.SATURATE)
    assert Accumulator.parse("  32   wrap ") == Accumulator(32, Overflow.WRAP)


LOOKS = "'48', '32 wrap', 'ap_fixed<24,10>' or 'Q9.14 floor saturate fused'"
NO_ACCUMULATORS = (
    *("wrap", "-48", "48wrap", "32 zero", "", "Q9", "Q9.14floor", "Q9.14 floor zero", "16 cast"),
    *("Q9.14 trap", "ap_fixed<24>", "ap_fixed<24,10", "Q9.14 wrap wrap", "floor Q9.14"),
)
SYMMETRIC = "an accumulator must saturate or wrap, not saturate-symmetric"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7", "an accumulator must be 8 to 62 bits, not 7"),
        ("63 wrap", "an accumulator must be 8 to 62 bits, not 63"),
        *(
            (text, f"an accumulator must look like {LOOKS}, not {text!r}")
            for text in NO_ACCUMULATORS
        ),
        ("UQ8.8", "an accumulator must be signed, not UQ8.8"),
        ("ap_ufixed<16,4> wrap", "an accumulator must be signed, not ap_ufixed<16,4>"),
        ("Q4.2", "an accumulator must be 8 to 62 bits, not 7"),
        ("ap_fixed<63,10>", "an accumulator must be 8 to 62 bits, not 63"),
        ("Q1030.-1001", "fraction bits must be -1000 to 1000, not -1001"),
        ("ap_fixed<24,10,AP_RND,AP_SAT_SYM>", SYMMETRIC),
        ("Q9.14 saturate-symmetric", SYMMETRIC),
        (
            "ap_fixed<24,10,AP_RND> floor",
            "an accumulator must name its rounding once, not as 'ap_fixed<24,10,AP_RND> floor'",
        ),
        (
            "ap_fixed<24,10,AP_RND,AP_WRAP> saturate",
            "an accumulator must name its overflow once, "
            "not as 'ap_fixed<24,10,AP_RND,AP_WRAP> saturate'",
        ),
    ],
)
def test_accumulator_refuses_other_text(text: str, message: str) -> None:
    """A word out of range or a mode that no accumulator has."""
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        Accumulator.parse(text)


@given(
    st.builds(
        Accumulator,
        st.integers(8, 62),
        st.sampled_from([Overflow.SATURATE, Overflow.WRAP]),
        st.integers(-1000, 1000),
        st.sampled_from(Rounding),
        st.sampled_from(Product),
    )
)
def test_a_register_reads_as_it_prints(register: Accumulator) -> None:
    """Its text tells all: the format, the rounding, the overflow, how products enter."""
    assert Accumulator.parse(str(register)) == register
    assert Accumulator.parse(str(register).replace(" ", "   ") + " ") == register


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("Q9.14", "Q9.14 floor saturate fused"),
        ("Q9.14 wrap", "Q9.14 floor wrap fused"),
        ("Q0.61 cast nearest-away", "Q0.61 nearest-away saturate cast"),
        ("Q-2.17", "Q-2.17 floor saturate fused"),
        ("ap_fixed<24,10>", "Q9.14 floor wrap cast"),
        ("ap_fixed<62,1>", "Q0.61 floor wrap cast"),
        ("ap_int<24>", "Q23.0 floor wrap cast"),
        ("ap_fixed<32, 16, AP_RND>", "Q15.16 nearest-up wrap cast"),
        ("ap_fixed<32,16,AP_RND_CONV,AP_SAT> fused", "Q15.16 nearest-even saturate fused"),
        ("ap_fixed<32,16> zero saturate", "Q15.16 zero saturate cast"),
    ],
)
def test_a_format_has_the_modes_of_its_notation(text: str, resolved: str) -> None:
    """Q notation floors, saturates and is fused; ap_fixed floors, wraps and casts, as in hls4ml."""
    assert str(Accumulator.parse(text)) == resolved


def test_an_accumulators_modes_may_be_text() -> None:
    """As everywhere; and what is no mode, no count or has no effect is refused."""
    register = Accumulator(24, "wrap", 14, "zero", "cast")  # type: ignore[arg-type] # what a user may pass
    assert register == Accumulator.parse("Q9.14 zero wrap cast")
    for fields, message in (
        ({"overflow": "trap"}, "overflow must be one of saturate, .*, not 'trap'"),
        ({"frac": 3, "product": "both"}, "product must be one of fused, cast, not 'both'"),
        ({"word": "48"}, "an accumulator must be a whole number, not '48'"),
        ({"frac": 1.5}, "fraction bits must be a whole number, not 1.5"),
        ({"rounding": "zero"}, "an accumulator must have fraction bits .*, not none; give frac"),
        ({"product": "cast"}, "an accumulator must have fraction bits .*, not none; give frac"),
    ):
        with pytest.raises(FormatError, match=f"^{message}$"):
            Accumulator(**fields)


@pytest.mark.parametrize("overflow", [Overflow.SATURATE_SYMMETRIC, Overflow.SATURATE_ZERO])
def test_an_accumulator_saturates_or_wraps(overflow: Overflow) -> None:
    """The other modes belong to casts."""
    message = rf"^an accumulator must saturate or wrap, not {overflow.value}$"
    with pytest.raises(FormatError, match=message):
        Accumulator(48, overflow)


def test_the_narrowest_accumulator_that_holds() -> None:
    """Of 8 to 62 bits, all else kept; none is wide enough for more."""
    register = Accumulator(48, Overflow.WRAP)
    assert [register.holding(bits) for bits in (0, 8, 9, 62)] == [
        Accumulator(word, Overflow.WRAP) for word in (8, 8, 9, 62)
    ]
    assert register.holding(63) is None
