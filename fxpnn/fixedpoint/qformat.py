"""The vocabulary of numbers: formats, rounding, overflow, accumulators; parse and print."""

import re
from dataclasses import dataclass
from enum import Enum
from numbers import Integral
from typing import NamedTuple, Self, TypeVar

from fxpnn.errors import FormatError

MAX_WORD = 32
"""The widest word that a cast takes."""

TENSOR_BITS = 16
"""Raw values that flow through a network are stored as int16."""


class Mode(Enum):
    """Base of choices that have a name; wherever one is taken, its name is too."""

    @classmethod
    def of(cls, value: Self | str) -> Self:
        """Return the member, or the one that a text names.

        >>> Rounding.of("floor")
        <Rounding.FLOOR: 'floor'>

        Raises:
            FormatError: it is neither.
        """
        for member in cls:
            if value is member or (isinstance(value, str) and value == member.value):
                return member
        known = ", ".join(str(member.value) for member in cls)
        raise FormatError(f"{cls.__name__.lower()} must be one of {known}, not {value!r}")


class Rounding(Mode):
    """How a cast rounds the exact value; ``ap_fixed``'s name stands behind each.

    >>> Rounding("nearest-even").ap_name
    'AP_RND_CONV'
    """

    NEAREST_EVEN = "nearest-even"
    NEAREST_UP = "nearest-up"
    NEAREST_DOWN = "nearest-down"
    NEAREST_ZERO = "nearest-zero"
    NEAREST_AWAY = "nearest-away"
    FLOOR = "floor"
    ZERO = "zero"

    @property
    def ap_name(self) -> str:
        """Give the quantization mode of ``ap_fixed`` with the same meaning."""
        return _AP_ROUNDING[self]


class Overflow(Mode):
    """What a cast does with a rounded value outside the format's range.

    >>> Overflow("wrap").ap_name
    'AP_WRAP'
    """

    SATURATE = "saturate"
    SATURATE_SYMMETRIC = "saturate-symmetric"
    SATURATE_ZERO = "saturate-zero"
    WRAP = "wrap"

    @property
    def ap_name(self) -> str:
        """Give the overflow mode of ``ap_fixed`` with the same meaning."""
        return _AP_OVERFLOW[self]


_AP_ROUNDING = {
    Rounding.NEAREST_EVEN: "AP_RND_CONV",
    Rounding.NEAREST_UP: "AP_RND",
    Rounding.NEAREST_DOWN: "AP_RND_MIN_INF",
    Rounding.NEAREST_ZERO: "AP_RND_ZERO",
    Rounding.NEAREST_AWAY: "AP_RND_INF",
    Rounding.FLOOR: "AP_TRN",
    Rounding.ZERO: "AP_TRN_ZERO",
}
_AP_OVERFLOW = {
    Overflow.SATURATE: "AP_SAT",
    Overflow.SATURATE_SYMMETRIC: "AP_SAT_SYM",
    Overflow.SATURATE_ZERO: "AP_SAT_ZERO",
    Overflow.WRAP: "AP_WRAP",
}
_Mode = TypeVar("_Mode", Rounding, Overflow)
_Q = re.compile(r"(U?)Q(-?\d{1,4})\.(-?\d{1,4})")
_AP_INT = re.compile(r"ap_(u?)int<\s*(\d{1,4})\s*>")
_AP = re.compile(
    r"ap_(u?)fixed<\s*(\d{1,4})\s*,\s*(-?\d{1,4})\s*"
    r"(?:,\s*(AP_\w+)\s*)?(?:,\s*(AP_\w+)\s*)?(?:,\s*0\s*)?>"
)


