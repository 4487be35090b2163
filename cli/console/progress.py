"""The progress bar: on stderr, only on a terminal, gone when the work is done."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from .terminal import terminal_width

REDRAWN = 0.1
"""Seconds from one drawing of the bar to the next; no thread draws it in between."""


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
    console = Console(stderr=True, width=terminal_width())
    bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
    task = bar.add_task(text, total=total)
    drawn = 0.0

    def advance(count: float, text: str | None = None, /) -> None:
        nonlocal drawn
        bar.update(task, advance=count, description=text)
        if (now := time.monotonic()) - drawn >= REDRAWN:
            drawn = now
            with contextlib.suppress(OSError):  # a terminal that is gone stops no work
                bar.refresh()

    try:
        with contextlib.suppress(OSError):
            bar.start()
        yield advance
    finally:
        with contextlib.suppress(OSError):
            bar.stop()
            console.show_cursor(True)  # where an interruption met the start or stop itself


def _stay_silent(count: float, text: str | None = None, /) -> None:
    pass
