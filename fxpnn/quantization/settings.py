"""What a user may choose for a layer, and the TOML file in which it is chosen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from fxpnn import files
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import (
    Accumulator,
    Mode,
    NumberType,
    Overflow,
    QFormat,
    Rounding,
    parse_number,
)
from fxpnn.fixedpoint.requantize import Shift

MAX_FILE = 1 << 18
MAX_LINE = 1000
"""The parser's memory grows with the square of the parts of a dotted key, which is one line."""


class Method(Mode):
    """How a format is chosen: by what calibration data reached, or by what any input can reach."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"
    PROVED = "proved"


class Given(NamedTuple):
    """What a model file itself fixes of a layer: its weight's formats, its output's cast."""

    weight: tuple[QFormat, ...] | None = None
    output: Shift | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices for one layer; what is ``None`` is calibrated.

    ``word`` is the word of weights and outputs. ``weight`` and ``output`` fix a format; a weight
    may have one for each output channel.
    ``per_channel`` gives each output channel's weights a fraction of their own. ``softmax`` is
    ``None`` for the softmax that cannot overflow, else the constant it subtracts instead of the
    maximum (0 is the naive softmax). Methods, modes, accumulators and formats may be given as text.
    """

    word: int = 16
    accumulator: Accumulator = field(default_factory=Accumulator)
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE
    method: Method = Method.MINMAX
    per_channel: bool = False
    weight: QFormat | tuple[QFormat, ...] | None = None
    output: QFormat | None = None
    softmax: float | None = None

    def __post_init__(self) -> None:
        parsed = {
            "method": Method.of(self.method),
            "rounding": Rounding.of(self.rounding),
            "overflow": Overflow.of(self.overflow),
            "accumulator": _parsed(Accumulator, self.accumulator),
            "output": _parsed(QFormat, self.output),
            "weight": _parsed(QFormat, self.weight),
        }
        for name, value in parsed.items():
            object.__setattr__(self, name, value)
        if not 2 <= self.word <= 16:
            raise FormatError(f"a tensor's word must be 2 to 16 bits, not {self.word}")
        for fmt in (*self.weights, self.output):
            if fmt is not None:
                fmt.for_tensor()

    @property
    def weights(self) -> tuple[QFormat, ...]:
        """Give the formats of the weight: one, one for each output channel, or none."""
        if self.weight is None or isinstance(self.weight, tuple):
            return self.weight or ()
        return (self.weight,)

    def completed(self, given: Given) -> Self:
        """Fill in what a model file fixes, where these settings leave it open."""
        settings = replace(self, weight=self.weight or given.weight)
        if self.output is not None or given.output is None:
            return settings
        cast = given.output
        return replace(settings, output=cast.format, rounding=cast.rounding, overflow=cast.overflow)


def _parsed(kind: type[Accumulator] | type[QFormat], value: Any) -> Any:
    """Return the values that texts mean; what is of the kind already, or ``None``, is kept."""
    if isinstance(value, tuple):
        return tuple(_parsed(kind, each) for each in value)
    if value is None or isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise FormatError(f"{kind.__name__} must be one or its text, not {value!r}")
    return kind.parse(value)


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of every layer: the defaults, and the layers that differ."""

    defaults: Settings = field(default_factory=Settings)
    layers: Mapping[str, Settings] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Settings:
        return self.layers.get(name, self.defaults)

    def completed(self, given: Mapping[str, Given]) -> Self:
        """Fill in what a model file fixes, where this plan leaves it open."""
        filled = {name: self[name].completed(fixed) for name, fixed in given.items()}
        return replace(self, layers={**self.layers, **filled})


class _Choices(msgspec.Struct, forbid_unknown_fields=True):
    """One table of the TOML file, as it is spelled; every key is optional."""

    word: int | None = None
    accumulator: int | str | None = None
    rounding: Rounding | None = None
    overflow: Overflow | None = None
    method: Method | None = None
    per_channel: bool | None = None
    weight: str | None = None
    output: str | None = None
    softmax: str | float | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The tables, each typed on its own, so that an error can name the layer."""

    defaults: Any = {}
    layers: dict[str, Any] = {}


def load_plan(path: Path, defaults: Settings) -> Plan:
    """Read a TOML file of formats on top of the defaults.

    Raises:
        FormatError: the file cannot be read, is no TOML, has an unknown key or an impossible value.
    """
    content = files.read(path, MAX_FILE, FormatError)
    if max(map(len, content.splitlines())) > MAX_LINE:
        raise FormatError(f"{path}: lines must be at most {MAX_LINE} bytes")
    try:
        read = msgspec.toml.decode(content, type=_File)
        base = _apply(defaults, read.defaults, "defaults")
        layers = {
            name: _apply(base, table, f"layers.{name}") for name, table in read.layers.items()
        }
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())  # a key may hold line breaks
        raise FormatError(f"{path}: {line}") from None
    return Plan(base, layers)


def parse_softmax(text: str | float) -> float | None:
    """Read ``max``, ``naive`` or the constant to subtract.

    Raises:
        FormatError: the text is none of these.
    """
    named = {"max": None, "naive": 0.0}
    if text in named:
        return named[str(text)]
    try:
        constant = float(text)
    except ValueError:
        constant = math.nan
    if not math.isfinite(constant):
        raise FormatError(f"softmax must be max, naive or a number, not {text!r}")
    return constant


def _apply(base: Settings, table: object, where: str) -> Settings:
    try:
        return replace(base, **_chosen(msgspec.convert(table, _Choices)))
    except (msgspec.MsgspecError, FormatError) as error:
        raise FormatError(f"{where}: {error}") from None


def _chosen(choices: _Choices) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(choices).items() if value is not None
    }
    if "accumulator" in chosen:
        chosen["accumulator"] = Accumulator.parse(str(chosen["accumulator"]))
    if "softmax" in chosen:
        chosen["softmax"] = parse_softmax(chosen["softmax"])
    if "weight" in chosen:
        chosen["weight"] = QFormat.parse(chosen["weight"])
    if "output" in chosen:
        chosen = {**_modes(parse_number(chosen["output"])), **chosen}
        chosen["output"] = chosen.pop("format")
    assert chosen.keys() <= {f.name for f in fields(Settings)}
    return chosen


def _modes(number: NumberType) -> dict[str, Any]:
    """Give the modes that stand in an ``ap_fixed`` type; a key of their own overrules them."""
    return {name: value for name, value in number._asdict().items() if value is not None}
