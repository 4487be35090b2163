"""Train a network in fixed point behind a progress bar, write its integers, and tell each epoch."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from rich.table import Table

import fxpnn
from fxpnn.analysis.tables import table
from fxpnn.datasets import Data
from fxpnn.errors import DataError, one_line
from fxpnn.fixedpoint.chance import Stochastic
from fxpnn.fixedpoint.qformat import Rounding
from fxpnn.network.fixed import FixedNetwork
from fxpnn.training.checkpoint import fingerprint
from fxpnn.training.fixed import Epoch, FixedStep, Formats, checkpoint, load_formats, train_fixed
from fxpnn.zoo import architectures

from . import sources
from .console.progress import progress
from .console.tables import ResultConsole
from .sources import DataSource, ModelSource
from .training import sets, write_both

RANDOM_BITS = 16


class FixedLesson(msgspec.Struct, frozen=True):
    """What is trained in fixed point, and how; ``random_bits`` is null where nothing is drawn."""

    architecture: str
    epochs: int
    batch: int
    rate: float
    momentum: float
    seed: int
    rounding: str
    random_bits: int | None


class EpochRecord(msgspec.Struct, frozen=True):
    """An epoch: shares of right classes and of updates that were lost, counts by kind of tensor.

    ``bits`` counts the words of the last step by the bits of their magnitude, 0 to 16.
    """

    number: int
    accuracy: float
    lost_updates: float
    saturations: Mapping[str, int]
    bits: Mapping[str, tuple[int, ...]]
    unmoved: tuple[str, ...]


class FixedResult(msgspec.Struct, frozen=True):
    """A training in fixed point, schema 1; the engine's ``test_accuracy`` is a fraction or null.

    ``reference`` is the float network that the integers of ``model`` mean.
    """

    schema: Literal[1]
    model: ModelSource
    reference: ModelSource
    data: DataSource
    lesson: FixedLesson
    epochs: tuple[EpochRecord, ...]
    seconds: float
    test_images: int
    test_accuracy: float | None


class FixedPlaces(NamedTuple):
    """The files that a training in fixed point reads and writes."""

    formats: Path
    output: Path
    checkpoint: Path | None = None
    resume: Path | None = None

    @property
    def reference(self) -> Path:
        """Give the float model that is written beside the integers."""
        return self.output.with_suffix(".onnx")


def lesson(
    name: str,
    recipe: tuple[int | None, int | None, float | None],
    seed: int,
    rounding: str | None,
    random_bits: int | None,
) -> FixedLesson:
    """Fill in what the user did not say."""
    epochs, batch, rate = recipe
    usual, chance = architectures.fixed_recipe(name), rounding in (None, "stochastic")
    return FixedLesson(
        name,
        epochs or usual.epochs,
        batch or usual.batch,
        rate or usual.rate,
        usual.momentum,
        seed,
        rounding or "stochastic",
        (RANDOM_BITS if random_bits is None else random_bits) if chance else None,
    )


def check_places(places: FixedPlaces, data: str) -> None:
    """Raise ``DataError`` unless both models can be written, over nothing that is read."""
    for target in (places.output, places.reference):
        sources.check_target(target, places.formats, data, places.resume)
    if places.checkpoint is not None:
        sources.check_target(places.checkpoint, places.formats, data)


def teach(
    lesson: FixedLesson, data_name: str, labels: Path | None, places: FixedPlaces, quiet: bool
) -> FixedResult:
    """Train on the named data, and write the integers and the floats that they mean.

    Raises:
        DataError: the data cannot be used, or a file cannot be written.
        FormatError: the formats cannot be.
        ModelError: the training diverges, or never moves a weight.
    """
    formats = load_formats(places.formats)
    (data, source), test = sets(data_name, labels, architectures.IMAGE)
    started = time.perf_counter()
    fixed, epochs = _trained(lesson, formats, data, source, places, quiet)
    seconds = time.perf_counter() - started
    model, reference = write_both(fixed, source, places.output, places.reference)
    accuracy = None
    if test is not None and test.y is not None:
        accuracy = float((fxpnn.infer(fixed, test.x).predictions == test.y).mean())
    images = len(test.x) if test else 0
    records = tuple(EpochRecord(**asdict(epoch)) for epoch in epochs)
    return FixedResult(1, model, reference, source, lesson, records, seconds, images, accuracy)


def _trained(
    lesson: FixedLesson,
    formats: Formats,
    data: Data,
    source: DataSource,
    places: FixedPlaces,
    quiet: bool,
) -> tuple[FixedNetwork, list[Epoch]]:
    if data.y is None:
        raise DataError("labels must be known to train on, not missing")
    known = architectures.architecture(lesson.architecture)
    bits, network = lesson.random_bits, known.network(lesson.seed)
    origin = {
        "version": fxpnn.__version__,
        "network": fingerprint(network),
        "data": source.sha256,
        **{name: str(value) for name, value in msgspec.structs.asdict(lesson).items()},
        "formats": repr(formats),
    }
    resume = places.resume
    steps = train_fixed(
        network,
        data.x,
        data.y,
        formats,
        replace(
            architectures.fixed_recipe(lesson.architecture),
            epochs=lesson.epochs,
            batch=lesson.batch,
            rate=lesson.rate,
        ),
        rounding=Rounding(lesson.rounding) if bits is None else Stochastic(bits, lesson.seed),
        seed=lesson.seed,
        masks=known.masks,
        start=None if resume is None else checkpoint.load(resume, origin),
    )
    epochs: list[Epoch] = []
    step: FixedStep | None = None
    with progress(lesson.architecture, 1, quiet) as advance:
        try:
            for step in steps:
                right = f"{step.correct / step.images:.2f}"
                advance(1 / step.total, f"epoch {step.epoch} of {lesson.epochs}, {right} right")
                if step.report is not None:
                    epochs.append(step.report)
                    if places.checkpoint is not None:
                        checkpoint.save(step.state, places.checkpoint, origin)
        except KeyboardInterrupt:
            if places.checkpoint is not None and step is not None:
                checkpoint.save(step.state, places.checkpoint, origin)
            raise
    if step is None:
        raise DataError(f"{resume}: must be of a training that goes on, not of one at its end")
    return step.network, epochs


def print_result(result: FixedResult) -> None:
    """Say what was learned, what each epoch lost, and where it lies."""
    lesson, console = result.lesson, ResultConsole()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    test = "unknown, there is no test set"
    if result.test_accuracy is not None:
        test = f"{result.test_accuracy:.4f} of {result.test_images:,} test images, in integers"
    bits = "" if lesson.random_bits is None else f", {lesson.random_bits} bits a value"
    for row in (
        (" model", one_line(result.model.path)),
        (" reference", one_line(result.reference.path)),
        (" sha256", result.model.sha256),
        (
            " recipe",
            f"{lesson.epochs} epochs of {lesson.batch}, rate {lesson.rate:g}, momentum "
            f"{lesson.momentum:g}, seed {lesson.seed}",
        ),
        (" rounding", f"{lesson.rounding}{bits}"),
        (" time", f"{result.seconds:,.0f} s on {result.data.images:,} images"),
        (" accuracy", test),
    ):
        grid.add_row(*row)
    console.print()
    console.print(grid)
    console.print()
    console.print(_epochs(result.epochs))
    console.print(_bits(result.epochs[-1]))
    console.print()


def _epochs(epochs: tuple[EpochRecord, ...]) -> Table:
    kinds = tuple(epochs[0].saturations)
    columns = ("epoch", "right", "lost updates", *kinds)
    drawn = table(*columns, right=columns)
    drawn.caption = "behind lost updates: saturations of each kind"
    for epoch in epochs:
        counts = (f"{epoch.saturations[kind]:,}" for kind in kinds)
        shares = f"{epoch.accuracy:.4f}", f"{epoch.lost_updates:.4f}"
        drawn.add_row(str(epoch.number), *shares, *counts)
    return drawn


def _bits(epoch: EpochRecord) -> Table:
    """Tell how many bits of magnitude the words of the last step have, in percent."""
    columns = ("bits", *epoch.bits)
    drawn = table(*columns, right=columns)
    rows = zip(*epoch.bits.values(), strict=True)
    sums = [sum(counts) for counts in epoch.bits.values()]
    for bits, counts in enumerate(rows):
        if any(counts):
            shares = (f"{n / total:.1%}" for n, total in zip(counts, sums, strict=True))
            drawn.add_row(str(bits), *shares)
    return drawn
