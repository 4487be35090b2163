"""Draw a run: one table of its layers, then what it cost."""

import math
from collections.abc import Callable

import msgspec
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fxpnn.analysis.overflow import first_overflow
from fxpnn.analysis.report import (
    Accuracy,
    Flip,
    LayerReport,
    OutputReport,
    Report,
    SoftmaxReport,
    Timing,
)

from ..console.tables import ResultConsole, table
from ..console.terminal import printable
from ..sources import DataSource, ModelSource

FULL_DB, BAR, BAR_CELL = 100, 10, "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
"""The SQNR of a full bar (16 bits reach about 98 dB), and how many cells of what it has."""

BAR_STYLES = ((60, "green"), (30, "yellow"), (-math.inf, "red"))
"""From how many dB on a bar has which colour."""


class RunReport(msgspec.Struct, frozen=True):
    """A run, schema 1; ``flipped`` is spelled only where the user asked for it.

    ``outputs`` is spelled where accuracy does not tell it all: of several, and of one that is no
    softmax and for which there are no labels.
    """

    schema: int
    model: ModelSource
    data: DataSource
    accuracy: Accuracy
    layers: tuple[LayerReport, ...]
    softmax: SoftmaxReport | None
    timing: Timing
    outputs: tuple[OutputReport, ...] | msgspec.UnsetType = msgspec.UNSET
    flipped: tuple[Flip, ...] | msgspec.UnsetType = msgspec.UNSET


class RunReports(msgspec.Struct, frozen=True):
    """Several runs, schema 1."""

    schema: int
    runs: tuple[RunReport, ...]


def run_report(
    report: Report, model: ModelSource, data: DataSource, show_flips: bool = False
) -> RunReport:
    """Join a report with the files that it is about."""
    without_classes = report.accuracy.fixed is None and report.softmax is None
    return RunReport(
        1,
        model,
        data,
        report.accuracy,
        report.layers,
        report.softmax,
        report.timing,
        report.outputs if len(report.outputs) > 1 or without_classes else msgspec.UNSET,
        report.flipped if show_flips else msgspec.UNSET,
    )


def overflow_text(run: RunReport) -> str | None:
    """Say which layer overflowed first, and what would have fitted; ``None`` if none did."""
    text = first_overflow(run.layers, run.data.images)
    return printable(text) if text else None


def print_run(run: RunReport) -> None:
    """Draw a run: its layers, what overflowed first, what it cost, and flips where asked for."""
    console = ResultConsole()
    console.print()
    console.print(Text(f" {run.model.name}", "bold"), Text(f"on {printable(run.data.name)}", "dim"))
    layouts = LAYOUTS[1:] if console.options.ascii_only else LAYOUTS  # bars are no ASCII
    console.print_widest([_layers(run, heads) for heads in layouts])
    if overflow := overflow_text(run):
        console.print(Padding(Text(overflow, "yellow"), (0, 1, 1, 1), expand=False))
    console.print(_summary(run))
    if run.flipped:
        console.print(_flips(run.flipped))
    console.print()


def _layers(run: RunReport, heads: tuple[str, ...]) -> Table:
    if all(layer.sqnr_db is None for layer in run.layers):  # nothing to compare with
        heads = tuple(head for head in heads if head not in _COMPARED)
    drawn = table(*heads, right=("overflows", "saturated", "SQNR dB"), folded=("layer",))
    for layer in run.layers:
        drawn.add_row(*(COLUMNS[head](layer) for head in heads))
    return drawn


def proof_text(proved: bool, needed: int | None, accumulator: str | None) -> Text:
    """Say whether an accumulator is proved never to overflow, and how wide it must be."""
    if accumulator is None:
        return Text("")
    register = accumulator.removesuffix(" saturate")
    verdict, style = ("proved", "green") if proved else ("may overflow", "yellow")
    return Text(f"{verdict}, needs {needed} of {register}", style)


def short_proof_text(proved: bool, needed: int | None, accumulator: str | None) -> Text:
    """Say the same in fewer letters."""
    if accumulator is None:
        return Text("")
    verdict, style = ("proved", "green") if proved else ("may overflow", "yellow")
    return Text(f"{verdict} {needed}/{accumulator.split()[0]}", style)


