"""``fxpnn demo``: quantize and run the bundled networks on the bundled test images."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

import fxpnn
from fxpnn.errors import ModelError

from . import options, params
from .console.terminal import note, on_terminal, print_json
from .textbook import or_textbook

if TYPE_CHECKING:
    from .views.run import RunReport


@click.command(epilog=options.example("fxpnn demo", "fxpnn demo --word 8", "fxpnn demo --textbook"))
@or_textbook
@options.with_settings
@click.option("--limit", type=params.COUNT, metavar="N", help="Run the first N images only.")
@options.threads
@options.as_json("views.run:RunReports", "views.lessons:Book")
@options.quiet
def demo(
    settings: "fxpnn.Settings", limit: int | None, threads: int | None, as_json: bool, quiet: bool
) -> None:
    """Quantize the bundled networks and run them on MNIST.

    Formats are calibrated on 1,000 training images, accuracy is measured on the 10,000 test images.
    Nothing is read but the package itself. With --textbook the networks of the lectures run
    instead.
    """
    from fxpnn.analysis import tables

    from .views import run as view

    done = []
    for path in bundled():
        run = _run(path, settings, limit, threads, quiet)
        done.append(run)
        if not as_json:
            view.print_run(run)
        if as_json or not on_terminal():
            for finding in tables.findings(run.report):
                note(f"{run.model.name}: {finding}", quiet)
    if as_json:
        print_json(view.RunReports(1, tuple(done)))


def bundled() -> list[Path]:
    """List the bundled networks that are there.

    Raises:
        ModelError: there is none.
    """
    folder = Path(str(import_module("fxpnn.models").__path__[0]))
    found = [path for name in params.ARCHITECTURES if (path := folder / f"{name}.onnx").is_file()]
    if not found:
        raise ModelError(f"{folder}: must hold the bundled networks; install fxpnn again")
    return found


def _run(
    path: Path, settings: "fxpnn.Settings", limit: int | None, threads: int | None, quiet: bool
) -> "RunReport":
    from . import comparing, sources  # compiles loops

    network, model = sources.load_float(path)
    calibration = fxpnn.load_data("mnist:calibration").x
    fixed = fxpnn.quantize(network, calibration, settings)
    data, source = sources.load_for(network, "mnist", limit)
    return comparing.compare_with_progress(network, fixed, data, model, source, threads, quiet)[0]
