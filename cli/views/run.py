"""Draw a run: one table of its layers, then what it cost."""

from typing import Literal

import msgspec
from rich.padding import Padding
from rich.text import Text

from fxpnn.analysis import tables
from fxpnn.analysis.report import (
    Accuracy,
    Flip,
    LayerReport,
    OutputReport,
    SoftmaxReport,
    Timing,
)
from fxpnn.analysis.summary import Report
from fxpnn.network.graph import Scaling
from fxpnn.network.normalisation import Normalisation

from ..console.tables import ResultConsole
from ..sources import DataSource, ModelSource


class RunReport(msgspec.Struct, frozen=True):
    """A run, schema 1; ``flipped`` is spelled only where the user asked for it.

    ``reference_matches`` says whether the reference is the file that the model came from; it is
    null where there is no reference, or that is not known.
    """

    schema: Literal[1]
    model: ModelSource
    data: DataSource
    accuracy: Accuracy
    layers: tuple[LayerReport, ...]
    softmax: SoftmaxReport | None
    timing: Timing
    outputs: tuple[OutputReport, ...]
    flipped: tuple[Flip, ...] | msgspec.UnsetType = msgspec.UNSET
    scaling: Scaling = Scaling()
    reference_matches: bool | None = None
    normalisation: Normalisation | None = None

    @property
    def report(self) -> Report:
        """What ``fxpnn.compare`` says of it, with the flips that are told."""
        return Report(
            self.accuracy,
            self.outputs,
            self.layers,
            self.softmax,
            self.timing,
            self.flipped or (),
            self.reference_matches,
            self.data.images,
            self.scaling,
            self.normalisation,
        )


class RunReports(msgspec.Struct, frozen=True):
    """Several runs, schema 1."""

    schema: Literal[1]
    runs: tuple[RunReport, ...]


def run_report(
    report: Report,
    model: ModelSource,
    data: DataSource,
    scaling: Scaling,
    show_flips: bool = False,
) -> RunReport:
    """Join a report with the files that it is about."""
    return RunReport(
        1,
        model,
        data,
        report.accuracy,
        report.layers,
        report.softmax,
        report.timing,
        report.outputs,
        report.flipped if show_flips else msgspec.UNSET,
        scaling,
        report.reference_matches,
        report.normalisation,
    )


def print_run(run: RunReport) -> None:
    """Draw a run: its layers, what was lost, what it cost, and flips where asked for."""
    console = ResultConsole()
    console.print_title(run.model.name, f"on {run.data.name}")
    bars = not console.options.ascii_only  # they are no ASCII
    layouts = [heads for heads in tables.LAYOUTS if bars or " " not in heads]
    report = run.report
    whole = [tables.layer_table(run.layers, heads) for heads in layouts]
    if any(map(console.fits, whole)):
        console.print_widest(whole)
    else:
        console.print(tables.layer_table(run.layers, tables.NARROW))
        console.print(tables.layer_table(run.layers, tables.REST))
    for finding in tables.findings(report):
        console.print(Padding(Text(finding, "yellow"), (0, 1, 1, 1), expand=False))
    console.print(tables.summary(report, run.data.name))
    if run.flipped:
        console.print(tables.flip_table(run.flipped))
    console.print()
