"""``fxpnn data``: list the data sets, fetch them, and verify that they are whole."""

from pathlib import Path

import click

from . import options, params
from .console.group import Group
from .console.terminal import print_json


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def data(ctx: click.Context) -> None:
    """List, fetch and verify data sets."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@data.command("list", epilog=options.example("fxpnn data list"))
@options.as_json("views.datasets:DataSets")
def list_(as_json: bool) -> None:
    """List the data sets that have a name."""
    from fxpnn.datasets.catalog import catalog

    from .views import datasets as view

    found = view.listed(catalog())
    if as_json:
        print_json(found)
    else:
        view.print_listed(found)


@data.command(epilog=options.example("fxpnn data path mnist:train"))
@click.argument("name", metavar="NAME", type=params.Parsed(str, params.DATASETS))
@options.as_json("views.datasets:Folder")
def path(name: str, as_json: bool) -> None:
    """Print the folder in which the data set NAME lies."""
    from fxpnn.datasets import mnist
    from fxpnn.errors import DataError

    found = mnist.find(name)
    if found is None:
        raise DataError(f"the data set must be one of {', '.join(mnist.DATASETS)}, not {name!r}")
    _print_folder(name, found[0].parent, as_json)


@data.command(epilog=options.example("fxpnn data fetch mnist"))
@click.argument("name", metavar="NAME", type=params.Parsed(str, ("mnist",)))
@click.option(
    "--folder", type=params.FILE, metavar="DIR", help="Where to.  [default: the user's cache]"
)
@options.as_json("views.datasets:Folder")
@options.quiet
def fetch(name: str, folder: Path | None, as_json: bool, quiet: bool) -> None:
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
    _print_folder(name, found, as_json)


@data.command(epilog=options.example("fxpnn data verify mnist"))
@click.argument("name", metavar="NAME", default="mnist", type=params.Parsed(str, ("mnist",)))
@click.option(
    "--folder", type=params.FILE, metavar="DIR", help="Where.  [default: wherever it lies]"
)
@options.as_json("views.datasets:Files")
def verify(name: str, folder: Path | None, as_json: bool) -> None:
    """Compare the files of the data set NAME with their published sha256.

    The exit status is 3 if one is missing or differs.
    """
    from fxpnn.datasets.catalog import verify
    from fxpnn.errors import DataError

    from .views import datasets as view

    checks = verify(name, folder)
    found = view.verified(checks)
    if as_json:
        print_json(found)
    else:
        view.print_verified(found)
    if bad := [check for check in checks if not check.ok]:
        more = f"; {len(bad)} of {len(checks)} files are not as published" if len(bad) > 1 else ""
        raise DataError(f"{bad[0].file}: {bad[0].reason}{more}")


def _print_folder(name: str, folder: Path, as_json: bool) -> None:
    """Print where a data set lies, as a shell takes it."""
    if not as_json:
        click.echo(folder)
        return
    from .views import datasets as view

    print_json(view.found(name, folder))
