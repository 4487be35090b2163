"""The text of ``$readmemh``: what is spelled reads back, and what simulators write is read."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import DataError
from fxpnn.targets.readmemh import parse, spell


@given(st.data(), st.integers(1, 62), st.booleans())
def test_what_is_spelled_reads_back(data: st.DataObject, word: int, signed: bool) -> None:
    """Every value of the word, its ends too, in as many digits as it needs, one a line."""
    low, high = (-(1 << word - 1), (1 << word - 1) - 1) if signed else (0, (1 << word) - 1)
    ends = st.sampled_from([low, -1 if signed else high, 0, high])
    values = data.draw(st.lists(ends | st.integers(low, high), min_size=1, max_size=8))
    text = spell(np.array(values), word, "a header").decode()
    head, *lines = text.splitlines()
    assert (head, text[-1]) == ("// a header", "\n")
    assert lines == [f"{value & (1 << word) - 1:0{-(-word // 4)}x}" for value in values]
    assert parse(text, (len(values), 1), word, signed).tolist() == [[v] for v in values]


def test_headers_are_ascii() -> None:
    """Whatever a layer is called, the comment ends where its line does."""
    assert spell(np.array([1]), 8, "Gr\xf6\xdfe") == b"// Gr\\xf6\\xdfe\n01\n"
    assert spell(np.array([1]), 8) == b"01\n"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("7f 80\nFF", [127, -128, -1]),
        ("@0 7f // @9\n/* x\n zz */ 8_0 @2 ff", [127, -128, -1]),
        ("7f 80 ff /* open", [127, -128, -1]),
        ("007f 0080 ffff", [127, 128, -1]),
        ("7 f 0ff", [7, 15, 255]),
    ],
    ids=["plain", "comments", "open comment", "longer words", "shorter words"],
)
def test_what_simulators_write(text: str, values: list[int]) -> None:
    """Comments, addresses, underscores, and words of other lengths than the format's."""
    assert parse(text, (3,), 8).tolist() == values


def test_a_sign_may_fill_the_first_digit() -> None:
    """Six bits in two digits: the two bits above are zeros, or the sign's."""
    assert parse("3f ff 1f 2f", (4,), 6).tolist() == [-1, -1, 31, -17]
    assert parse("3f ff", (2,), 6, signed=False).tolist() == [63, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold 4 values, not 0"),
        ("1 2 3", "must hold 4 values, not 3"),
        ("1 2 3 4 5", "must hold 4 values, not 5"),
        (
            "1 2 xx 4",
            "[1, 0] must be hexadecimal digits, not 'xx'; the simulation does not know it",
        ),
        (
            "1 2 3 Z4",
            "[1, 1] must be hexadecimal digits, not 'Z4'; the simulation does not know it",
        ),
        ("1 0x2 3 4", "[0, 1] must be hexadecimal digits, not '0x2'"),
        ("1 -2 3 4", "[0, 1] must be hexadecimal digits, not '-2'"),
        ("1 2 3 " + "w" * 99, f"[1, 1] must be hexadecimal digits, not '{'w' * 24}'"),
        ("1 2 3 " + "1" * 17, f"[1, 1] must be hexadecimal digits, not '{'1' * 17}'"),
        ("1 2 3 _", "[1, 1] must be hexadecimal digits, not '_'"),
        ("@1 1 2 3 4", "must go on at @0, not at '@1'"),
        ("1 2 @1 3 4", "must go on at @2, not at '@1'"),
        ("1 2 @ 3 4", "must go on at @2, not at '@'"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    """One line that names the place."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        parse(text, (2, 2), 8)


def test_hostile_text_takes_no_time() -> None:
    """A comment that opens again and again is read once."""
    with pytest.raises(DataError, match=r"^must hold 1 values, not 0$"):
        parse("/* " * 500_000, (1,), 8)
