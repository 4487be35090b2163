"""The tables of a run, for terminals and for ``print``: its layers, what was lost, what it cost."""

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxpnn.analysis.channels import lost_channel
from fxpnn.analysis.contents import FixedLayer
from fxpnn.analysis.losses import parameter_losses
from fxpnn.analysis.modes import normalisation_text, scaling_text
from fxpnn.analysis.overflow import first_overflow
from fxpnn.analysis.report import Flip, LayerReport, OutputReport, Timing
from fxpnn.errors import one_line
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Rounding

if TYPE_CHECKING:
    from fxpnn.analysis.summary import Report

WIDE = 1 << 12
"""Columns where no terminal limits them; nothing is filled up to them."""

LEAST_NAME = 6
"""Columns that a name keeps where the others leave it no room."""


FULL_DB, BAR, BAR_CELL = 100, 10, "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
"""The SQNR of a full bar (16 bits reach about 98 dB), and how many cells of what it has."""

_DEFAULTS = (Rounding.NEAREST_EVEN.value, Overflow.SATURATE.value)
DEFAULT_MODES = f"{' and '.join(_DEFAULTS)}, but where a mode stands beside a format"
NO_LOSS = 0.001
"""A loss of accuracy that is called none."""

BAR_STYLES = ((60, "green"), (30, "yellow"), (-math.inf, "red"))
"""From how many dB on a bar has which colour."""


def plain_text(run: "Report") -> str:
    """Draw a run as the command line does where nothing limits its width, without colours."""
    file = io.StringIO()
    console = Console(file=file, width=WIDE, color_system=None, _environ={})
    console.print(layer_table(run.layers, LAYOUTS[0]))
    for finding in findings(run):
        console.print(Text(f" {finding}"), Text("\n"))
    console.print(summary(run, "the data"))
    return "\n".join(line.rstrip() for line in file.getvalue().strip("\n").splitlines())


def table(*heads: str, right: tuple[str, ...] = (), folded: tuple[str, ...] = ()) -> Table:
    """Start a table in the one style: a line below the heads and no other.

    Columns of numbers stand ``right``; only ``folded`` ones may break over lines.
    """
    drawn = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 0, 0, 1))
    for head in heads:
        fold = head in folded
        drawn.add_column(
            head.strip(),
            justify="right" if head in right else "left",
            no_wrap=not fold,
            overflow="fold",
            min_width=LEAST_NAME if fold else None,
        )
    return drawn


def overflow_text(run: "Report") -> str | None:
    """Say which layer overflowed first, and what would have fitted; ``None`` if none did."""
    text = first_overflow(run.layers, run.images)
    return one_line(text) if text else None


def findings(run: "Report") -> list[str]:
    """Say what parameters lost, which layer overflowed first, and which lost a channel first.

    Short words lose channels that nothing depends on; labels can show that accuracy has not fallen.
    """
    hurt = run.accuracy.loss is None or run.accuracy.loss > NO_LOSS
    lost = lost_channel(run.layers) if hurt else None
    told = (*parameter_losses(run.layers), overflow_text(run), lost)
    return [one_line(text) for text in told if text]


def layer_table(layers: Sequence[LayerReport], heads: tuple[str, ...]) -> Table:
    """Draw a row for each layer; columns that compare are left out without a reference."""
    if all(layer.sqnr_db is None for layer in layers):  # nothing to compare with
        heads = tuple(head for head in heads if head not in _COMPARED)
    if not any(layer.below_zero for layer in layers):
        heads = tuple(head for head in heads if head != _CUT)
    counts = ("overflows", "saturated", _CUT, "SQNR dB", "worst channel")
    drawn = table(*heads, right=counts, folded=("layer",))
    for layer in layers:
        drawn.add_row(*(COLUMNS[head](layer) for head in heads))
    return drawn


