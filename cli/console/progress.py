"""The progress bar: on stderr, only on a terminal, gone when the work is done."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol


class Advance(Protocol):
    """Moves a bar on; may be called from any thread."""

    def __call__(self, count: float, text: str | None = None, /) -> None:
        """Add ``count`` to what is done; ``text`` replaces the words before the bar."""


@contextlib.contextmanager
def progress(text: str, total: float, quiet: bool) -> Iterator[Advance]:
    """Show a bar while the block runs, and leave the terminal as it was, also after Ctrl-C."""
    if quiet or not sys.stderr.isatty():
        yield _stay_silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=total)

        def advance(count: float, text: str | None = None, /) -> None:
            bar.update(task, advance=count, description=text)

        yield advance


def _stay_silent(count: float, text: str | None = None, /) -> None:
    pass
