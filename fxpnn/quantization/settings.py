"""What a user may choose, for all layers or for each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from typing import Any, NamedTuple, Self

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import (
    TENSOR_BITS,
    Accumulator,
    Mode,
    Overflow,
    QFormat,
    Rounding,
)
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.rounded import WEIGHTS_SATURATE, WeightRounding

PERCENTILE = 99.99
"""The percentage of magnitudes that the method ``percentile`` covers unless another is given."""
ALL = ""
"""No layer has this name: what is chosen for all of them."""


class Method(Mode):
    """How a format is chosen: by what calibration data reached, or by what any input can reach."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"
    PROVED = "proved"


class Given(NamedTuple):
    """What a model file itself fixes of a layer: its weight's formats, its output's cast.

    That may be to 16 bits without a sign, of which a tensor can have 15. ``narrow`` weights
    saturate symmetrically.
    """

    weight: tuple[QFormat, ...] | None = None
    output: Shift | None = None
    narrow: bool = False


def held(fmt: QFormat) -> QFormat:
    """Return the 15 lower bits of a format of 16 that has no sign; others as they are."""
    whole = fmt.word == TENSOR_BITS and not fmt.signed
    return QFormat(fmt.word - 1, fmt.frac, signed=False) if whole else fmt


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices for one layer; what is ``None`` is calibrated.

    ``word`` is the word of weights and outputs, but for those that ``weight_word`` or
    ``output_word`` says apart. ``weight``, ``output`` and ``bias`` fix a format; a weight may have
    one for each output channel. A bias is cast to its own before it is aligned to the products.
    ``per_channel`` gives each output channel's weights a fraction of their own. ``signed`` keeps
    the sign of chosen formats in front of a ReLU too: words of 15 bits and fewer have none there
    otherwise, whose clamp at 0 is the ReLU then, and are finer by its bit. ``softmax`` is
    ``None`` for the softmax that cannot overflow, else the constant it subtracts instead of the
    maximum (0 is the naive softmax). ``percentile`` is how many percent of the magnitudes the
    method of that name covers, by default 99.99; it is refused with other methods.
    ``weight_rounding`` by ``feedback`` passes the error of each weight on to those not yet rounded,
    weighed by the calibration inputs, which also choose the format of weights then.
    ``weight_overflow`` says how weights saturate: by ``saturate-symmetric`` none is the least word,
    and those of 2 bits are -1, 0 and 1. ``bias_correction`` moves the mean error of a layer's
    output on calibration data into its bias; chosen for all layers it leaves those alone whose
    biases are all 0. Methods, modes, accumulators and formats may be given as text.
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
    percentile: float | None = None
    bias: QFormat | None = None
    signed: bool = False
    weight_word: int | None = None
    output_word: int | None = None
    weight_rounding: WeightRounding = WeightRounding.NEAREST
    bias_correction: bool = False
    weight_overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        parsed = {
            "method": Method.of(self.method),
            "rounding": Rounding.of(self.rounding),
            "overflow": Overflow.of(self.overflow),
            "accumulator": _parsed(Accumulator, self.accumulator),
            "output": _parsed(QFormat, self.output),
            "weight": _parsed(QFormat, self.weight),
            "bias": _parsed(QFormat, self.bias),
            "weight_rounding": WeightRounding.of(self.weight_rounding),
            "weight_overflow": Overflow.of(self.weight_overflow),
        }
        for name, value in parsed.items():
            object.__setattr__(self, name, value)
        for word in (self.word, self.weight_bits, self.output_bits):
            if not isinstance(word, Integral) or not 2 <= word <= TENSOR_BITS:
                raise FormatError(f"a tensor's word must be 2 to {TENSOR_BITS} bits, not {word!r}")
        for fmt in (*self.weights, self.output):
            if fmt is not None:
                fmt.for_tensor()
        if self.weight == ():
            raise FormatError("weight must be a format or some, not none")
        if len({(fmt.word, fmt.signed) for fmt in self.weights}) > 1:
            raise FormatError(
                "weight formats must differ in their fraction only, not be "
                f"{', '.join(sorted({str(fmt) for fmt in self.weights}))}"
            )
        if self.weight_overflow not in WEIGHTS_SATURATE:
            raise FormatError(
                "weight_overflow must be saturate or saturate-symmetric, not "
                f"{self.weight_overflow.value}"
            )
        if self.percentile is not None:
            _check_percentile(self.percentile, self.method)

    @property
    def weight_bits(self) -> int:
        """Give the word of weights whose format is chosen."""
        return self.word if self.weight_word is None else self.weight_word

    @property
    def output_bits(self) -> int:
        """Give the word of an output whose format is chosen."""
        return self.word if self.output_word is None else self.output_word

    @property
    def weights(self) -> tuple[QFormat, ...]:
        """Give the formats of the weight: one, one for each output channel, or none."""
        if self.weight is None or isinstance(self.weight, tuple):
            return self.weight or ()
        return (self.weight,)

    def completed(self, given: Given, stated: frozenset[str]) -> Self:
        """Fill in what a model file fixes, where these settings leave it open.

        Modes are open that are not among the ``stated`` choices.
        """
        settings = replace(self, weight=self.weight or given.weight)
        if given.narrow and self.weight is None and "weight_overflow" not in stated:
            settings = replace(settings, weight_overflow=Overflow.SATURATE_SYMMETRIC)
        if self.output is not None or given.output is None:
            return settings
        cast = given.output
        return replace(
            settings,
            output=held(cast.format),
            rounding=self.rounding if "rounding" in stated else cast.rounding,
            overflow=self.overflow if "overflow" in stated else cast.overflow,
        )


def _check_percentile(percentile: float, method: Method) -> None:
    if method is not Method.PERCENTILE:
        raise FormatError(
            f"percentile must stand with the method percentile, not {method.value}; choose that "
            "method, or give no percentile"
        )
    if not isinstance(percentile, int | float) or not 0 < percentile <= 100:
        raise FormatError(f"percentile must be more than 0 and at most 100, not {percentile!r}")


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
    """The settings of every layer: the defaults, and the layers that differ.

    ``keys`` names the choices that a file or the command line states for a layer, or for ``ALL``;
    where it says nothing, those are stated that differ from the defaults. ``cut`` names the tensors
    to which a model file gives 16 bits without a sign, of which int16 holds the lower 15.
    """

    defaults: Settings = field(default_factory=Settings)
    layers: Mapping[str, Settings] = field(default_factory=dict)
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    cut: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Settings:
        return self.layers.get(name, self.defaults)

    def stated(self, name: str) -> frozenset[str]:
        """Name the choices that were made for a layer, or for ``ALL``."""
        if name in self.keys:
            return self.keys[name]
        usual = (Settings(), self.defaults) if name != ALL else (Settings(),)
        chosen = self.defaults if name == ALL else self[name]
        names = (f.name for f in fields(Settings))
        return frozenset(
            n for n in names if getattr(chosen, n) not in [getattr(u, n) for u in usual]
        )

    def completed(self, given: Mapping[str, Given]) -> Self:
        """Fill in what a model file fixes, where this plan leaves it open."""
        if not given:
            return self
        keys = {name: self.stated(name) for name in (*self.layers, *given)}
        filled = {name: self[name].completed(fixed, keys[name]) for name, fixed in given.items()}
        keys[ALL] = self.stated(ALL)
        casts = {n: each.output.format for n, each in given.items() if each.output is not None}
        cut = {name for name, fmt in casts.items() if filled[name].output == held(fmt) != fmt}
        return replace(self, layers={**self.layers, **filled}, keys=keys, cut=self.cut.union(cut))


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