def output_text(layer: LayerReport | FixedLayer) -> Text:
    """Print a layer's output format, and beside it the modes that are not the default ones."""
    told = [layer.output_format]
    told += [m for m in (layer.rounding, layer.overflow) if m and m not in _DEFAULTS]
    if layer.softmax == "naive":
        told.append("naive")
    elif layer.softmax not in (None, "max"):
        told.append(f"minus {layer.softmax}")
    return Text(" ".join(told))


def proof_text(proved: bool, needed: int | None, accumulator: str | None) -> Text:
    """Say whether an accumulator is proved never to overflow, and how wide it must be."""
    if accumulator is None:
        return Text("")
    verdict, style = ("proved", "green") if proved else ("may overflow", "yellow")
    return Text(f"{verdict}, needs {needed} of {_register(accumulator)}", style)


def short_proof_text(proved: bool, needed: int | None, accumulator: str | None) -> Text:
    """Say the same in fewer letters."""
    if accumulator is None:
        return Text("")
    verdict, style = ("proved", "green") if proved else ("may overflow", "yellow")
    return Text(f"{verdict} {needed}/{_register(accumulator)}", style)


def _register(accumulator: str) -> str:
    """Spell a register with its word first: ``48``, ``16 wrap``, ``24: Q9.14 floor wrap cast``."""
    register = Accumulator.parse(accumulator)
    if register.frac is None:
        return accumulator.removesuffix(" saturate")
    return f"{register.word}: {accumulator}"


def _count(count: int) -> Text:
    return Text(f"{count:,}", "bold yellow" if count else "dim")


def sqnr_text(decibels: float | None) -> Text:
    """Print an SQNR in dB, or that nothing or all of the signal is lost; nothing if not known."""
    if decibels is None or math.isnan(decibels):  # the reference left the range of float32
        return Text("")
    if math.isfinite(decibels):
        return Text(f"{round(decibels, 1) + 0.0:.1f}")  # no -0.0
    return Text("exact" if decibels > 0 else "lost")


def measured(decibels: float | None) -> str:
    """Spell an SQNR as ``sqnr_text`` does, with its unit where it is a number."""
    told = sqnr_text(decibels).plain or "unknown"
    return f"{told} dB" if told[-1].isdigit() else told


def _worst(channel: int | None, decibels: float | None) -> Text:
    return Text("") if channel is None else Text.assemble(f"{channel}: ", sqnr_text(decibels))


def bar(decibels: float | None) -> Text:
    """Draw the SQNR, so that the layer that loses most is seen before it is read."""
    if decibels is None or math.isnan(decibels):
        return Text("")
    share = min(max(decibels / FULL_DB, 0.0), 1.0)
    style = next(style for limit, style in BAR_STYLES if decibels >= limit)
    return Text(BAR_CELL * round(BAR * share), style)


COLUMNS: dict[str, Callable[[LayerReport], Text]] = {
    "layer": lambda x: Text(one_line(x.name)),
    "kind": lambda x: Text(x.op, "dim"),
    "input": lambda x: Text(x.input_format or ""),
    "weights": lambda x: Text(x.weight_format or ""),
    "output": output_text,
    "accumulator": lambda x: proof_text(x.proved, x.accumulator_bits_needed, x.accumulator),
    "proof": lambda x: short_proof_text(x.proved, x.accumulator_bits_needed, x.accumulator),
    "overflows": lambda x: _count(x.accumulator_overflows) if x.accumulator else Text(""),
    "saturated": lambda x: _count(x.saturations),
    "below 0": lambda x: Text(f"{x.below_zero:,}", "dim"),
    "SQNR dB": lambda x: sqnr_text(x.sqnr_db),
    "worst channel": lambda x: _worst(x.worst_channel, x.worst_channel_sqnr_db),
    " ": lambda x: bar(x.sqnr_db),
}
"""How each column says what it says of a layer."""

