"""Integers as the text that Verilog's ``$readmemh`` reads and ``$writememh`` writes.

Each value is one line: two's complement in hexadecimal digits, as many as the word needs. Source:
IEEE 1364-2005, 17.2.9; comments and ``_`` may stand anywhere, ``@`` names the next address.
"""

import math
import re

import numpy as np
import numpy.typing as npt

from fxpnn.errors import DataError
from fxpnn.network.layers import Array, Shape

_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_ADDRESS = re.compile(r"@[0-9a-fA-F]{1,16}")
_VALUE = re.compile(r"[0-9a-fA-F]{1,16}")
_UNKNOWN = re.compile(r"(?!0[xX])[0-9a-fA-F]*[xXzZ?][0-9a-fA-FxXzZ?]*")
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_SHOWN = 24
"""So many letters of a text that is no value are told."""


def spell(values: Array, word: int, header: str = "") -> bytes:
    r"""Spell integers of words of 1 to 64 bits, in C order, behind a comment.

    The text ends with a newline: Verilator 5.006 drops the last value of one that does not.

    >>> spell(np.array([-1, 5]), 6, "two").decode()
    '// two\n3f\n05\n'
    """
    digits = -(-word // 4)
    bits = values.reshape(-1).astype(np.int64).view(np.uint64)
    lines = np.full((bits.size, digits + 1), ord("\n"), np.uint8)
    for place in range(digits):
        nibble = bits >> np.uint64(4 * (digits - 1 - place)) & np.uint64(15)
        if place == 0:
            nibble &= np.uint64((1 << (word - 4 * (digits - 1))) - 1)
        lines[:, place] = _DIGITS[nibble]
    comment = f"// {header}\n".encode("ascii", "backslashreplace") if header else b""
    return comment + lines.tobytes()


def parse(text: str, shape: Shape, word: int, signed: bool = True) -> npt.NDArray[np.int64]:
    """Read integers of words of 1 to 62 bits in C order, int64 of the shape given.

    More digits than a word needs are a longer word: ``0080`` is 128, where ``80`` is -128 if the
    word has 8 bits. Whether values fit the word is not judged.

    Raises:
        DataError: there are more or fewer values, or one that is none, which its index names.
    """
    tokens: list[str] = []
    for token in _COMMENT.sub(" ", text).split():
        if token[0] != "@":
            tokens.append(token)
        elif not _ADDRESS.fullmatch(token) or int(token[1:], 16) != len(tokens):
            raise DataError(f"must go on at @{len(tokens):x}, not at {token[:_SHOWN]!r}")
    if len(tokens) != math.prod(shape):
        raise DataError(f"must hold {math.prod(shape)} values, not {len(tokens)}")
    known: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token not in known:
            digits = token.replace("_", "")
            if not _VALUE.fullmatch(digits):
                index = [int(i) for i in np.unravel_index(place, shape)]
                why = "; the simulation does not know it" if _UNKNOWN.fullmatch(digits) else ""
                raise DataError(f"{index} must be hexadecimal digits, not {token[:_SHOWN]!r}{why}")
            known[token] = _value(digits, word, signed)
    return np.array([known[token] for token in tokens], np.int64).reshape(shape)


def _value(digits: str, word: int, signed: bool) -> int:
    value, shortest = int(digits, 16), -(-word // 4)
    if len(digits) <= shortest and value < 1 << word:
        bits = word
    else:  # a longer word, or one whose sign fills its first digit
        bits, signed = 4 * max(len(digits), shortest), True
    return value - (1 << bits) if signed and value >> (bits - 1) else value
