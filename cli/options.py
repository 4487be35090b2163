"""Options that several commands share, and the values they are collected into."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from click.core import ParameterSource

import fxpnn
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import Accumulator, NumberType, Overflow, Rounding
from fxpnn.network.rounded import WeightRounding

from . import params, setting_options
from .console.terminal import hide_log

if TYPE_CHECKING:
    from fxpnn.analysis.cost import Cost

Function: TypeAlias = Callable[..., None]
Shapes: TypeAlias = tuple[int, ...] | Mapping[str, tuple[int, ...]]
"""The shape of a network's input, or shapes of several by their names."""


def example(*lines: str) -> str:
    """Return the end of a command's help: command lines that work, kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _hush(ctx: click.Context, _: click.Parameter, quiet: bool) -> bool:
    if quiet:
        hide_log(ctx)
    return quiet


class Json(click.Option):
    """The option --json, which knows where the types of what it prints are: ``module:Type``."""

    def __init__(self, *names: Any, types: tuple[str, ...], **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.types = types


def as_json(*types: str) -> Callable[[Function], Function]:
    """Add --json to a command; ``fxpnn schema`` describes what it prints by these types."""
    return click.option(
        "--json",
        "as_json",
        cls=Json,
        types=types,
        is_flag=True,
        help="Print the results as JSON; fxpnn schema tells its shape.",
    )


def _decorate(command: Function, *decorators: Callable[[Function], Function]) -> Function:
    """Apply decorators, the first outermost, as if they stood above the command."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def _together(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    return lambda command: _decorate(command, *decorators)


def data(text: str = "As fxpnn infer takes them.") -> Callable[[Function], Function]:
    """Add --data, which must be given; ``text`` is its help."""
    return click.option("--data", type=params.DATA, metavar="DATA", required=True, help=text)


labels = click.option(
    "--labels",
    type=params.FILE,
    metavar="LABELS.npy",
    help="The classes of data that have none of their own: .npy or IDX.",
)
limit = click.option("--limit", type=params.COUNT, metavar="N", help="Run the first N images only.")
calibration = click.option(
    "--calibration",
    type=params.DATA,
    metavar="DATA",
    help="Images on which formats are chosen.  "
    "[default: mnist:calibration where the network's input is 1 x 28 x 28]",
)
quiet = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    callback=_hush,
    help="Print no notes and no progress.",
)
threads = click.option(
    "--threads",
    type=params.COUNT,
    metavar="N",
    help="Threads of the integer engine; results do not depend on it.  [default: one per core]",
)
cost = click.option(
    "--cost",
    default="weights + activations",
    metavar="COST",
    help="What is to be small: weights, activations, multipliers, accumulators (bits of each), or "
    "a sum as 'weights + 4*activations'.  [default: weights + activations]",
)


def parsed_cost(text: str) -> "Cost":
    """Read what --cost says."""
    from fxpnn.analysis.cost import Cost

    try:
        return Cost.parse(text)
    except FormatError as error:
        raise click.UsageError(f"--cost: {error}") from None


workers = _together(
    click.option(
        "--workers",
        type=params.COUNT,
        metavar="N",
        help="Run networks, or parts of the data, side by side in N processes.  "
        "[default: in this one, on --threads]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Run them on the workers of a Dask cluster (extra cluster), as tcp://host:8786.",
    ),
)


def _shapes(
    ctx: click.Context, param: click.Parameter, given: tuple[tuple[str, tuple[int, ...]], ...]
) -> Shapes | None:
    """Return the one shape without a name, or shapes by the names of inputs."""
    shapes = dict(given)
    if "" in shapes and len(given) > 1:
        told = "must name its input where there are several: NAME=C,H,W"
        raise click.BadParameter(told, ctx, param)
    if len(shapes) < len(given):
        raise click.BadParameter("must be given once for each input", ctx, param)
    return shapes.get("", shapes or None)


shape = click.option(
    "--shape",
    type=params.SHAPE,
    multiple=True,
    callback=_shapes,
    metavar="[NAME=]C,H,W",
    help="Shape of the input, or of that NAME where there are several (once for each), where the "
    "model leaves sizes open; by default that of the data.",
)


def given() -> dict[str, str]:
    """Return the parameters that stand on the command line, and how each is spelled."""
    ctx = click.get_current_context()
    return {
        str(param.name): param.opts[0]
        for param in ctx.command.params
        if ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
    }


def stated_settings() -> frozenset[str]:
    """Name the settings that stand on the command line, as ``Settings`` spells them.

    No option gives a single format: --output is a file, and --format gives all of them.
    """
    found = given().keys()
    formats = {"weight", "output", "bias"}
    named = {field.name for field in fields(fxpnn.Settings)} - formats
    return frozenset(named & found) | ({"weight", "output"} if "number" in found else set())


