"""``fxpnn search``: small words for each layer under a limit of loss."""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

import fxpnn
from fxpnn import files
from fxpnn.errors import DataError

from . import options, params
from .console.progress import progress
from .console.terminal import GateError, note, print_json

if TYPE_CHECKING:
    from fxpnn.analysis.halves import Split
    from fxpnn.analysis.points import Point
    from fxpnn.analysis.search import Found, Reported, Search
    from fxpnn.network.layers import Array

    from .options import Pixels, Shapes
    from .views.search import Half

POINTS, FORMATS, MODEL, PARETO = "points.csv", "formats.toml", "best.fxp", "pareto.svg"
HALVES = "halves.csv"


@click.command(
    epilog=options.example(
        "fxpnn search mlp.onnx --data mnist --max-loss 0.001 --margin 0.5 -o small",
        "fxpnn search mlp.onnx --data mnist --max-loss 0.001 --margin 0.5 -o small "
        "--resume small/points.csv",
        "fxpnn search mlp.onnx --data mnist --max-loss 0.001 --margin 0.5 "
        "--cost 'weights + 4*activations' -o other",
    )
)
@click.argument("model", metavar="MODEL.onnx", type=params.FILE)
@options.data(
    "Images with labels that training has not seen: half of them decide, the other half is "
    "reported on."
)
@options.labels
@click.option(
    "--max-loss",
    type=params.SHARE,
    metavar="P",
    required=True,
    help="The accuracy that may be lost, a fraction: 0.001 is 0.1 percent points.",
)
@options.cost
@options.calibration
@click.option(
    "--margin",
    type=params.FACTOR,
    metavar="K",
    help="Add K standard errors to a loss before it is judged.  [default: 0]",
)
@click.option(
    "--step-back",
    is_flag=True,
    help="Where the other half loses more than P, go back to a point that holds there too; then "
    "that half decided as well, and its figure is no longer an unseen one.",
)
@click.option(
    "--seed", type=params.SEED, default=0, metavar="S", help="Which half decides.  [default: 0]"
)
@click.option(
    "-o",
    "--output",
    type=params.FILE,
    metavar="DIR",
    required=True,
    help=f"Folder for {MODEL}, {FORMATS}, {POINTS}, {HALVES} (which images decided) and, with "
    f"matplotlib, {PARETO}.",
)
@click.option(
    "--resume",
    type=params.FILE,
    metavar="POINTS.csv",
    help="Go on with the points of a search that was ended.",
)
@options.with_settings
@options.with_pixels
@options.shape
@options.workers
@options.threads
@options.as_json("views.search:SearchReport")
@options.quiet
def search(
    model: Path,
    data: str,
    labels: Path | None,
    max_loss: float,
    cost: str,
    calibration: str | None,
    margin: float | None,
    step_back: bool,
    seed: int,
    output: Path,
    resume: Path | None,
    settings: "fxpnn.Settings",
    pixels: "Pixels",
    shape: "Shapes | None",
    workers: int | None,
    scheduler: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find small words of weights, outputs and accumulators.

    Words are taken from single layers, bit by bit, as long as accuracy falls by no more than
    --max-loss, all in true integer arithmetic. --word is the longest that is tried; a --weight-word
    or --output-word that is given stays. Accumulators get the bits that are proved to suffice.
    """
    if settings.weights:
        raise click.UsageError("--format must not be given: formats are what is searched")
    parsed = options.parsed_cost(cost)
    from fxpnn.analysis.judging import target_of
    from fxpnn.analysis.matching import class_count
    from fxpnn.analysis.search import Search, Task, identity
    from fxpnn.quantization.quantizer import observe

    from . import executors, sources
    from .data_notes import check_labels
    from .views import search as view

    wanted = sources.shape_or_seen(shape, calibration or data)
    network, source = sources.load_float(model, wanted, pixels)
    images, images_source = sources.load_for(network, data, pixels=pixels, labels=labels)
    check_labels(data, images.y, class_count(network), model)
    assert images.y is not None
    chosen_on, chosen_source = sources.load_calibration(calibration, network, pixels)
    _tell_data(data, chosen_source.sha256 == images_source.sha256, quiet)
    split = _halves(images.y, seed, max_loss)
    observed = observe(network, chosen_on.x, moments=options.asks_moments(settings))
    task = Task(network, observed, settings, max_loss, parsed, margin or 0.0)
    hashes = (source.sha256, images_source.sha256, chosen_source.sha256)
    name = identity(task, *hashes, seed, fxpnn.__version__)
    known = [] if resume is None else sources.load_points(resume, name)
    deciding, reporting = (
        target_of(network, task.wide(), images.x[part], images.y[part], threads) for part in split
    )
    with (
        executors.executor(workers, scheduler) as executor,
        _Table(output, resume, name, len(known)) as table,
        progress(network.name, 150, quiet) as advance,
    ):

        def tell(point: "Point") -> None:
            table.add(point)
            advance(1)

        run = Search(task, deciding, threads, executor, known, tell)
        found = _run(run, table)
        reported = run.reported(found, reporting, step_back)
    _write(output, network, cost, split, found, reported, quiet)
    report = view.search_report(
        task, run, found, reported, source, images_source, seed, output, len(reporting.x)
    )
    if as_json:
        print_json(report)
    else:
        view.print_search(report)
    _check_loss(report.reporting, max_loss)


def _tell_data(data: str, calibrated: bool, quiet: bool) -> None:
    """Note that images have been seen before: in training by their name, or in calibration."""
    from .data_notes import training_set_note

    if told := training_set_note(data):
        note(told, quiet)
    if calibrated:
        note(f"formats are chosen on {data} itself: other images may lose more", quiet)


def _halves(y: "Array", seed: int, max_loss: float) -> "Split":
    """Draw halves that are large enough for the limit that the user set."""
    from fxpnn.analysis.halves import check_size, halves

    split = halves(y, seed)
    try:
        check_size(split, max_loss)
    except DataError as error:
        raise click.UsageError(f"--max-loss: {error}") from None
    return split


def _run(run: "Search", table: "_Table") -> "Found":
    """Search; a table of points that all lose too much is of no use."""
    from fxpnn.analysis.search import UnreachedError

    try:
        return run.run()
    except UnreachedError as error:
        table.remove()
        raise GateError(str(error)) from None


def _write(
    folder: Path,
    network: "fxpnn.Network",
    cost: str,
    split: "Split",
    found: "Found",
    reported: "Reported",
    quiet: bool,
) -> None:
    """Write the model, its formats, which images decided, and the picture of all points."""
    from fxpnn.analysis.halves import table
    from fxpnn.quantization.formats_file import formats_toml

    from .views import search as view

    files.write(folder / HALVES, table(split))
    files.write(folder / FORMATS, formats_toml(reported.fixed, network).encode())
    fxpnn.save(reported.fixed, folder / MODEL)
    if not view.draw(found.points, reported.best, cost, folder / PARETO):
        note(f"{PARETO} is not drawn: pip install 'fxpnn[plot]'", quiet)


def _check_loss(half: "Half", max_loss: float) -> None:
    """Raise ``GateError`` where the images that decided nothing show a larger loss."""
    if half.loss > max_loss:
        raise GateError(
            f"on the {half.images:,} images that decided nothing the loss is {half.loss:.4g}, over "
            f"--max-loss {max_loss:g}; --step-back or a --margin asks for more room"
        )


class _Table:
    """The table of points: a line is in the file as soon as its point is known, whole or absent."""

    def __init__(self, folder: Path, resumed: Path | None, name: str, known: int) -> None:
        from fxpnn.analysis import points

        self.spell, self.name, self.skip = points, name, known
        self.path = path = folder / POINTS
        self.new = resumed is None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if resumed is None and path.exists():
                raise DataError(f"{path}: is there already; --resume {path} goes on with it")
            if resumed is None:
                files.write(path, points.line(points.HEAD))
            elif not (path.exists() and path.samefile(resumed)):
                files.write(path, resumed.read_bytes())
            self.file = path.open("ab", buffering=0)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None
        self.last = time.perf_counter()

    def add(self, point: "Point") -> None:
        """Append a point, unless the file has it from the search that is resumed."""
        now = time.perf_counter()
        if self.skip:
            self.skip -= 1
        else:
            cells = self.spell.cells(point, self.name, now - self.last)
            self._append(self.spell.line(cells))
        self.last = now

    def _append(self, line: bytes) -> None:
        """Append a line; of one that a full disk takes in part nothing stays."""
        end = self.file.tell()
        try:
            if self.file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with suppress(OSError):
                self.file.truncate(end)
            reason = error.strerror or error
            raise DataError(f"{self.path}: cannot be written: {reason}") from None

    def remove(self) -> None:
        """Remove a table that no search can go on with, unless it was there before."""
        if self.new:
            self.path.unlink()
            with suppress(OSError):  # other files are in the folder
                self.path.parent.rmdir()

    def __enter__(self) -> "_Table":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
