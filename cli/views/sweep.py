"""Draw a sweep: a row for each word."""

from typing import Literal

import msgspec

from fxpnn.analysis.sweep import WordPoint
from fxpnn.analysis.tables import bar, sqnr_text, table

from ..console.tables import ResultConsole
from ..sources import DataSource, ModelSource


class SweepReport(msgspec.Struct, frozen=True, rename={"reference": "float"}):
    """A sweep, schema 1; ``float`` is the float network's accuracy, null without labels."""

    schema: Literal[1]
    model: ModelSource
    data: DataSource
    reference: float | None
    cost: str
    points: tuple[WordPoint, ...]


def print_sweep(found: SweepReport) -> None:
    """Draw a sweep, the longest word first."""
    console = ResultConsole()
    console.print_title(found.model.name, f"on {found.data.name}")
    heads = ("word", f"{found.cost}, bits", "accuracy", "flips", "SQNR dB")
    drawn = table(*heads, " ", "front", right=heads)
    if found.reference is not None:
        drawn.add_row("float", "", f"{found.reference:.4f}", "", "", "", "")
    for point in reversed(found.points):
        effect = point.effect
        drawn.add_row(
            str(point.word),
            f"{point.cost:,.0f}",
            "" if effect.accuracy is None else f"{effect.accuracy:.4f}",
            "" if effect.flips is None else f"{effect.flips:,}",
            sqnr_text(effect.sqnr_db),
            bar(effect.sqnr_db) if not console.options.ascii_only else "",
            "*" if point.best else "",
        )
    console.print(drawn)
    console.print()
