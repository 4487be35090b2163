"""The vocabulary of numbers: formats, rounding, overflow, accumulators; parse and print."""

import re
from dataclasses import dataclass, replace
from enum import Enum
from numbers import Integral
from typing import Any, NamedTuple, Self, TypeVar

from fxpnn.errors import FormatError

MAX_WORD = 32
"""The widest word that a cast takes."""

FINEST = 1000
"""The most fraction bits; the coarsest format has as many less than none."""

TENSOR_BITS = 16
"""Raw values that flow through a network are stored as int16."""


class Mode(Enum):
    """Base of choices that have a name; wherever one is taken, its name is too.

    Where ``ap_fixed`` has a name for it, that is taken as well.
    """

    @classmethod
    def of(cls, value: Self | str) -> Self:
        """Return the member, or the one that a text names.

        >>> Rounding.of("floor"), Rounding.of("AP_TRN")
        (<Rounding.FLOOR: 'floor'>, <Rounding.FLOOR: 'floor'>)

        Raises:
            FormatError: it is neither.
        """
        try:
            return cls(value)
        except ValueError:
            known = ", ".join(str(member.value) for member in cls)
            name = re.sub("(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()
            message = f"{name} must be one of {known}, not {value!r}"
            raise FormatError(message) from None

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return next((mode for mode in cls if value and value == mode.ap_name), None)

    @property
    def ap_name(self) -> str:
        """Give the name that ``ap_fixed`` has for it, empty where it has none."""
        return ""


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


class Product(Mode):
    """How a product enters an accumulator that has a fraction of its own."""

    FUSED = "fused"
    """Added with all its bits; the sum is rounded."""
    CAST = "cast"
    """Cast to the accumulator's format first, then added."""


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


def _counted(what: str, count: object, low: int, high: int, bits: str = "") -> int:
    """Check a count; return it as Python's integer: NumPy's overflow, and so do sums with them."""
    if not isinstance(count, Integral):
        raise FormatError(f"{what} must be a whole number, not {count!r}")
    if not low <= int(count) <= high:
        raise FormatError(f"{what} must be {low} to {high}{bits}, not {count}")
    return int(count)


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
        object.__setattr__(self, "word", _counted("a word", self.word, 1, MAX_WORD, " bits"))
        object.__setattr__(self, "frac", _counted("fraction bits", self.frac, -FINEST, FINEST))

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
    word, frac, signed, rounding, overflow = _spelled(text)
    return NumberType(_sized(text.strip(), word, frac, signed), rounding, overflow)


class _Spelled(NamedTuple):
    """What the text of a format says, its word of any width."""

    word: int
    frac: int
    signed: bool
    rounding: Rounding | None = None
    overflow: Overflow | None = None


def _spelled(text: str) -> _Spelled:
    text = text.strip()
    if match := _Q.fullmatch(text):
        signed, frac = not match[1], int(match[3])
        return _Spelled(int(match[2]) + frac + signed, frac, signed)
    if match := _AP_INT.fullmatch(text):
        return _Spelled(int(match[2]), 0, not match[1])
    if match := _AP.fullmatch(text):
        word, signed = int(match[2]), not match[1]
        rounding = _named(_AP_ROUNDING, match[4], "rounding", text)
        overflow = _named(_AP_OVERFLOW, match[5], "overflow", text)
        return _Spelled(word, word - int(match[3]), signed, rounding, overflow)
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


NARROWEST, WIDEST = 8, 62
"""The words that an accumulator may have."""
_BITS = re.compile(r"(\d{1,4})(?:\s+(saturate|wrap))?")
_REGISTER = re.compile(r"([^\s<]+(?:<[^>]*>)?)((?:\s+[a-z-]+)*)")


@dataclass(frozen=True, slots=True)
class Accumulator:
    """The register that sums products: a signed word of 8..62 bits.

    ``SATURATE`` clamps after every add, the bias first; ``WRAP`` is modulo ``2**word``.

    Without fraction bits of its own it holds products as they are, at their ``Fx + Fw``. With
    ``frac`` it is what hls4ml calls ``accum_t``: the bias and each product are rounded to it, the
    bits that are dropped by ``rounding``. ``FUSED`` adds the whole product and rounds the sum;
    ``CAST`` casts the product to the register's format, overflow and all, and adds that. Modes may
    be given as text.

    >>> str(Accumulator.parse("32 wrap")), str(Accumulator())
    ('32 wrap', '48 saturate')
    >>> str(Accumulator.parse("Q9.14")), str(Accumulator.parse("ap_fixed<24,10>"))
    ('Q9.14 floor saturate fused', 'Q9.14 floor wrap cast')
    """

    word: int = 48
    overflow: Overflow = Overflow.SATURATE
    frac: int | None = None
    rounding: Rounding = Rounding.FLOOR
    product: Product = Product.FUSED

    def __post_init__(self) -> None:
        modes = {"overflow": Overflow, "rounding": Rounding, "product": Product}
        for name, kind in modes.items():
            object.__setattr__(self, name, kind.of(getattr(self, name)))
        word = _counted("an accumulator", self.word, NARROWEST, WIDEST, " bits")
        object.__setattr__(self, "word", word)
        if self.frac is not None:
            object.__setattr__(self, "frac", _counted("fraction bits", self.frac, -FINEST, FINEST))
        if self.overflow not in (Overflow.SATURATE, Overflow.WRAP):
            raise FormatError(f"an accumulator must saturate or wrap, not {self.overflow.value}")
        if self.frac is None and (self.rounding, self.product) != (Rounding.FLOOR, Product.FUSED):
            raise FormatError(
                "an accumulator must have fraction bits of its own to round, not none; give frac"
            )

    @property
    def min(self) -> int:
        """Give the smallest value it holds."""
        return -(1 << (self.word - 1))

    @property
    def max(self) -> int:
        """Give the largest value it holds."""
        return (1 << (self.word - 1)) - 1

    def holding(self, bits: int) -> Self | None:
        """Return the narrowest one for sums of so many bits, ``None`` where none is wide enough."""
        return replace(self, word=max(bits, NARROWEST)) if bits <= WIDEST else None

    @property
    def order_free(self) -> bool:
        """Tell whether what a product adds depends on nothing else, where nothing overflows."""
        even_steps = (Rounding.FLOOR, Rounding.NEAREST_UP, Rounding.NEAREST_DOWN)
        return self.product is Product.CAST or self.rounding in even_steps

    @property
    def format(self) -> str:
        """Spell its word: ``48`` bits, or a format where it has a fraction of its own."""
        if self.frac is None:
            return str(self.word)
        return f"Q{self.word - 1 - self.frac}.{self.frac}"

    def __str__(self) -> str:
        if self.frac is None:
            return f"{self.format} {self.overflow.value}"
        modes = self.rounding, self.overflow, self.product
        return " ".join([self.format, *(mode.value for mode in modes)])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``48`` or ``16 wrap``, or ``FORMAT [rounding] [saturate|wrap] [fused|cast]``.

        A format in Q notation rounds by ``floor``, saturates and is ``fused`` unless the text says
        otherwise; an ``ap_fixed`` rounds by ``floor``, wraps and is ``cast``, as in hls4ml.

        Raises:
            FormatError: the text is no accumulator.
        """
        text = text.strip()
        if match := _BITS.fullmatch(text):
            return cls(int(match[1]), Overflow(match[2] or "saturate"))
        match = _REGISTER.fullmatch(text)
        if match is None or not any(form.fullmatch(match[1]) for form in (_Q, _AP_INT, _AP)):
            raise _no_accumulator(text)
        chosen = _modes(match[2].split(), text)
        word, frac, signed, rounding, overflow = _spelled(match[1])
        if not signed:
            raise FormatError(f"an accumulator must be signed, not {match[1]}")
        named = {"rounding": rounding, "overflow": overflow}
        if twice := [name for name, mode in named.items() if mode and name in chosen]:
            raise FormatError(f"an accumulator must name its {twice[0]} once, not as {text!r}")
        if match[1].startswith("ap_"):
            hls4ml = {"overflow": Overflow.WRAP, "product": Product.CAST}
            chosen = {**hls4ml, **{n: mode for n, mode in named.items() if mode}, **chosen}
        return cls(word, frac=frac, **chosen)


def _modes(names: list[str], text: str) -> dict[str, Any]:
    """Return the modes of an accumulator that are named, by their fields."""
    kinds = {"rounding": Rounding, "overflow": Overflow, "product": Product}
    known = {mode.value: (field, mode) for field, kind in kinds.items() for mode in kind}
    chosen = dict(known[name] for name in names if name in known)
    if len(chosen) < len(names):
        raise _no_accumulator(text)
    return chosen


def _no_accumulator(text: str) -> FormatError:
    shapes = "'48', '32 wrap', 'ap_fixed<24,10>' or 'Q9.14 floor saturate fused'"
    return FormatError(f"an accumulator must look like {shapes}, not {text!r}")
