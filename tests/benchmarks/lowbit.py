"""What training for short words gives back: the table in ``models/README.md``, made anew.

Run ``python -m tests.benchmarks.lowbit --json --data DIR`` in the project's folder; DIR holds
MNIST's training and test images. Test accuracy is that of the integer engine.
"""

import platform
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import click
import msgspec
import numpy as np

import fxpnn
from fxpnn.datasets import Data
from fxpnn.fixedpoint.qformat import Accumulator, Overflow
from fxpnn.network.graph import Network
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.training import Qat, QatStep, Recipe, Schedule, descend, parameters
from fxpnn.training.fake import Grid
from fxpnn.zoo.retraining import masks_of, with_ends
from tests.benchmarks.words import row

MODELS = Path(__file__).parents[2] / "models"
LAST = 8
STEPS = 50
"""So many steps of each kind are timed against each other."""
MOST_STEP, MOST_FITTED = 2.4, 5.0
"""A step may cost so many times a step in floats; where sums are fitted to a narrow accumulator."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A network, the words it is trained for, its recipe, and the accuracy that it must reach."""

    network: str
    weights: int
    outputs: int
    epochs: int
    rate: float
    floor: float
    aim: float
    accumulator: int = Accumulator().word

    @property
    def name(self) -> str:
        """Give the words as ``weights/outputs``, and an accumulator that is not the default."""
        weights = "ternary" if self.weights == 2 else str(self.weights)
        narrow = self.accumulator != Accumulator().word
        register = f", accumulator {self.accumulator}" if narrow else ""
        return f"{self.network} {weights}/{self.outputs}{register}"

    def plan(self, network: Network) -> Plan:
        """Give the formats: powers of two by squared error, the input and the logits in 8 bits."""
        symmetric = Overflow.SATURATE_SYMMETRIC if self.weights == 2 else Overflow.SATURATE
        settings = Settings(
            weight_word=self.weights,
            output_word=self.outputs,
            method=Method.MSE,
            weight_overflow=symmetric,
            accumulator=Accumulator(self.accumulator),
        )
        return with_ends(Plan(settings), network, LAST)


MLP, LENET, TANH = "mlp-784-100-10", "lenet5-relu", "lenet5"
ROWS = (
    Row(network=MLP, weights=4, outputs=4, epochs=10, rate=0.02, floor=0.9805, aim=0.982),
    Row(network=MLP, weights=3, outputs=3, epochs=10, rate=0.02, floor=0.979, aim=0.981),
    Row(network=MLP, weights=2, outputs=4, epochs=20, rate=0.02, floor=0.974, aim=0.978),
    Row(network=MLP, weights=2, outputs=2, epochs=20, rate=0.02, floor=0.971, aim=0.975),
    Row(network=LENET, weights=4, outputs=4, epochs=3, rate=0.01, floor=0.992, aim=0.9935),
    Row(network=LENET, weights=3, outputs=3, epochs=4, rate=0.01, floor=0.990, aim=0.992),
    Row(network=LENET, weights=2, outputs=3, epochs=5, rate=0.01, floor=0.990, aim=0.992),
    Row(network=LENET, weights=2, outputs=2, epochs=5, rate=0.01, floor=0.985, aim=0.989),
    Row(network=TANH, weights=4, outputs=8, epochs=3, rate=0.01, floor=0.9885, aim=0.9905),
    *(
        Row(
            network=MLP,
            weights=4,
            outputs=4,
            epochs=10,
            rate=0.02,
            floor=floor,
            aim=floor,
            accumulator=word,
        )
        for word, floor in ((16, 0.978), (14, 0.974))
    ),
    *(
        Row(
            network=LENET,
            weights=4,
            outputs=4,
            epochs=3,
            rate=0.01,
            floor=floor,
            aim=floor,
            accumulator=word,
        )
        for word, floor in ((16, 0.991), (12, 0.985))
    ),
)


class Measured(msgspec.Struct, frozen=True):
    """A row as it was measured; accuracies are fractions of the test images, one for each seed.

    ``equal`` says that the engine and the last forward pass of training gave the same logits,
    ``proved`` that no image can overflow an accumulator.
    """

    name: str
    epochs: int
    rate: float
    rounded: float
    accuracies: tuple[float, ...]
    median: float
    floor: float
    aim: float
    holds: bool
    equal: bool
    proved: bool
    most_step: float
    cpu_seconds: tuple[float, ...]
    step_ratio: float


class Table(msgspec.Struct, frozen=True):
    """All rows, and where they were measured."""

    machine: str
    version: str
    images: int
    rows: tuple[Measured, ...]


