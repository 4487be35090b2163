"""Training in fixed point, nearest against stochastic: a table of `models/README.md` made anew.

Run ``python -m tests.benchmarks.fixed_training --data DIR`` in the project's folder; DIR holds
MNIST's IDX files. ``--json`` prints each training as a line, ``--chart FILE.svg`` draws them.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

import fxpnn
from fxpnn.datasets import Data
from fxpnn.reference import classify
from fxpnn.reference.blas import one_thread
from fxpnn.training import Recipe, Schedule, train
from fxpnn.training.fixed import Formats, Stochastic, train_fixed
from fxpnn.zoo.architectures import architecture
from tests.benchmarks.chart import INK, OTHERS, OURS

NAME = "mlp-784-100-10"
FRACS, RATES, SEEDS = (14, 12, 10, 8), (0.5, 0.1), (1, 2, 3)
FLOAT, NEAREST, STOCHASTIC = "float", "nearest-even", "stochastic"
MOST_OF_ACTIVATIONS = 11
"""Activations reach 16, so they have no more fraction bits."""


@dataclass(frozen=True)
class Trained:
    """A training: the engine's accuracy on the test images, and CPU seconds.

    ``frac`` is 0 for floats; ``lost`` are each epoch's shares of updates that rounded to 0.
    """

    rounding: str
    frac: int
    rate: float
    seed: int
    accuracy: float
    seconds: float
    lost: tuple[float, ...] = ()


def formats(frac: int) -> Formats:
    """Give words of 16 bits with so many fraction bits, activations at most 11."""
    fmt, activations = (f"Q{15 - f}.{f}" for f in (frac, min(frac, MOST_OF_ACTIVATIONS)))
    return Formats.uniform(weights=fmt, activations=activations, deltas=fmt, gradients=fmt)


def recipe(rate: float, epochs: int) -> Recipe:
    """Give the recipe: batches of 100, no momentum, the rate down half a cosine."""
    return Recipe(epochs=epochs, batch=100, rate=rate, schedule=Schedule.COSINE)


def in_floats(learned: Data, test: Data, rate: float, seed: int, epochs: int) -> Trained:
    """Train in floats from the same weights, in the same order of images."""
    known, started = architecture(NAME), time.process_time()
    assert learned.y is not None
    steps = recipe(rate, epochs)
    network = train(known.network(seed), learned.x, learned.y, steps, seed=seed, masks=known.masks)
    seconds = time.process_time() - started
    accuracy = float((classify(network, test.x) == test.y).mean())
    return Trained(FLOAT, 0, rate, seed, accuracy, seconds)


def in_fixed_point(
    learned: Data, test: Data, frac: int, rounding: str, rate: float, seed: int, epochs: int
) -> Trained:
    """Train in words of 16 bits."""
    known, started = architecture(NAME), time.process_time()
    assert learned.y is not None
    steps = train_fixed(
        known.network(seed),
        learned.x,
        learned.y,
        formats(frac),
        recipe(rate, epochs),
        rounding=Stochastic(seed=seed) if rounding == STOCHASTIC else rounding,
        seed=seed,
        masks=known.masks,
    )
    lost = []
    for step in steps:
        if step.report is not None:
            lost.append(round(step.report.lost_updates, 4))
    seconds = time.process_time() - started
    accuracy = float((fxpnn.infer(step.network, test.x).predictions == test.y).mean())
    return Trained(rounding, frac, rate, seed, accuracy, seconds, tuple(lost))


def measured(
    learned: Data,
    test: Data,
    rates: Sequence[float] = RATES,
    seeds: Sequence[int] = SEEDS,
    fracs: Sequence[int] = FRACS,
    epochs: int = 5,
) -> Iterator[Trained]:
    """Train once for each cell of the table and each seed, on one thread."""
    with one_thread():
        for rate in rates:
            for seed in seeds:
                yield in_floats(learned, test, rate, seed, epochs)
                for frac in fracs:
                    for rounding in (NEAREST, STOCHASTIC):
                        yield in_fixed_point(learned, test, frac, rounding, rate, seed, epochs)


def table(found: Sequence[Trained]) -> Iterator[str]:
    """Give the table's rows: the median accuracy of the seeds."""
    yield "| rate | F | nearest | stochastic | float |"
    yield "| --- | --- | --- | --- | --- |"
    for rate in dict.fromkeys(one.rate for one in found):
        for frac in sorted({one.frac for one in found if one.frac}, reverse=True):
            cells = [
                f"{accuracy(found, rounding, frac if rounding != FLOAT else 0, rate):.4f}"
                for rounding in (NEAREST, STOCHASTIC, FLOAT)
            ]
            yield f"| {rate:g} | {frac} | {' | '.join(cells)} |"


def accuracy(found: Iterable[Trained], rounding: str, frac: int, rate: float) -> float:
    """Return the median of the seeds."""
    wanted = rounding, frac, rate
    return median(one.accuracy for one in found if (one.rounding, one.frac, one.rate) == wanted)


def draw(found: Sequence[Trained], path: Path) -> None:
    """Draw accuracy against fraction bits, a panel for each rate; the file's name says how."""
    rates = list(dict.fromkeys(one.rate for one in found))
    fracs = sorted({one.frac for one in found if one.frac})
    style = mpl.RcParams({"svg.fonttype": "none", "svg.hashsalt": "fxpnn", "font.size": 9})
    style |= dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK)
    style |= dict.fromkeys(("xtick.color", "ytick.color"), INK)
    with mpl.rc_context(style):
        drawing = Drawing(figsize=(9.6, 2.8), layout="constrained")
        panels = drawing.subplots(1, len(rates), squeeze=False)[0]
        for panel, rate in zip(panels, rates, strict=True):
            for rounding, colour in ((STOCHASTIC, OURS), (NEAREST, OTHERS)):
                heights = [accuracy(found, rounding, frac, rate) for frac in fracs]
                panel.plot(fracs, heights, color=colour, marker="o", label=rounding)
            level = accuracy(found, FLOAT, 0, rate)
            panel.axhline(level, color=INK, linestyle=":", label=FLOAT)
            panel.set_title(f"test accuracy, rate {rate:g}", fontsize=9, loc="left")
            panel.set_xlabel("fraction bits of 16")
            panel.set_xticks(fracs)
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].legend(frameon=False, labelcolor=INK)
        date = {"Date": None} if path.suffix == ".svg" else None  # same figures, same file
        drawing.savefig(path, metadata=date, transparent=True)


@click.command()
@click.option("--data", required=True, help="MNIST's 60,000 training and 10,000 test images.")
@click.option("--rate", "rates", type=float, multiple=True, default=RATES, show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=SEEDS, show_default=True)
@click.option("--frac", "fracs", type=int, multiple=True, default=FRACS, show_default=True)
@click.option("--epochs", type=int, default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print each training as a line of JSON.")
@click.option("--chart", type=click.Path(path_type=Path), help="Draw the table into this file.")
def main(
    data: str,
    rates: tuple[float, ...],
    seeds: tuple[int, ...],
    fracs: tuple[int, ...],
    epochs: int,
    as_json: bool,
    chart: Path | None,
) -> None:
    """Train the MLP in fixed point for each cell of the table."""
    learned, test = (fxpnn.load_data(data, split=split) for split in ("train", "test"))
    found = []
    for one in measured(learned, test, rates, seeds, fracs, epochs):
        found.append(one)
        if as_json:
            click.echo(json.dumps(asdict(one)))
    if not as_json:
        click.echo("\n".join(table(found)))
    if chart is not None:
        draw(found, chart)


if __name__ == "__main__":
    main()
