"""Run a fixed network on data, and compare it with its reference, behind a progress bar."""

from fxpnn.analysis.comparison import examine
from fxpnn.datasets import Data
from fxpnn.engine.inference import Run
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network

from .console.progress import progress
from .sources import DataSource, ModelSource
from .views.run import RunReport, run_report


def compare_with_progress(
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
    return run_report(report, model, source, show_flips), run
