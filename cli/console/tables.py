"""Tables on stdout: one style, as wide as the terminal allows, plain where piped."""

from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxpnn.analysis.tables import WIDE
from fxpnn.errors import one_line

from ..console.terminal import on_terminal, terminal_width


class ResultConsole(Console):
    """The console for results; it takes all text as it is."""

    def __init__(self) -> None:
        width = terminal_width() if on_terminal() else WIDE
        super().__init__(width=width, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the command line to end quietly; rich would exit with 1."""
        raise BrokenPipeError

    def print_title(self, name: str, rest: str) -> None:
        """Print what a result is about, behind an empty line; ``rest`` says on what it was made."""
        self.print()
        self.print(Text(f" {one_line(name)}", "bold"), Text(one_line(rest), "dim"))

    def fits(self, drawn: Table) -> bool:
        """Tell whether a table needs no more columns than there are."""
        unlimited = self.options.update_width(1 << 16)
        return self.measure(drawn, options=unlimited).maximum <= self.width

    def print_widest(self, tables: Sequence[Table]) -> None:
        """Print the first of the tables that fits, else the last."""
        self.print(next((drawn for drawn in tables if self.fits(drawn)), tables[-1]))
