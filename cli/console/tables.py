"""Tables on stdout: one style, as wide as the terminal allows, plain where piped."""

from collections.abc import Sequence
from typing import NoReturn

from rich import box
from rich.console import Console
from rich.table import Table

from ..console.terminal import on_terminal

WIDE = 1 << 12
"""Columns where no terminal limits them; nothing is filled up to them."""

LEAST_NAME = 6
"""Columns that a name keeps where the others leave it no room."""


class ResultConsole(Console):
    """The console for results; it takes all text as it is."""

    def __init__(self) -> None:
        width = None if on_terminal() else WIDE
        super().__init__(width=width, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the command line to end quietly; rich would exit with 1."""
        raise BrokenPipeError

    def fits(self, drawn: Table) -> bool:
        """Tell whether a table needs no more columns than there are."""
        unlimited = self.options.update_width(1 << 16)
        return self.measure(drawn, options=unlimited).maximum <= self.width

    def print_widest(self, tables: Sequence[Table]) -> None:
        """Print the first of the tables that fits, else the last."""
        self.print(next((drawn for drawn in tables if self.fits(drawn)), tables[-1]))


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
