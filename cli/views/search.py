"""Draw a search: the words it found, what they cost and lose, and the front of all points."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.table import Table
from rich.text import Text

from fxpnn import files
from fxpnn.analysis.cost import NAMES, bits
from fxpnn.analysis.explanation import Effect
from fxpnn.analysis.halves import loss_of
from fxpnn.analysis.intervals import paired_loss
from fxpnn.analysis.points import Point, Words, front
from fxpnn.analysis.search import Found, Reported, Search, Task, observed_registers
from fxpnn.analysis.tables import table
from fxpnn.errors import one_line

from ..console.tables import ResultConsole
from ..console.terminal import path_text
from ..sources import DataSource, ModelSource


class Half(msgspec.Struct, frozen=True):
    """One half of the images: what the network reaches there, and its loss with a 95 % interval."""

    images: int
    effect: Effect
    loss: float
    low: float
    high: float


class SearchReport(msgspec.Struct, frozen=True):
    """A search, schema 1.

    ``bits`` and ``shares`` are the costs of the network that was found, in bits and as a part of
    those with words of 16 bits. ``proved`` are the accumulators of ``best.fxp``, ``observed`` those
    that suffice for the deciding images alone. ``stepped_back`` says that the reporting half
    decided too, whose figure is no unseen one then.
    """

    schema: Literal[1]
    model: ModelSource
    data: DataSource
    seed: int
    max_loss: float
    cost: str
    points: int
    words: Words
    bits: Mapping[str, int]
    shares: Mapping[str, float]
    proved: Mapping[str, int]
    observed: Mapping[str, int]
    deciding: Half
    reporting: Half
    stepped_back: bool
    folder: str


def search_report(
    task: Task,
    run: Search,
    found: Found,
    reported: Reported,
    model: ModelSource,
    data: DataSource,
    seed: int,
    folder: Path,
    reporting: int,
) -> SearchReport:
    """Join what was found with the files that it is about."""
    best, fixed = reported.best, reported.fixed
    wide = task.wide()
    costs = {name: bits(fixed, name) for name in NAMES}
    return SearchReport(
        1,
        model,
        data,
        seed,
        task.max_loss,
        task.cost.text,
        len(found.points),
        best.words,
        costs,
        {name: cost / bits(wide, name) for name, cost in costs.items() if bits(wide, name)},
        {node.name: node.accumulator.word for node in fixed.nodes if node.accumulator},
        observed_registers(fixed, run.deciding, run.threads),
        _half(best.effect, len(run.deciding.x)),
        _half(reported.effect, reporting),
        reported.stepped_back,
        path_text(folder),
    )


def _half(effect: Effect, images: int) -> Half:
    assert effect.lost is not None
    assert effect.gained is not None
    ends = paired_loss(effect.lost, effect.gained, images)
    return Half(images, effect, loss_of(effect, images), ends.low, ends.high)


def print_search(found: SearchReport) -> None:
    """Draw a search: words by layer, costs, both halves."""
    console = ResultConsole()
    console.print_title(
        found.model.name, f"{found.points:,} networks were tried on {found.data.name}"
    )
    console.print(_words(found))
    console.print(_costs(found))
    console.print(_halves(found))
    console.print(Text(f" written to {one_line(found.folder)}"))
    console.print()


def _words(found: SearchReport) -> Table:
    heads = ("weights", "outputs", "accumulator, proved", "seen")
    drawn = table("layer", *heads, right=heads, folded=("layer",))
    for name in {**found.words.outputs, **found.words.weights}:
        columns = (found.words.weights, found.words.outputs, found.proved, found.observed)
        drawn.add_row(one_line(name), *(str(words.get(name, "")) for words in columns))
    return drawn


def _costs(found: SearchReport) -> Table:
    drawn = table("cost", "bits", "of that with 16 bits", right=("bits", "of that with 16 bits"))
    for name, count in found.bits.items():
        share = found.shares.get(name)
        drawn.add_row(name, f"{count:,}", "" if share is None else f"{100 * share:.1f} %")
    return drawn


def _halves(found: SearchReport) -> Table:
    heads = ("images", "accuracy", "loss", "95 % interval", "flips")
    drawn = table("half", *heads, right=heads)
    second = "stepped back by" if found.stepped_back else "decided nothing"
    for name, half in (("decided", found.deciding), (second, found.reporting)):
        style = "bold yellow" if half.loss > found.max_loss else ""
        drawn.add_row(
            name,
            f"{half.images:,}",
            f"{half.effect.accuracy:.4f}",
            Text(f"{half.loss:.4f}", style),
            f"{half.low:.4f} to {half.high:.4f}",
            f"{half.effect.flips:,}",
        )
    return drawn


def draw(points: Sequence[Point], best: Point, cost: str, path: Path) -> bool:
    """Draw errors against cost of every point, and their front; tell if matplotlib is there.

    The same points give the same bytes.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return False
    with mpl.rc_context({"svg.hashsalt": "fxpnn", "svg.fonttype": "none"}):
        figure = Figure((7, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.scatter(*places(points), s=12, alpha=0.5, label="tried")
        axes.step(*places(front(points)), where="post", label="Pareto front")
        axes.scatter(*places([best]), marker="*", s=120, label="chosen", zorder=3)
        axes.set(xlabel=f"{cost}, bits", ylabel="share of wrong predictions where it was decided")
        axes.set(xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    files.write(path, content.getvalue())
    return True


def places(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Return the cost of each point and its share of wrong predictions, at least one in 10**6."""
    wrong = [max(1 - (point.effect.accuracy or 0.0), 1e-6) for point in points]
    return [point.cost for point in points], wrong