def measure(line: Row, data: Data, test: Data, seeds: int) -> Measured:
    """Train a bundled network with each seed from 1 on, and let the engine judge."""
    network = fxpnn.load_onnx(MODELS / f"{line.network}.onnx")
    assert data.y is not None
    plan = line.plan(network)
    rounded = fxpnn.quantize(network, data.x[: Qat.calibrated], plan)
    found, equal, proved, seconds = [], True, True, []
    for seed in range(1, seeds + 1):
        started = time.process_time()
        (step,) = deque(_descent(line, network, data, seed), maxlen=1)
        seconds.append(time.process_time() - started)
        found.append(_accuracy(step.fixed, test))
        equal = equal and _same(step, test)
        proved = proved and all(proof.proved for proof in prove(step.fixed).values())
    middle = median(found)
    return Measured(
        name=line.name,
        epochs=line.epochs,
        rate=line.rate,
        rounded=_accuracy(rounded, test),
        accuracies=tuple(found),
        median=middle,
        floor=line.floor,
        aim=line.aim,
        holds=middle >= line.floor,
        equal=equal,
        proved=proved,
        most_step=MOST_STEP if line.accumulator == Accumulator().word else MOST_FITTED,
        cpu_seconds=tuple(round(s, 1) for s in seconds),
        step_ratio=_ratio(line, network, data),
    )


def _recipe(line: Row) -> Recipe:
    schedule = Schedule.COSINE
    return Recipe(epochs=line.epochs, batch=100, rate=line.rate, momentum=0.9, schedule=schedule)


def _descent(line: Row, network: Network, data: Data, seed: int) -> Iterator[QatStep]:
    assert data.y is not None
    qat, masks = Qat(plan=line.plan(network)), masks_of(network)
    return qat.descend(network, data.x, data.y, _recipe(line), seed=seed, masks=masks)


def _accuracy(fixed: fxpnn.FixedNetwork, test: Data) -> float:
    return float((fxpnn.infer(fixed, test.x).predictions == test.y).mean())


def _same(step: QatStep, test: Data) -> bool:
    """Tell whether the forward pass of training gives the engine's logits, word for word."""
    run, grid = fxpnn.infer(step.fixed, test.x), Grid(step.formats)
    network = grid.with_parameters(parameters(step.network))
    name = network[network.outputs[0]].inputs[0]
    words = []
    for start in range(0, len(test.x), 500):
        values = grid.run(network, grid.enter(test.x[start : start + 500])).values[name]
        words.append(np.ldexp(values.astype(np.float64), step.fixed.formats[name].frac))
    return np.array_equal(np.concatenate(words), run.logits)


def _ratio(line: Row, network: Network, data: Data) -> float:
    """Return how many times the CPU time of a step in floats a step costs, the least of three."""
    assert data.y is not None
    ratios = []
    for _ in range(3):
        floats = descend(network, data.x, data.y, _recipe(line), masks=masks_of(network))
        ratios.append(_seconds(_descent(line, network, data, 0)) / _seconds(floats))
    return round(min(ratios), 2)


def _seconds(steps: Iterator[object]) -> float:
    next(steps)
    started = time.process_time()
    for _ in islice(steps, STEPS):
        pass
    return time.process_time() - started


def markdown(table: Table) -> Iterator[str]:
    """Give the table's rows."""
    yield row("weights/outputs", ["rounded", "trained", "seeds", "CPU s", "step"])
    yield "| --- " * 6 + "|"
    for line in table.rows:
        spread = f"{min(line.accuracies):.4f} to {max(line.accuracies):.4f}"
        cells = [f"{line.rounded:.4f}", f"{line.median:.4f}", spread]
        yield row(line.name, [*cells, f"{median(line.cpu_seconds):.0f}", f"{line.step_ratio:.2f}"])


@click.command()
@click.option("--data", default="mnist", help="Images to learn from and to test on.")
@click.option("--seeds", default=3, help="How many trainings each row is the median of.")
@click.option("--only", default="", help="Rows whose name holds this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(data: str, seeds: int, only: str, as_json: bool) -> None:
    """Measure the table; exit with 1 where a floor or a step's cost does not hold."""
    learned, test = (fxpnn.load_data(data, split=split) for split in ("train", "test"))
    rows = tuple(measure(line, learned, test, seeds) for line in ROWS if only in line.name)
    table = Table(platform.platform(), fxpnn.__version__, len(learned.x), rows)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(table), indent=2).decode())
    else:
        for line in markdown(table):
            click.echo(line)
    held = all(
        line.holds and line.equal and line.proved and line.step_ratio <= line.most_step
        for line in rows
    )
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
