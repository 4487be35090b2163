"""Run a fixed network on data, and compare it with its reference, behind a progress bar."""

from concurrent.futures import Executor

from fxpnn.analysis.comparison import examine, examine_by
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
    executor: Executor | None = None,
) -> tuple[RunReport, Run | None]:
    """Run the data, compare with the network where there is one; a bar shows how far it is.

    What an executor's workers ran stays there: it is ``None`` here.
    """
    passes = 1 if network is None else 2
    with progress(model.name, passes * len(data.x), quiet) as advance:
        if executor is None:
            report, run = examine(network, fixed, data.x, data.y, threads, advance)
        else:
            run = None
            report = examine_by(executor, network, fixed, data.x, data.y, threads, advance)
    return run_report(report, model, source, fixed.scaling, show_flips), run
