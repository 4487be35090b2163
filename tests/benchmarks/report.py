"""Report figures, as tables and as JSON."""

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

import fxpnn
from tests.benchmarks.figures import Figure, Goal

PACKAGES = ("numpy", "numba", "onnxruntime", "torch", "apytypes", "fxpmath", "hls4ml")
WIDTH = 140


class Report(msgspec.Struct, frozen=True):
    """All figures of one run, schema 1, and on what they were measured."""

    schema: int
    fxpnn: str
    machine: str
    cores: int
    packages: dict[str, str]
    quick: bool
    figures: list[Figure]


def report(figures: list[Figure], cores: int, quick: bool) -> Report:
    """Add to the figures what they were measured on."""
    machine = f"{_processor()}, {platform.system()}, Python {platform.python_version()}"
    packages = {name: found for name in PACKAGES if (found := _version(name))}
    return Report(1, fxpnn.__version__, machine, cores, packages, quick, figures)


def write_json(told: Report, path: Path) -> None:
    """Write a report as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")


def print_tables(told: Report) -> None:
    """Print a table for each part; a mark says whether a figure reaches its limits."""
    console = Console(width=WIDTH, highlight=False)
    packages = ", ".join(f"{name} {found}" for name, found in told.packages.items())
    console.print(f"{told.machine}, {told.cores} cores\nfxpnn {told.fxpnn}, {packages}")
    for part, figures in groupby(told.figures, key=lambda figure: figure.part):
        console.print(_table(part, list(figures)))
    if judged := [figure for figure in told.figures if figure.goal]:
        console.print(_goals(judged))


def _table(part: str, figures: Sequence[Figure]) -> Table:
    table = _plain(part)
    for name in ("", " "):
        table.add_column(name, no_wrap=True)
    for name in ("value", "sgemm = 1" if part == "kernels" else "fxpnn = 1", "must", "aim"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", style="dim")
    case = ""
    for figure in figures:
        table.add_row(figure.case if figure.case != case else "", *_cells(figure))
        case = figure.case
    return table


def _goals(figures: Sequence[Figure]) -> Table:
    """Gather what has to be reached, all parts in one table."""
    held = sum(bool(figure.holds) for figure in figures)
    table = _plain(f"what it must show: {held} of {len(figures)} hold")
    for name in ("part", "", " "):
        table.add_column(name, no_wrap=True)
    for name in ("measured", "must", "aim"):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in figures:
        value, ratio, must, aim = _cells(figure)[1:5]
        table.add_row(figure.part, figure.case, figure.label(), ratio or value, must, aim)
    return table


def _plain(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else _spelled(figure.ratio)
    judged = figure.value if figure.ratio is None else figure.ratio
    goal = figure.goal
    must = _limit(goal, goal.must, judged) if goal else ""
    aim = _limit(goal, goal.aim, judged) if goal and goal.aim is not None else ""
    value = f"{_spelled(figure.value)} {figure.unit}".rstrip()
    return figure.label(), value, ratio, must, aim, figure.note


def _limit(goal: Goal, limit: float, value: float) -> str:
    sign, mark = "≤" if goal.at_most else "≥", "✓" if goal.holds(value, limit) else "✗"
    return f"{sign} {limit:g} {mark}"


def _spelled(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
