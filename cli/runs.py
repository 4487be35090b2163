"""Own one run of a fixed network: what ``infer`` and ``demo`` print as JSON and draw as tables."""

import msgspec

from fxpnn.analysis.comparison import (
    Accuracy,
    Flip,
    LayerReport,
    OutputReport,
    Report,
    SoftmaxReport,
    Timing,
    examine,
)
from fxpnn.datasets import Data
from fxpnn.engine.inference import Run
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network

from .console.progress import progress
from .console.terminal import printable
from .sources import DataSource, ModelSource


class RunReport(msgspec.Struct, frozen=True):
    """A run, schema 1; ``flipped`` is spelled only where the user asked for it.

    ``outputs`` is spelled where accuracy does not tell it all: of several, and of one that is no
    softmax and for which there are no labels.
    """

    schema: int
    model: ModelSource
    data: DataSource
    accuracy: Accuracy
    layers: tuple[LayerReport, ...]
    softmax: SoftmaxReport | None
    timing: Timing
    outputs: tuple[OutputReport, ...] | msgspec.UnsetType = msgspec.UNSET
    flipped: tuple[Flip, ...] | msgspec.UnsetType = msgspec.UNSET


class RunReports(msgspec.Struct, frozen=True):
    """Several runs, schema 1."""

    schema: int
    runs: tuple[RunReport, ...]


def perform(
    network: Network | None,
    fixed: FixedNetwork,
    data: Data,
    model: ModelSource,
    source: DataSource,
    threads: int | None,
    quiet: bool,
    show_flips: bool = False,
) -> tuple[RunReport, Run]:
    """Run the data, compare with the network where there is one; a bar shows how far it is."""
    passes = 1 if network is None else 2
    with progress(model.name, passes * len(data.x), quiet) as advance:
        report, run = examine(network, fixed, data.x, data.y, threads, advance)
    done = RunReport(
        1,
        model,
        source,
        report.accuracy,
        report.layers,
        report.softmax,
        report.timing,
        report.outputs if len(report.outputs) > 1 or _without_classes(report) else msgspec.UNSET,
        report.flipped if show_flips else msgspec.UNSET,
    )
    return done, run


def _without_classes(report: Report) -> bool:
    return report.accuracy.fixed is None and report.softmax is None


def first_overflow(run: RunReport) -> str | None:
    """Name the first layer that overflowed, how often, and what would have fitted."""
    for layer in run.layers:
        if layer.accumulator_overflows or layer.saturations:
            where = f"{printable(layer.name)} ({layer.op}) is the first layer to overflow"
            return f"{where}: {_causes(layer)} in {run.data.images:,} images; {_remedy(layer)}"
    return None


def _causes(layer: LayerReport) -> str:
    causes = []
    if layer.accumulator_overflows:
        word, mode = str(layer.accumulator).split()
        wrapping = "wrapping " if mode == "wrap" else ""
        causes.append(f"its {word}-bit {wrapping}accumulator {layer.accumulator_overflows:,} times")
    if layer.saturations:
        causes.append(f"its {layer.output_format} output {layer.saturations:,} times")
    return " and ".join(causes)


def _remedy(layer: LayerReport) -> str:
    remedies = []
    if layer.accumulator_overflows:
        remedies.append(f"an accumulator of {layer.accumulator_bits_needed} bits")
    if layer.fitting_format:
        remedies.append(f"{layer.fitting_format} at its output")
    if not remedies:
        return "a reference would tell what fits"
    return f"{' and '.join(remedies)} would have fitted"
