"""Types of the command line's values: text is parsed once, here, by the library."""

import math
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

import fxpnn
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import Accumulator, NumberType, Overflow, Rounding, parse_number
from fxpnn.network.rounded import WEIGHTS_SATURATE, WeightRounding

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_Value = TypeVar("_Value")

ARCHITECTURES = ("mlp-784-100-10", "lenet5", "lenet5-relu")
"""The known architectures in the order in which they are shown, here so that help imports none."""

EXAMPLES = ("2-3-1", "2-4-1-2")
"""The textbook's networks whose training can be traced."""


MOST_RANDOM_BITS = 24
"""The most that training in fixed point draws for a value, here so that help imports no numpy."""


class Parsed(click.ParamType):  # type: ignore[type-arg] # older ones of click are not generic
    """A type made of a function; what that refuses is a usage error in its own words.

    A shell completes a value by ``words``, and by names of files where a value may be one.
    """

    name = "text"

    def __init__(
        self, parse: Callable[[str], object], words: Iterable[str] = (), files: bool = False
    ) -> None:
        self.parse, self.words, self.files = parse, words, files

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Parse a text; a default is parsed already."""
        if not isinstance(value, str):
            return value
        if self.files:
            from fxpnn import files

            if not files.nameable(value):
                self.fail(f"{files.UNNAMEABLE}, not {value!r}", param, ctx)
        try:
            return self.parse(value)
        except FormatError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Return the words that begin so, and let the shell add files."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(word) for word in self.words if word.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if self.files else found


def one_of(names: tuple[str, ...]) -> Parsed:
    """Make the type of one of the names."""

    def read(text: str) -> str:
        if text not in names:
            raise FormatError(f"must be one of {', '.join(names)}, not {text!r}")
        return text

    return Parsed(read, names)


def _member(kind: type[Enum], text: str) -> Enum:
    """Read a choice by its name; the library may know others for it."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise FormatError(f"must be one of {known}, not {text!r}") from None


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


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read a shape, and before it the name of its input, empty where there is none."""
    name, _, sizes = text.rpartition("=")
    return name, _sizes(sizes)


def _natural(text: str) -> int:
    number = _whole(text)
    if number < 0:
        raise FormatError(f"must be 0 or more, not {text}")
    return number


def _random_bits(text: str) -> int:
    bits = _natural(text)
    if bits > MOST_RANDOM_BITS:
        raise FormatError(f"must be 0 to {MOST_RANDOM_BITS}, not {text}")
    return bits


def _rate(text: str) -> float:
    rate = _number(text)
    if rate <= 0:
        raise FormatError(f"must be more than 0, not {text}")
    return rate


def _word(text: str) -> int:
    return fxpnn.Settings(word=_whole(text)).word


def _words(text: str) -> tuple[int, ...]:
    """Read one word, or the first and the last of some."""
    first, _, last = text.partition("..")
    words = range(_word(first), _word(last or first) + 1)
    if not words:
        raise FormatError(f"must go from the shortest to the longest, as 4..16, not {text}")
    return tuple(words)


def _format(text: str) -> NumberType:
    number = parse_number(text)
    number.format.for_tensor()
    return number


def _percentile(text: str) -> float:
    percentile = _number(text)
    fxpnn.Settings(method=fxpnn.Method.PERCENTILE, percentile=percentile)  # refuses what cannot be
    return percentile


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


def _macs(text: str) -> int:
    from fxpnn.targets.target import check_macs

    return _nameless("macs", check_macs, _whole(text))


def _macs_list(text: str) -> tuple[int, ...]:
    return tuple(map(_macs, text.split(",")))


def _export_name(text: str) -> str:
    from fxpnn.targets.identifiers import check_name

    return _nameless("name", check_name, text)


def _nameless(name: str, check: Callable[[_Value], _Value], value: _Value) -> _Value:
    """Check a value; the line that refuses it need not name what its option names already."""
    try:
        return check(value)
    except FormatError as error:
        raise FormatError(str(error).removeprefix(f"{name} ")) from None


def ending(*suffixes: str) -> Parsed:
    """Make the type of paths that end in one of the suffixes, so that a command reads them."""

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise FormatError(f"must end in {' or '.join(suffixes)}, not {text!r}")
        return path

    return Parsed(parse, files=True)


TARGETS = ("qonnx", "qdq", "hex", "c", "verilog")
"""What a network can be exported as, here so that help imports none."""

SIMULATORS = ("c", "cortex-m", "verilator", "iverilog")
"""What can run a network as hardware, here so that help imports none."""

METHODS = ("minmax", "percentile", "mse", "proved")
"""How formats can be chosen, here so that help imports none."""

DATASETS = ("mnist", "mnist:calibration", "mnist:train")
"""The data sets that have a name, here so that help imports none."""

DATA = Parsed(str, DATASETS, files=True)
"""Data by name or path; what it is, the library says."""

FILE = Parsed(Path, files=True)
"""A path; whether the file can be used, the library says, with exit status 3."""

COUNT = Parsed(_count)
MACS = Parsed(_macs)
MACS_LIST = Parsed(_macs_list)
EXPORT_NAME = Parsed(_export_name)
SHAPE = Parsed(_shape)
SEED = Parsed(_natural)
INDEX = Parsed(_natural)
RATE = Parsed(_rate)
FORMAT = Parsed(_format)
WORD = Parsed(_word)
WORDS = Parsed(_words)
ACCUMULATOR = Parsed(Accumulator.parse)
LEARNING_ROUNDING = one_of(("stochastic", *(mode.value for mode in Rounding)))
RANDOM_BITS = Parsed(_random_bits)
ROUNDING = Parsed(lambda text: _member(Rounding, text), [mode.value for mode in Rounding])
OVERFLOW = Parsed(lambda text: _member(Overflow, text), [mode.value for mode in Overflow])
WEIGHT_OVERFLOW = Parsed(
    lambda text: _member(Overflow, text), [mode.value for mode in WEIGHTS_SATURATE]
)
WEIGHT_ROUNDING = Parsed(
    lambda text: _member(WeightRounding, text), [mode.value for mode in WeightRounding]
)
METHOD = Parsed(lambda text: _member(fxpnn.Method, text), METHODS)
SOFTMAX = Parsed(_softmax, ("max", "naive"))
PERCENTILE = Parsed(_percentile)
FACTOR = Parsed(_factor)
FACTORS = Parsed(_factors)
NUMBERS = Parsed(numbers)
SHARE = Parsed(_share)
RESULTS = ending(".npz", ".csv")
FLOAT_MODEL = ending(".onnx")
FIXED_MODEL = ending(".fxp")
MODEL = ending(".onnx", ".fxp")
CHECKPOINT = ending(".safetensors")
FORMATS = ending(".toml")
PAGE = ending(".html")
