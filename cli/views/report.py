"""A report as a page: the values in it, what it says in words, and what is printed about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.padding import Padding
from rich.text import Text

import fxpnn
from fxpnn.analysis.full_report import FullReport
from fxpnn.analysis.points import Point
from fxpnn.analysis.report import Accuracy
from fxpnn.analysis.tables import NO_LOSS, measured
from fxpnn.errors import one_line
from fxpnn.files import sha256

from ..console.tables import ResultConsole
from ..console.terminal import path_text
from ..sources import DataSource, ModelSource


class Document(msgspec.Struct, frozen=True):
    """What a page holds as data, schema 1; ``version`` is that of the fxpnn that wrote it.

    ``points`` are those of a search, where the user named one.
    """

    schema: Literal[1]
    version: str
    model: ModelSource
    reference: ModelSource
    data: DataSource
    calibration: DataSource | None
    report: FullReport
    points: tuple[Point, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """A page that was written, schema 1: its verdict, and the file with its size in bytes."""

    schema: Literal[1]
    model: ModelSource
    data: DataSource
    accuracy: Accuracy
    verdict: str
    path: str
    size: int
    sha256: str


def document(
    report: FullReport,
    model: ModelSource,
    reference: ModelSource,
    data: DataSource,
    calibration: DataSource | None,
    points: Sequence[Point] = (),
) -> Document:
    """Join a report with the files that it is about, and the points of a search."""
    version = fxpnn.__version__
    return Document(1, version, model, reference, data, calibration, report, tuple(points))


def written(told: Document, path: Path, content: bytes) -> Written:
    """Describe a page that was written."""
    accuracy, said = told.report.accuracy, verdict(told.report)
    return Written(
        1, told.model, told.data, accuracy, said, path_text(path), len(content), sha256(content)
    )


def print_written(done: Written) -> None:
    """Say what was found, and where it can be looked at."""
    console = ResultConsole()
    console.print_title(done.model.name, f"on {done.data.name}")
    console.print(Padding(Text(done.verdict), (0, 1, 0, 1), expand=False))
    console.print(Text(f" written to {one_line(done.path)} ({done.size / 1000:,.0f} kB)"))
    console.print()


def standing(report: FullReport) -> Literal["good", "fair", "bad"]:
    """Judge what is lost: nothing that matters, perhaps something, something for certain."""
    loss = report.loss_interval
    if loss is None:
        return "good" if report.accuracy.flips == 0 else "fair"
    if loss.high <= NO_LOSS:
        return "good"
    return "bad" if loss.low > 0 else "fair"


def verdict(report: FullReport) -> str:
    """Say in one sentence what is lost, and which layer loses most."""
    told = _lost(report)
    if report.ranking:
        first = report.ranking[0]
        who = f"{one_line(first.name)} loses most, by its {first.part}"
        if standing(report) == "good":
            who = f"of the {report.accuracy.flips:,} predictions that change, {who}"
        told += f"; {who}"
    return f"{told}."


def _lost(report: FullReport) -> str:
    found, images = report.accuracy, f"{report.images:,} images"
    if found.loss is None or report.loss_interval is None:
        if found.flips is None:
            return f"Its outputs have an SQNR of {measured(report.given.sqnr_db)}"
        return f"It changes {found.flips:,} predictions of {images}, which have no labels"
    ends = " to ".join(signed(end) for end in (report.loss_interval.low, report.loss_interval.high))
    accuracy = f"{found.fixed:.4f} where float has {found.reference:.4f} on {images}"
    said = {
        "good": "It loses no accuracy that matters",
        "fair": "These images do not tell whether it loses accuracy",
        "bad": "It loses accuracy",
    }[standing(report)]
    return f"{said}: {accuracy}, a loss of {signed(found.loss)} ({ends} with 95 % confidence)"


def signed(value: float) -> str:
    """Spell a difference of accuracies with a minus sign that is one, and no -0."""
    return f"{round(value, 4) + 0.0:.4f}".replace("-", "\N{MINUS SIGN}")
