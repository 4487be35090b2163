"""``fxpnn data``: list the data sets, fetch them, and verify that they are whole."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, params
from .console.terminal import path_text, print_json

if TYPE_CHECKING:
    from fxpnn.datasets.catalog import Check, Entry


@click.group(invoke_without_command=True)
@click.pass_context
def data(ctx: click.Context) -> None:
    """List, fetch and verify data sets."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@data.command("list", epilog=options.example("fxpnn data list"))
@options.as_json
def list_(as_json: bool) -> None:
    """List the data sets that have a name."""
    from fxpnn.datasets.catalog import catalog

    entries = catalog()
    if as_json:
        print_json({"schema": 1, "datasets": [_entry_json(entry) for entry in entries]})
    else:
        _print_entries(entries)


@data.command(epilog=options.example("fxpnn data path mnist:train"))
@click.argument("name", metavar="NAME")
def path(name: str) -> None:
    """Print the folder in which the data set NAME lies."""
    from fxpnn.datasets import mnist
    from fxpnn.errors import DataError

    found = mnist.find(name)
    if found is None:
        raise DataError(f"the data set must be one of {', '.join(mnist.DATASETS)}, not {name!r}")
    click.echo(found[0].parent)


@data.command(epilog=options.example("fxpnn data fetch mnist"))
@click.argument("name", metavar="NAME")
@click.option(
    "--folder", type=params.FILE, metavar="DIR", help="Where to.  [default: the user's cache]"
)
@options.quiet
def fetch(name: str, folder: Path | None, quiet: bool) -> None:
    """Download the data set NAME (mnist: its training and test images), 55 MB unpacked.

    The published sha256 of every file is checked. Files that are there already are kept: run it
    again to go on after an interruption.
    """
    from fxpnn.datasets import download

    from .console.progress import progress

    done = 0
    with progress(name, 1, quiet) as advance:

        def show(count: int, total: int) -> None:
            nonlocal done
            advance((count - done) / total)
            done = count

        found = download.fetch(name, folder, show)
    click.echo(found)


@data.command(epilog=options.example("fxpnn data verify mnist"))
@click.argument("name", metavar="NAME", default="mnist")
@click.option(
    "--folder", type=params.FILE, metavar="DIR", help="Where.  [default: wherever it lies]"
)
@options.as_json
def verify(name: str, folder: Path | None, as_json: bool) -> None:
    """Compare the files of the data set NAME with their published sha256.

    The exit status is 3 if one is missing or differs.
    """
    from fxpnn.datasets.catalog import verify
    from fxpnn.errors import DataError

    checks = verify(name, folder)
    if as_json:
        print_json({"schema": 1, "files": [_check_json(check) for check in checks]})
    else:
        _print_checks(checks)
    if bad := [check for check in checks if not check.ok]:
        more = f"; {len(bad)} of {len(checks)} files are not as published" if len(bad) > 1 else ""
        raise DataError(f"{bad[0].file}: {bad[0].reason}{more}")


def _entry_json(entry: "Entry") -> dict[str, object]:
    return {**entry._asdict(), "folder": path_text(entry.folder)}


def _check_json(check: "Check") -> dict[str, object]:
    return {**check._asdict(), "file": path_text(check.file)}


def _print_entries(entries: "list[Entry]") -> None:
    from .console.tables import ResultConsole, table

    drawn = table(
        "data set", "images", "MB", "state", "folder", right=("images", "MB"), folded=("folder",)
    )
    for entry in entries:
        size = f"{entry.size / 1e6:.1f}"
        drawn.add_row(entry.name, f"{entry.images:,}", size, entry.state, path_text(entry.folder))
    ResultConsole().print(drawn)


def _print_checks(checks: "list[Check]") -> None:
    from rich.text import Text

    from .console.tables import ResultConsole, table

    drawn = table("", "file", "", folded=("file",))
    for check in checks:
        mark = Text("ok", "green") if check.ok else Text("bad", "bold red")
        drawn.add_row(mark, path_text(check.file), check.reason)
    ResultConsole().print(drawn)
