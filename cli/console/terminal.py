"""Print to the terminal: results on stdout, notes on stderr, text that is safe there."""

import logging
import os
import sys

import click

_LIBRARY = logging.getLogger("fxpnn")


class GateError(Exception):
    """A limit that the user set was exceeded; the command line exits with 1."""


def printable(text: object) -> str:
    """Return text as one line without control characters, whatever a file named its layers.

    >>> printable("two" + chr(10) + "lines" + chr(27) + "[2J")
    'two lines?[2J'
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


def path_text(path: str | os.PathLike[str]) -> str:
    """Return a path as text that any encoding takes: bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


def complain(kind: str, text: object) -> None:
    """Print the one line on stderr that ends a command."""
    click.echo(f"fxpnn: {kind}: {printable(text)}", err=True)


def note(text: str, quiet: bool) -> None:
    """Print a line on stderr, unless the user wants none."""
    if not quiet:
        click.echo(f"fxpnn: note: {printable(text)}", err=True)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage(), quiet=False)


def show_log() -> None:
    """Print as notes what the library logs: that it compiles, and how long a user may wait."""
    _LIBRARY.addHandler(_Notes())
    _LIBRARY.setLevel(logging.INFO)


def hide_log() -> None:
    """Print no such notes any more."""
    _LIBRARY.setLevel(logging.WARNING)


def print_json(value: object) -> None:
    """Print a struct as one JSON document; numbers that are not finite become null."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def on_terminal() -> bool:
    """Tell whether results are looked at as they appear."""
    return sys.stdout.isatty()