_CUT = "below 0"
"""What unsigned words cut as the ReLUs behind them would: no loss, and left out where none did."""
_FORMATS, _LOSSES = ("weights", "output"), ("overflows", "saturated", "SQNR dB")
_ALL = ("overflows", "saturated", _CUT, "SQNR dB")
_COMPARED = ("SQNR dB", "worst channel", " ")
LAYOUTS = (
    ("layer", "kind", "input", *_FORMATS, "accumulator", *_ALL, "worst channel", " "),
    ("layer", "kind", "input", *_FORMATS, "accumulator", *_ALL, " "),
    ("layer", "kind", *_FORMATS, "accumulator", *_ALL),
    ("layer", *_FORMATS, "accumulator", *_LOSSES),
    ("layer", *_FORMATS, "proof", *_LOSSES),
)
"""The columns for screens of less and less width."""
NARROW, REST = ("layer", "output", *_LOSSES), ("layer", "weights", "proof")
"""The columns of two tables, where none of these fits."""


def summary(run: "Report", data: str) -> Table:
    """Draw what a run cost; ``data`` names what it ran on."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    rows: list[tuple[str, Text | str]] = [
        ("accuracy", _accuracy(run, data)),
        *(("output", _output(output)) for output in _told_outputs(run)),
        ("softmax", _softmax(run)),
        ("casts", DEFAULT_MODES),
        ("uint8", scaling_text(run.scaling)),
        ("input", normalisation_text(run.normalisation)),
        ("speed", _speed(run.timing)),
    ]
    for head, text in rows:
        if text:
            grid.add_row(f" {head}", text)
    return grid


def _told_outputs(run: "Report") -> tuple[OutputReport, ...]:
    """Return the outputs where accuracy does not tell it all: several, or one without classes."""
    without_classes = run.accuracy.fixed is None and run.softmax is None
    return run.outputs if len(run.outputs) > 1 or without_classes else ()


def _output(output: OutputReport) -> Text:
    told = f"{one_line(output.name)}  {output.format}"
    if output.max_abs_error is None:
        return Text(told)
    if not sqnr_text(output.sqnr_db):
        return Text(f"{told}, SQNR unknown: its reference leaves the range of float32")
    error = f"error at most {output.max_abs_error:.2g}"
    return Text(f"{told}, SQNR {measured(output.sqnr_db)}, {error}")


def _accuracy(run: "Report", data: str) -> Text:
    found, images = run.accuracy, f"of {run.images:,} images"
    if found.fixed is None:
        unknown = f"unknown, {one_line(data)} has no labels (--labels gives them)"
        flips = "" if found.flips is None else f"flips {found.flips:,} {images}"
        told = [unknown, flips] if flips or not _told_outputs(run) else []
        return Text("   ".join(filter(None, told)))
    if found.reference is None or found.loss is None:
        return Text(f"fixed {found.fixed:.4f} {images}")
    style = "bold green" if found.loss <= NO_LOSS else "bold yellow"
    return Text.assemble(
        f"float {found.reference:.4f}   fixed {found.fixed:.4f}   loss ",
        (f"{found.loss:.4f}", style),
        f"   flips {found.flips:,} {images}",
    )


def _softmax(run: "Report") -> str:
    if run.softmax is None:
        return ""
    lost = run.softmax.argmax_lost
    return f"error at most {run.softmax.max_abs_error:.2g}, largest class lost {lost:,} times"


def _speed(timing: Timing) -> str:
    threads = "1 thread" if timing.threads == 1 else f"{timing.threads} threads"
    return f"{timing.images_per_second:,.0f} images/s on {threads}"


def flip_table(flips: Sequence[Flip]) -> Table:
    """List the images whose prediction changed, and who was right."""
    drawn = table("image", "label", "float", "fixed", " ", right=("image",))
    for flip in flips:
        label = "" if flip.label is None else str(flip.label)
        classes = (str(flip.reference), str(flip.fixed))
        drawn.add_row(f"{flip.index:,}", label, *classes, _verdict(flip))
    return drawn


def _verdict(flip: Flip) -> Text:
    if flip.label is None:
        return Text("")
    if flip.reference == flip.label:
        return Text("lost", "yellow")
    return Text("gained", "green") if flip.fixed == flip.label else Text("both wrong", "dim")
