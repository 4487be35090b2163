"""Run the textbook: its rows as JSON, its table, and what was wrong."""

from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
from rich.text import Text

from fxpnn.analysis.tables import table
from fxpnn.errors import one_line
from fxpnn.textbook import LESSONS, Check, Row, approximation
from fxpnn.textbook.formula import Curve

from ..console.progress import progress
from ..console.tables import ResultConsole
from ..console.terminal import path_text


class Published(msgspec.Struct, frozen=True):
    """A published result: it holds where no computed number is ``within`` further from it."""

    what: str
    published: tuple[float, ...]
    computed: tuple[float, ...]
    within: float
    holds: bool


class Line(msgspec.Struct, frozen=True, rename={"floats": "float"}):
    """A row of the textbook; ``difference_lsb`` is the largest of any output."""

    lesson: str
    name: str
    floats: tuple[float, ...]
    fixed: tuple[float, ...]
    difference_lsb: float
    saturations: int
    holds: bool
    checks: tuple[Published, ...]


class Book(msgspec.Struct, frozen=True):
    """The textbook, schema 1: ``holds`` of the ``published`` results hold."""

    schema: Literal[1]
    rows: tuple[Line, ...]
    published: int
    holds: int
    plots: tuple[str, ...]


def read(lessons: tuple[str, ...], curve: Curve | None, plots: Path | None, quiet: bool) -> Book:
    """Run lessons, and draw the plots where a folder is given.

    Raises:
        DataError: the curve is not finite, or the plots cannot be drawn.
    """
    known = dict(LESSONS)
    if curve is not None:
        known["approximation"] = partial(approximation.rows, (approximation.SINE, curve))
    files: list[Path] = []
    if plots is not None:  # first: nobody waits for lessons to hear that matplotlib is not there
        from fxpnn.textbook.plots import draw

        files = draw(plots, curve)
    lines: list[Line] = []
    with progress("textbook", len(lessons), quiet) as advance:
        for name in lessons:
            lines += [_line(name, row) for row in known[name]()]
            advance(1, name)
    checks = [check for line in lines for check in line.checks]
    holding = sum(check.holds for check in checks)
    return Book(1, tuple(lines), len(checks), holding, tuple(map(path_text, files)))


def wrong(book: Book) -> list[str]:
    """Say of each published result that does not hold what was computed."""
    return [
        f"{line.lesson}, {line.name}: {check.what} must be {_text(check.published)}, "
        f"not {_text(check.computed)}"
        for line in book.rows
        for check in line.checks
        if not check.holds
    ]


def print_book(book: Book) -> None:
    """Draw the rows as one table, and say what was wrong."""
    console = ResultConsole()
    drawn = table("lesson", *_HEADS, right=("LSB", "saturated"), folded=("lesson", *_HEADS[:2]))
    last = None
    for line in book.rows:
        if line.lesson != last:
            drawn.add_row(Text(line.lesson, "bold"))
        last = line.lesson
        drawn.add_row(Text(f"  {line.name}"), *_cells(line))
    console.print()
    console.print(drawn)
    style = "bold green" if book.holds == book.published else "bold red"
    console.print(Text(f" {book.holds} of {book.published} published results hold", style))
    for text in (*wrong(book), *book.plots):
        console.print(Text(f" {one_line(text)}"))
    console.print()


_HEADS = ("float", "fixed", "LSB", "saturated", "published")


def _cells(line: Line) -> tuple[Text, ...]:
    holding = sum(check.holds for check in line.checks)
    verdict = (f"{holding} hold", "green")
    if not line.holds:
        verdict = (f"{holding} of {len(line.checks)} hold", "bold red")
    saturated = Text(f"{line.saturations:,}", "bold yellow" if line.saturations else "dim")
    return (
        Text(_text(line.floats)),
        Text(_text(line.fixed)),
        Text(_lsb(line.difference_lsb)),
        saturated,
        Text(*verdict),
    )


def _text(values: tuple[float, ...]) -> str:
    return " ".join(f"{value + 0.0:.4g}" for value in values)


def _lsb(difference: float) -> str:
    if difference == 0:
        return "0"
    return f"{difference:.2f}" if difference < 100 else f"{difference:,.0f}"


def _line(lesson: str, row: Row) -> Line:
    checks = tuple(map(_published, row.checks))
    return Line(
        lesson, row.name, row.floats, row.fixed, row.lsb, row.saturations, row.holds, checks
    )


def _published(check: Check) -> Published:
    return Published(check.what, check.published, check.computed, check.within, check.holds)
