"""Train a network behind a progress bar, write the model, and say how good it is."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
from rich.table import Table

import fxpnn
from fxpnn import files
from fxpnn.datasets import Data, npz
from fxpnn.datasets.idx import images_in
from fxpnn.errors import one_line
from fxpnn.network.fixed import FixedNetwork, Provenance
from fxpnn.network.fxp_write import dumps
from fxpnn.network.layers import Shape
from fxpnn.onnx import to_model
from fxpnn.quantization.dequantizer import dequantize
from fxpnn.reference import classify
from fxpnn.training import Step
from fxpnn.zoo import architectures

from .console.progress import progress
from .console.tables import ResultConsole
from .sources import DataSource, ModelSource, load_images, source_of


class Lesson(msgspec.Struct, frozen=True):
    """What is trained, and how."""

    architecture: str
    epochs: int
    batch: int
    rate: float
    seed: int


class Result(msgspec.Struct, frozen=True):
    """A training, schema 1; ``test_accuracy`` is a fraction, null where there is no test set."""

    schema: Literal[1]
    model: ModelSource
    data: DataSource
    lesson: Lesson
    seconds: float
    test_images: int
    test_accuracy: float | None


def plan(name: str, epochs: int | None, batch: int | None, rate: float | None, seed: int) -> Lesson:
    """Fill in from the architecture's recipe what the user did not say."""
    recipe = architectures.architecture(name).recipe
    return Lesson(name, epochs or recipe.epochs, batch or recipe.batch, rate or recipe.rate, seed)


def teach(lesson: Lesson, name: str, labels: Path | None, output: Path, quiet: bool) -> Result:
    """Train on the named data, and the labels where they lie apart, and write the model.

    Raises:
        DataError: the data cannot be used, or the model cannot be written.
        ModelError: the training diverges.
    """
    (data, source), test = sets(name, labels, architectures.IMAGE)
    started = time.perf_counter()
    with progress(lesson.architecture, 1, quiet) as advance:

        def show(step: Step) -> None:
            advance(1 / step.total, f"epoch {step.epoch} of {lesson.epochs}, cost {step.cost:.4f}")

        network = architectures.train(
            lesson.architecture,
            data,
            seed=lesson.seed,
            epochs=lesson.epochs,
            batch=lesson.batch,
            rate=lesson.rate,
            progress=show,
        )
    seconds = time.perf_counter() - started
    fxpnn.save_onnx(network, output)
    accuracy = None
    if test is not None and test.y is not None:
        accuracy = float((classify(network, test.x) == test.y).mean())
    model = source_of(output, network.name)
    images = len(test.x) if test else 0
    return Result(1, model, source, lesson, seconds, images, accuracy)


def print_result(result: Result) -> None:
    """Say what was learned, from what, and where it lies."""
    lesson = result.lesson
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    test = "unknown, there is no test set"
    if result.test_accuracy is not None:
        test = f"{result.test_accuracy:.4f} of {result.test_images:,} test images"
    for row in (
        (" model", one_line(result.model.path)),
        (" sha256", result.model.sha256),
        (
            " recipe",
            f"{lesson.epochs} epochs of {lesson.batch}, rate {lesson.rate:g}, seed {lesson.seed}",
        ),
        (" time", f"{result.seconds:,.0f} s on {result.data.images:,} images"),
        (" accuracy", test),
    ):
        grid.add_row(*row)
    console = ResultConsole()
    console.print()
    console.print(grid)
    console.print()


def sets(
    name: str, labels: Path | None, shape: Shape
) -> tuple[tuple[Data, DataSource], Data | None]:
    """Load the images to learn from, and those to test on where the source has them."""
    held = _splits(name)
    if labels is not None or "train" not in held:
        return load_images(name, shape, labels=labels), None
    training = load_images(name, shape, split="train")
    return training, load_images(name, shape, split="test")[0] if "test" in held else None


def _splits(name: str) -> set[str]:
    """Name the splits that a source is known to have."""
    folder = Path(name)
    if name == "mnist":
        return {"train", "test"}
    if folder.is_file() and npz.is_zip(folder):
        return npz.splits(folder)
    if not folder.is_dir():
        return set()
    return {*images_in(folder)} | {name for name in ("train", "test") if (folder / name).is_dir()}


def write_both(
    fixed: FixedNetwork, data: DataSource, output: Path, reference: Path
) -> tuple[ModelSource, ModelSource]:
    """Write integers, and the floats that they mean, which they name as their source; return both.

    Raises:
        DataError: one of the two cannot be written; neither is then.
    """
    floats = to_model(dequantize(fixed)).SerializeToString(deterministic=True)
    told = Provenance(files.sha256(floats), data.sha256, fxpnn.__version__)
    files.write_all([(reference, floats), (output, dumps(replace(fixed, provenance=told)))])
    return source_of(output, fixed.name), source_of(reference, fixed.name)
