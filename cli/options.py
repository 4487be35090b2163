"""Options that several commands share, and the values they are collected into."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import click
from click.core import ParameterSource

import fxpnn
from fxpnn.fixedpoint.qformat import Accumulator, NumberType, Overflow, Rounding

from . import params
from .console.terminal import hide_log

Function: TypeAlias = Callable[..., None]


def example(*lines: str) -> str:
    """Return the end of a command's help: command lines that work, kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _hush(_: click.Context, __: click.Parameter, quiet: bool) -> bool:
    if quiet:
        hide_log()
    return quiet


as_json = click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
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
shape = click.option(
    "--shape",
    type=params.SIZES,
    metavar="C,H,W",
    help="Shape of one input, where the model leaves sizes open.",
)


def given() -> dict[str, str]:
    """Return the parameters that stand on the command line, and how each is spelled."""
    ctx = click.get_current_context()
    return {
        str(param.name): param.opts[0]
        for param in ctx.command.params
        if ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
    }


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


def with_settings(command: Function) -> Function:
    """Add the options that choose formats; the command takes them as ``settings``."""

    @functools.wraps(command)
    def collected(
        number: NumberType | None,
        word: int | None,
        accumulator: Accumulator,
        rounding: Rounding | None,
        overflow: Overflow | None,
        method: "fxpnn.Method",
        softmax: float | None,
        per_channel: bool,
        **others: Any,
    ) -> None:
        if number is not None and word is not None:
            raise click.UsageError("--format says the word already: give it or --word, not both")
        settings = fxpnn.Settings(
            word or 16,
            accumulator,
            rounding or Rounding.NEAREST_EVEN,
            overflow or Overflow.SATURATE,
            method,
            per_channel,
            softmax=softmax,
        )
        if number is not None:
            settings = _with_number(settings, number, rounding, overflow)
        command(settings=settings, **others)

    return _decorate(collected, *_SETTINGS)


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


_SETTINGS = (
    click.option(
        "--word",
        type=params.WORD,
        metavar="BITS",
        help="Word of weights and layers' outputs, 2 to 16 bits.  [default: 16]",
    ),
    click.option(
        "--format",
        "number",
        type=params.FORMAT,
        metavar="FORMAT",
        help="One format for everything instead of one calibrated for each layer, "
        "as Q5.10 or ap_fixed<16,6>.",
    ),
    click.option(
        "--accumulator",
        type=params.ACCUMULATOR,
        default=Accumulator(),
        metavar="BITS",
        help="Register that sums products, 8 to 62 bits, as 48 or '32 wrap'.  "
        "[default: 48 saturate]",
    ),
    click.option(
        "--rounding",
        type=params.ROUNDING,
        metavar="MODE",
        help="nearest-even, nearest-up, nearest-down, nearest-zero, nearest-away, floor or zero.  "
        "[default: nearest-even]",
    ),
    click.option(
        "--overflow",
        type=params.OVERFLOW,
        metavar="MODE",
        help="saturate, saturate-symmetric, saturate-zero or wrap.  [default: saturate]",
    ),
    click.option(
        "--method",
        type=params.METHOD,
        default="minmax",
        metavar="METHOD",
        help="How formats are chosen: minmax, percentile or mse of the calibration data, or proved "
        "for any input.  [default: minmax]",
    ),
    click.option(
        "--softmax",
        type=params.SOFTMAX,
        metavar="max|naive|C",
        help="What softmax subtracts: the maximum, nothing, or the constant C.  [default: max]",
    ),
    click.option(
        "--per-channel", is_flag=True, help="Give each output channel's weights their own fraction."
    ),
)


def _decorate(command: Function, *decorators: Callable[[Function], Function]) -> Function:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