@dataclass(frozen=True, slots=True)
class QFormat:
    """A fixed-point format: the stored integer ``raw`` means ``raw * 2**-frac``.

    ``word`` counts all bits, the sign's included, 1..32; ``frac`` may be any integer, negative or
    larger than ``word``.

    >>> QFormat.parse("Q3.12").lsb
    0.000244140625
    >>> str(QFormat(16, 17)), str(QFormat(8, 8, signed=False))
    ('Q-2.17', 'UQ0.8')
    """

    word: int
    frac: int
    signed: bool = True

    def __post_init__(self) -> None:
        for what, count in (("a word", self.word), ("fraction bits", self.frac)):
            if not isinstance(count, Integral):
                raise FormatError(f"{what} must be a whole number, not {count!r}")
        if not 1 <= self.word <= MAX_WORD:
            raise FormatError(f"a word must be 1 to {MAX_WORD} bits, not {self.word}")
        if not -1000 <= self.frac <= 1000:
            raise FormatError(f"fraction bits must be -1000 to 1000, not {self.frac}")

    @property
    def min(self) -> int:
        """Give the smallest raw value."""
        return -(1 << (self.word - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Give the largest raw value."""
        return (1 << (self.word - self.signed)) - 1

    @property
    def lsb(self) -> float:
        """Give the value of one count, ``2**-frac``."""
        return 2.0**-self.frac

    @property
    def integer(self) -> int:
        """Count the integer bits, without the sign: the ``m`` of ``Qm.n``."""
        return self.word - self.signed - self.frac

    def __str__(self) -> str:
        return f"{'' if self.signed else 'U'}Q{self.integer}.{self.frac}"

    @property
    def ap_name(self) -> str:
        """Spell the format as ``ap_fixed<W,I>``."""
        return f"ap_{'' if self.signed else 'u'}fixed<{self.word},{self.word - self.frac}>"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``Qm.n``, ``UQm.n``, ``ap_fixed<W,I>``, ``ap_ufixed<W,I>`` or ``ap_int<W>``.

        Raises:
            FormatError: the text is no format, or names modes (``parse_number`` reads those).
        """
        number = parse_number(text)
        if number.rounding or number.overflow:
            raise FormatError(f"{text} must be a format without rounding or overflow here")
        return cls(number.format.word, number.format.frac, number.format.signed)

    def for_tensor(self, word: int = TENSOR_BITS) -> Self:
        """Return this format if a network's tensor can have it: every raw value fits ``word`` bits.

        Raises:
            FormatError: it does not; the message proposes the nearest that does.
        """
        needed = self.word + (not self.signed)
        sign = "with its sign" if self.signed else "with the zero sign of int16"
        if needed > word:
            kept = QFormat(word - (not self.signed), self.frac, self.signed)
            raise FormatError(
                f"{self} takes {needed} bits {sign}, not {word}; did you mean {kept}?"
            )
        if self.word < 2:
            raise FormatError(f"a tensor's word must be 2 to {word} bits, not {self.word} ({self})")
        return self


class NumberType(NamedTuple):
    """A format with the modes named beside it, ``None`` where none was named."""

    format: QFormat
    rounding: Rounding | None = None
    overflow: Overflow | None = None


def parse_number(text: str) -> NumberType:
    """Read a format with or without the modes of ``ap_fixed`` behind it.

    >>> parse_number("ap_fixed<16,4,AP_RND,AP_SAT>").rounding
    <Rounding.NEAREST_UP: 'nearest-up'>

    Raises:
        FormatError: the text is no format, or names a mode that fxpnn does not have.
    """
    text = text.strip()
    if match := _Q.fullmatch(text):
        signed, frac = not match[1], int(match[3])
        return NumberType(_sized(text, int(match[2]) + frac + signed, frac, signed))
    if match := _AP_INT.fullmatch(text):
        return NumberType(_sized(text, int(match[2]), 0, not match[1]))
    if match := _AP.fullmatch(text):
        word, signed = int(match[2]), not match[1]
        rounding = _named(_AP_ROUNDING, match[4], "rounding", text)
        overflow = _named(_AP_OVERFLOW, match[5], "overflow", text)
        return NumberType(_sized(text, word, word - int(match[3]), signed), rounding, overflow)
    raise FormatError(f"a format must look like Q3.12, UQ0.8 or ap_fixed<16,4>, not {text!r}")


def _sized(text: str, word: int, frac: int, signed: bool) -> QFormat:
    if not 1 <= word <= MAX_WORD:
        raise FormatError(f"{text} takes {word} bits; a word must be 1 to {MAX_WORD} bits")
    return QFormat(word, frac, signed)


def _named(names: dict[_Mode, str], name: str | None, kind: str, text: str) -> _Mode | None:
    if name is None:
        return None
    for mode, known in names.items():
        if known == name:
            return mode
    known_names = ", ".join(names.values())
    raise FormatError(f"the {kind} of {text} must be one of {known_names}, not {name}")


@dataclass(frozen=True, slots=True)
class Accumulator:
    """The register that sums products: a signed word of 8..62 bits.

    ``SATURATE`` clamps after every add, the bias first; ``WRAP`` is modulo ``2**word``.

    >>> str(Accumulator.parse("32 wrap")), str(Accumulator())
    ('32 wrap', '48 saturate')
    """

    word: int = 48
    overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        if not 8 <= self.word <= 62:
            raise FormatError(f"an accumulator must be 8 to 62 bits, not {self.word}")
        if self.overflow not in (Overflow.SATURATE, Overflow.WRAP):
            raise FormatError(f"an accumulator must saturate or wrap, not {self.overflow.value}")

    @property
    def min(self) -> int:
        """Give the smallest value it holds."""
        return -(1 << (self.word - 1))

    @property
    def max(self) -> int:
        """Give the largest value it holds."""
        return (1 << (self.word - 1)) - 1

    def __str__(self) -> str:
        return f"{self.word} {self.overflow.value}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``48``, ``32 saturate`` or ``16 wrap``.

        Raises:
            FormatError: the text is no accumulator.
        """
        match = re.fullmatch(r"(\d{1,4})(?:\s+(saturate|wrap))?", text.strip())
        if match is None:
            raise FormatError(f"an accumulator must look like '48' or '32 wrap', not {text!r}")
        return cls(int(match[1]), Overflow(match[2] or "saturate"))
