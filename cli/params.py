"""Types of the command line's values: text is parsed once, here, by the library."""

import math
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TypeVar

import click

import fxpnn
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import Accumulator, NumberType, Overflow, Rounding, parse_number

ARCHITECTURES = ("mlp-784-100-10", "lenet5", "lenet5-relu")
"""The known architectures in the order in which they are shown, here so that help imports none."""

EXAMPLES = ("2-3-1", "2-4-1-2")
"""The textbook's networks whose training can be traced."""

_Kind = TypeVar("_Kind", bound=Enum)


def parsed(parse: Callable[[str], object]) -> Callable[[object], object]:
    """Make a click type of a function; what it refuses is a usage error in its own words."""

    def convert(value: object) -> object:
        if not isinstance(value, str):
            return value  # a default, parsed already
        try:
            return parse(value)
        except FormatError as error:
            raise click.BadParameter(str(error)) from None

    return convert


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """Make a reader of one of the names."""

    def read(text: str) -> str:
        if text not in names:
            raise FormatError(f"must be one of {', '.join(names)}, not {text!r}")
        return text

    return read


def _named(kind: type[_Kind], text: str) -> _Kind:
    for member in kind:
        if member.value == text:
            return member
    known = ", ".join(str(member.value) for member in kind)
    raise FormatError(f"must be one of {known}, not {text!r}")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise FormatError(f"must be a whole number, not {text!r}") from None


def _count(text: str) -> int:
    count = _whole(text)
    if count < 1:
        raise FormatError(f"must be 1 or more, not {text}")
    return count


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(_count, text.split(",")))


def _seed(text: str) -> int:
    seed = _whole(text)
    if seed < 0:
        raise FormatError(f"must be 0 or more, not {text}")
    return seed


def _rate(text: str) -> float:
    rate = _number(text)
    if rate <= 0:
        raise FormatError(f"must be more than 0, not {text}")
    return rate


def _word(text: str) -> int:
    return fxpnn.Settings(word=_whole(text)).word


def _format(text: str) -> NumberType:
    number = parse_number(text)
    number.format.for_tensor()
    return number


def _softmax(text: str) -> float | None:
    from fxpnn.quantization.settings import parse_softmax

    return parse_softmax(text)


def _number(text: str) -> float:
    try:
        above, _, below = text.partition("/")
        number = float(above) / float(below or "1")
    except (ValueError, ZeroDivisionError):
        number = math.nan
    if not math.isfinite(number):
        raise FormatError(f"must be a number or a fraction as 1/255, not {text!r}")
    return number


def _factor(text: str) -> float:
    factor = _number(text)
    if factor == 0:
        raise FormatError("must not be 0")
    return factor


def _factors(text: str) -> tuple[float, ...]:
    return tuple(map(_factor, text.split(",")))


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers with commas between them."""
    return tuple(map(_number, text.split(",")))


def _share(text: str) -> float:
    share = _number(text)
    if not 0 <= share <= 1:
        raise FormatError(f"must be a fraction from 0 to 1 (0.001 is 0.1 %), not {text}")
    return share


def ending(*suffixes: str) -> Callable[[str], Path]:
    """Return a parser of paths that end in one of the suffixes, so that a command reads them."""

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise FormatError(f"must end in {' or '.join(suffixes)}, not {text!r}")
        return path

    return parse


TARGETS = ("qonnx", "qdq")
"""What a network can be exported as, here so that help imports none."""

FILE = click.Path(path_type=Path)
"""A path; whether the file can be used, the library says, with exit status 3."""

COUNT = parsed(_count)
SIZES = parsed(_sizes)
SEED = parsed(_seed)
RATE = parsed(_rate)
FORMAT = parsed(_format)
WORD = parsed(_word)
ACCUMULATOR = parsed(Accumulator.parse)
ROUNDING = parsed(lambda text: _named(Rounding, text))
OVERFLOW = parsed(lambda text: _named(Overflow, text))
METHOD = parsed(lambda text: _named(fxpnn.Method, text))
SOFTMAX = parsed(_softmax)
FACTOR = parsed(_factor)
FACTORS = parsed(_factors)
NUMBERS = parsed(numbers)
SHARE = parsed(_share)
RESULTS = parsed(ending(".npz", ".csv"))
FLOAT_MODEL = parsed(ending(".onnx"))
FIXED_MODEL = parsed(ending(".fxp"))
