"""Train a network for short words behind a progress bar, and write its integers and its floats."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from rich.table import Table

import fxpnn
from fxpnn.datasets import Data
from fxpnn.errors import DataError, one_line
from fxpnn.fixedpoint.qformat import Accumulator, Overflow
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.inputs import check_one
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.formats_file import load_plan
from fxpnn.quantization.settings import ALL, Method, Plan, Settings
from fxpnn.training import Qat, QatStep, Recipe, checkpoint
from fxpnn.zoo import architectures, retraining

from . import params, sources
from .console.progress import progress
from .console.tables import ResultConsole
from .sources import DataSource, ModelSource
from .training import sets, write_both

TERNARY = 2
"""Weights of so many bits saturate symmetrically, to -1, 0 and 1, unless a file says otherwise."""


class Words(NamedTuple):
    """What the command line says of formats; ``None`` is the default."""

    weight_word: int | None
    output_word: int | None
    last: int | None
    per_channel: bool
    accumulator: Accumulator | None
    formats: Path | None


class QatLesson(msgspec.Struct, frozen=True):
    """What is trained for which words, and how."""

    network: str
    epochs: int
    batch: int
    rate: float
    seed: int
    weight_word: int
    output_word: int
    last_word: int
    per_channel: bool
    accumulator: str


class QatResult(msgspec.Struct, frozen=True):
    """A training for short words, schema 1; the engine's ``test_accuracy`` is a fraction or null.

    ``reference`` is the float network on the grid of ``model``'s integers. ``accumulator_bits`` is
    the narrowest accumulator that holds every sum of every layer for every possible image, and
    ``proved`` says that no layer's own can overflow.
    """

    schema: Literal[1]
    model: ModelSource
    reference: ModelSource
    data: DataSource
    lesson: QatLesson
    seconds: float
    test_images: int
    test_accuracy: float | None
    accumulator_bits: int
    proved: bool


class Places(NamedTuple):
    """The files that a training for short words reads and writes."""

    output: Path
    checkpoint: Path | None
    resume: Path | None

    @property
    def reference(self) -> Path:
        """Give the float model that is written beside the integers."""
        return self.output.with_suffix(".onnx")


def lesson(
    name: str, recipe: tuple[int | None, int | None, float | None], seed: int, words: Words
) -> QatLesson:
    """Fill in what the user did not say."""
    epochs, batch, rate = recipe
    usual = retraining.recipe_of(name)
    return QatLesson(
        name,
        epochs or usual.epochs,
        batch or usual.batch,
        rate or usual.rate,
        seed,
        words.weight_word or 4,
        words.output_word or 4,
        words.last or retraining.ENDS,
        words.per_channel,
        str(words.accumulator or Accumulator()),
    )


def check_places(places: Places, name: str, words: Words, data: str) -> None:
    """Raise ``DataError`` unless all can be written, over nothing that is read."""
    read = (None if name in params.ARCHITECTURES else Path(name), words.formats, data)
    for target in (places.output, places.reference):
        sources.check_target(target, *read, places.resume)
    if places.checkpoint is not None:
        sources.check_target(places.checkpoint, *read)


def teach(
    lesson: QatLesson,
    words: Words,
    data_name: str,
    labels: Path | None,
    places: Places,
    quiet: bool,
) -> QatResult:
    """Train on the named data, and write the integers and the floats that they mean.

    Raises:
        DataError: the data cannot be used, or a file cannot be written.
        FormatError: the formats cannot be.
        ModelError: the network or the checkpoint cannot be used, or the training diverges.
    """
    network, plan = _network(lesson, words)
    check_one(network.inputs, "training")
    (data, source), test = sets(data_name, labels, network.input_shape)
    if data.y is None:
        raise DataError("labels must be known to train on, not missing")
    started = time.perf_counter()
    fixed = _trained(lesson, network, plan, data, source, places, quiet)
    seconds = time.perf_counter() - started
    model, reference = write_both(fixed, source, places.output, places.reference)
    accuracy = None
    if test is not None and test.y is not None:
        accuracy = float((fxpnn.infer(fixed, test.x).predictions == test.y).mean())
    images = len(test.x) if test else 0
    proofs = prove(fixed).values()
    bits = max(proof.bits or 0 for proof in proofs)
    held = bits, all(proof.proved for proof in proofs)
    return QatResult(1, model, reference, source, lesson, seconds, images, accuracy, *held)


def _network(lesson: QatLesson, words: Words) -> tuple[Network, Plan]:
    """Return the network to begin with, and the plan of its formats."""
    ternary = lesson.weight_word == TERNARY
    settings = Settings(
        weight_word=lesson.weight_word,
        output_word=lesson.output_word,
        per_channel=lesson.per_channel,
        method=Method.MSE,
        accumulator=words.accumulator or Accumulator(),
        weight_overflow=Overflow.SATURATE_SYMMETRIC if ternary else Overflow.SATURATE,
    )
    stated = {"weight_word"} if words.weight_word else set()
    stated |= {"output_word"} if words.output_word else set()
    stated |= {"per_channel"} if words.per_channel else set()
    stated |= {"accumulator"} if words.accumulator else set()
    plan = Plan(settings, keys={ALL: frozenset(stated)})
    if words.formats:
        plan = load_plan(words.formats, settings, stated)
    if lesson.network in params.ARCHITECTURES:
        network = architectures.architecture(lesson.network).network(lesson.seed)
    else:
        network, plan, _ = sources.load_planned(Path(lesson.network), plan)
    return network, retraining.with_ends(plan, network, lesson.last_word)


def _trained(
    lesson: QatLesson,
    network: Network,
    plan: Plan,
    data: Data,
    source: DataSource,
    places: Places,
    quiet: bool,
) -> FixedNetwork:
    """Train to the end, from the start or a checkpoint."""
    qat, usual = Qat(plan=plan), retraining.recipe_of(lesson.network)
    recipe = replace(usual, epochs=lesson.epochs, batch=lesson.batch, rate=lesson.rate)
    origin = {
        "version": fxpnn.__version__,
        "network": checkpoint.fingerprint(network),
        "data": source.sha256,
        "seed": str(lesson.seed),
        "recipe": _told(recipe),
        "formats": repr(plan),
    }
    step = begin = qat.start(network, data.x[: Qat.calibrated])
    if places.resume is not None:
        step = begin = checkpoint.load(places.resume, begin, origin)
    with progress(network.name, 1, quiet) as advance:
        try:
            for step in _steps(qat, network, data, recipe, lesson.seed, begin):
                advance(1 / step.total, f"epoch {step.epoch} of {lesson.epochs}, {step.cost:.4f}")
                if places.checkpoint is not None and step.number * lesson.epochs % step.total == 0:
                    checkpoint.save(step, places.checkpoint, origin)
        except KeyboardInterrupt:
            if places.checkpoint is not None and step.number:
                checkpoint.save(step, places.checkpoint, origin)
            raise
    return step.fixed


def _steps(
    qat: Qat, network: Network, data: Data, recipe: Recipe, seed: int, start: QatStep
) -> Iterator[QatStep]:
    assert data.y is not None
    return qat.descend(
        network,
        data.x,
        data.y,
        recipe,
        seed=seed,
        loss=retraining.loss_of(network),
        masks=retraining.masks_of(network),
        start=start,
    )


def _told(recipe: Recipe) -> str:
    return f"{recipe.epochs} epochs of {recipe.batch} at rate {recipe.rate}"


def print_result(result: QatResult) -> None:
    """Say what was learned, for which words, and where it lies."""
    lesson = result.lesson
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    test = "unknown, there is no test set"
    if result.test_accuracy is not None:
        test = f"{result.test_accuracy:.4f} of {result.test_images:,} test images, in integers"
    judged = f"not proved to fit {lesson.accumulator}"
    if result.proved:
        judged = "and are proved to fit their accumulators"
    words = f"weights {lesson.weight_word}, outputs {lesson.output_word}, last {lesson.last_word}"
    for row in (
        (" model", one_line(result.model.path)),
        (" reference", one_line(result.reference.path)),
        (" sha256", result.model.sha256),
        (" bits", words + (", weights per channel" if lesson.per_channel else "")),
        (
            " recipe",
            f"{lesson.epochs} epochs of {lesson.batch}, rate {lesson.rate:g}, seed {lesson.seed}",
        ),
        (" time", f"{result.seconds:,.0f} s on {result.data.images:,} images"),
        (" accuracy", test),
        (" sums", f"take at most {result.accumulator_bits} bits, {judged}"),
    ):
        grid.add_row(*row)
    console = ResultConsole()
    console.print()
    console.print(grid)
    console.print()
