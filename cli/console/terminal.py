"""Print to the terminal: results on stdout, notes on stderr, text that is safe there."""

import contextlib
import io
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TextIO

import click

from fxpnn.errors import one_line

NARROW, WIDE = 20, 1 << 12
"""The columns that a terminal is taken to have at least and at most."""

_LIBRARY = logging.getLogger("fxpnn")


class GateError(Exception):
    """A limit that the user set was exceeded; the command line exits with 1."""


def path_text(path: str | os.PathLike[str]) -> str:
    """Return a path as text that any encoding takes: bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def open_streams() -> None:
    """Make standard streams that are closed, or lack letters of a file's name, safe to print to.

    In the place of a closed one the null device is opened: the next file that a command opens would
    get its number, and what LLVM has to say would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            stream = Path(os.devnull).open("w" if number else "r")  # noqa: SIM115 (it stays open)
            os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drained(stream: TextIO) -> OSError | None:
    """Flush a stream; return why it takes no more.

    Then it is a null device: what it did not take, Python would try to write again at its exit.
    """
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def complain(kind: str, text: object) -> None:
    """Print the one line on stderr that ends a command, if it takes it."""
    with contextlib.suppress(OSError):
        click.echo(f"fxpnn: {kind}: {one_line(text)}", err=True)


def note(text: str, quiet: bool) -> None:
    """Print a line on stderr, if it takes it and the user wants notes."""
    if not quiet:
        complain("note", text)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage(), quiet=False)


def show_log() -> None:
    """Print as notes what the library logs: that it compiles, and how long a user may wait."""
    _LIBRARY.addHandler(_Notes())
    _LIBRARY.setLevel(logging.INFO)


def hide_log(ctx: click.Context) -> None:
    """Print no such notes while a command runs."""
    before = _LIBRARY.level
    _LIBRARY.setLevel(logging.ERROR)
    ctx.find_root().call_on_close(lambda: _LIBRARY.setLevel(before))


def print_json(value: object) -> None:
    """Print a struct as one JSON document; numbers that are not finite become null.

    All is ASCII: what a terminal would heed, hide or have no letter for is escaped.
    """
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(re.sub(r"[^\n -~]", _escaped, text))


def _escaped(match: re.Match[str]) -> str:
    r"""Spell a character as JSON does; one beyond ``\uffff`` takes two escapes."""
    return re.sub("(....)", r"\\u\1", match[0].encode("utf-16-be").hex())


def on_terminal() -> bool:
    """Tell whether results are looked at as they appear."""
    return sys.stdout.isatty()


def terminal_width() -> int:
    """Count a terminal's columns; where the environment says that it has none, ask the terminal."""
    return min(max(shutil.get_terminal_size().columns, NARROW), WIDE)