def _count(count: int) -> Text:
    return Text(f"{count:,}", "bold yellow" if count else "dim")


def _sqnr(decibels: float | None) -> Text:
    if decibels is None:
        return Text("")
    if math.isfinite(decibels):
        return Text(f"{round(decibels, 1) + 0.0:.1f}")  # no -0.0
    return Text("exact" if decibels > 0 else "lost")


def _bar(decibels: float | None) -> Text:
    """Draw the SQNR, so that the layer that loses most is seen before it is read."""
    if decibels is None:
        return Text("")
    share = min(max(decibels / FULL_DB, 0.0), 1.0)
    style = next(style for limit, style in BAR_STYLES if decibels >= limit)
    return Text(BAR_CELL * round(BAR * share), style)


COLUMNS: dict[str, Callable[[LayerReport], Text]] = {
    "layer": lambda x: Text(printable(x.name)),
    "kind": lambda x: Text(x.op, "dim"),
    "input": lambda x: Text(x.input_format or ""),
    "weights": lambda x: Text(x.weight_format or ""),
    "output": lambda x: Text(x.output_format),
    "accumulator": lambda x: proof_text(x.proved, x.accumulator_bits_needed, x.accumulator),
    "proof": lambda x: short_proof_text(x.proved, x.accumulator_bits_needed, x.accumulator),
    "overflows": lambda x: _count(x.accumulator_overflows) if x.accumulator else Text(""),
    "saturated": lambda x: _count(x.saturations),
    "SQNR dB": lambda x: _sqnr(x.sqnr_db),
    " ": lambda x: _bar(x.sqnr_db),
}
"""How each column says what it says of a layer."""

_FORMATS, _LOSSES = ("weights", "output"), ("overflows", "saturated", "SQNR dB")
_COMPARED = ("SQNR dB", " ")
LAYOUTS = (
    ("layer", "kind", "input", *_FORMATS, "accumulator", *_LOSSES, " "),
    ("layer", "kind", *_FORMATS, "accumulator", *_LOSSES),
    ("layer", *_FORMATS, "accumulator", *_LOSSES),
    ("layer", *_FORMATS, "proof", *_LOSSES),
    ("layer", "output", *_LOSSES),
)
"""The columns for screens of less and less width."""


def _summary(run: RunReport) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    rows: list[tuple[str, Text | str]] = [
        ("accuracy", _accuracy(run)),
        *(("output", _output(output)) for output in run.outputs or ()),
        ("softmax", _softmax(run)),
        ("speed", _speed(run.timing)),
    ]
    for head, text in rows:
        if text:
            grid.add_row(f" {head}", text)
    return grid


def _output(output: OutputReport) -> Text:
    told = f"{printable(output.name)}  {output.format}"
    if output.max_abs_error is None:
        return Text(told)
    sqnr = _sqnr(output.sqnr_db).plain
    decibels = f"SQNR {sqnr} dB" if sqnr[-1].isdigit() else sqnr
    return Text(f"{told}, {decibels}, error at most {output.max_abs_error:.2g}")


def _accuracy(run: RunReport) -> Text:
    found = run.accuracy
    if found.fixed is None:
        known = Text(f"unknown, {printable(run.data.name)} has no labels")
        return Text("") if run.outputs else known
    images = f"of {run.data.images:,} images"
    if found.reference is None or found.loss is None:
        return Text(f"fixed {found.fixed:.4f} {images}")
    style = "bold green" if found.loss <= 0.001 else "bold yellow"
    return Text.assemble(
        f"float {found.reference:.4f}   fixed {found.fixed:.4f}   loss ",
        (f"{found.loss:.4f}", style),
        f"   flips {found.flips:,} {images}",
    )


def _softmax(run: RunReport) -> str:
    if run.softmax is None:
        return ""
    lost = run.softmax.argmax_lost
    return f"error at most {run.softmax.max_abs_error:.2g}, largest class lost {lost:,} times"


def _speed(timing: Timing) -> str:
    threads = "1 thread" if timing.threads == 1 else f"{timing.threads} threads"
    return f"{timing.images_per_second:,.0f} images/s on {threads}"


def _flips(flips: tuple[Flip, ...]) -> Table:
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