@dataclass(frozen=True, slots=True)
class Pixels:
    """How the user says that uint8 pixels become numbers; ``None`` leaves it to the model."""

    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def given(self) -> dict[str, Any]:
        """Return what the user said."""
        pairs = (("scale", self.scale), ("mean", self.mean), ("std", self.std))
        return {name: value for name, value in pairs if value is not None}


def with_pixels(command: Function) -> Function:
    """Add --scale, --mean and --std; the command takes them as ``pixels``."""

    @functools.wraps(command)
    def collected(
        scale: float | None,
        mean: tuple[float, ...] | None,
        std: tuple[float, ...] | None,
        **others: Any,
    ) -> None:
        command(pixels=Pixels(scale, mean, std), **others)

    return _decorate(
        collected,
        click.option(
            "--scale",
            type=params.FACTOR,
            metavar="S",
            help="A pixel's number is (pixel * S - M) / D.  [default: the model's, else 1/256]",
        ),
        click.option(
            "--mean", type=params.NUMBERS, metavar="M,..", help="One M, or one for each channel."
        ),
        click.option(
            "--std", type=params.FACTORS, metavar="D,..", help="One D, or one for each channel."
        ),
    )


def explained(command: Function) -> Function:
    """Add the options that say by what a fixed network is judged, as ``explaining.load`` takes."""
    return _decorate(
        command,
        click.option(
            "--reference",
            type=params.FILE,
            metavar="MODEL.onnx",
            required=True,
            help="The float network it came from.",
        ),
        data(),
        labels,
        click.option(
            "--calibration",
            type=params.DATA,
            metavar="DATA",
            help="Images on which the formats of repaired layers are chosen.  "
            "[default: the first 1,000 of --data]",
        ),
        click.option(
            "--allow-other-reference",
            is_flag=True,
            help="Take a reference that is not the file MODEL.fxp came from.",
        ),
        limit,
    )


def asks_moments(settings: "fxpnn.Settings") -> bool:
    """Tell whether moments of the layers' inputs are needed to round as the settings say."""
    return settings.bias_correction or settings.weight_rounding is not WeightRounding.NEAREST


def with_settings(command: Function) -> Function:
    """Add the options that choose formats; the command takes them as ``settings``."""
    return _decorate(with_settings_but_word(command), *setting_options.WORDS)


def with_settings_but_word(command: Function) -> Function:
    """Add those that leave the word of all layers open; the command takes them as ``settings``."""

    @functools.wraps(command)
    def collected(
        accumulator: Accumulator,
        rounding: Rounding | None,
        overflow: Overflow | None,
        method: "fxpnn.Method",
        percentile: float | None,
        softmax: float | None,
        per_channel: bool,
        weight_word: int | None,
        output_word: int | None,
        weight_rounding: WeightRounding,
        bias_correction: bool,
        weight_overflow: Overflow,
        number: NumberType | None = None,
        word: int | None = None,
        **others: Any,
    ) -> None:
        words = {"--word": word, "--weight-word": weight_word, "--output-word": output_word}
        for option, given_word in words.items():
            if number is not None and given_word is not None:
                raise click.UsageError(
                    f"--format says the word already: give it or {option}, not both"
                )
        if percentile is not None and method.value != "percentile":
            raise click.UsageError(
                f"--percentile must stand with --method percentile, not {method.value}"
            )
        settings = fxpnn.Settings(
            word or 16,
            accumulator,
            rounding or Rounding.NEAREST_EVEN,
            overflow or Overflow.SATURATE,
            method,
            per_channel,
            softmax=softmax,
            percentile=percentile,
            weight_word=weight_word,
            output_word=output_word,
            weight_rounding=weight_rounding,
            bias_correction=bias_correction,
            weight_overflow=weight_overflow,
        )
        if number is not None:
            settings = _with_number(settings, number, rounding, overflow)
        command(settings=settings, **others)

    return _decorate(collected, *setting_options.SETTINGS)


def _with_number(
    settings: "fxpnn.Settings",
    number: NumberType,
    rounding: Rounding | None,
    overflow: Overflow | None,
) -> "fxpnn.Settings":
    """Give every tensor one format; the modes of an ``ap_fixed`` type yield to the options."""
    fmt = number.format
    return replace(
        settings,
        word=fmt.word,
        weight=fmt,
        output=fmt,
        rounding=rounding or number.rounding or settings.rounding,
        overflow=overflow or number.overflow or settings.overflow,
    )
