"""Measure the time from one image to its probabilities, in process, on one thread."""

from collections.abc import Callable

from tests.benchmarks.clock import WALL, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import FASTER_THAN_FLOAT, ONE_IMAGE
from tests.benchmarks.job import Job
from tests.benchmarks.peers import FXPNN
from tests.benchmarks.peers.ours import shortest
from tests.benchmarks.work import Floats, Run, load

MICRO = 1e6


def one_image(job: Job) -> list[Figure]:
    """Measure fxpnn and the float peers on one image, as float32."""
    return [found for name in job.networks for found in _network(name, job)]


def _network(name: str, job: Job) -> list[Figure]:
    work = load(name, 1)
    runs = {FXPNN.name: _bound(shortest(work), work.x)}
    runs |= {peer.name: _bound(peer.prepare(work, 1), work.x) for peer in job.peers if peer.single}
    for run in runs.values():
        run()  # compiles
    best = turn_about(runs, job.plan, WALL)
    return [_figure(name, peer, seconds, best[FXPNN.name]) for peer, seconds in best.items()]


def _figure(name: str, peer: str, seconds: float, ours: float) -> Figure:
    row = "one image", name, peer, seconds * MICRO, "us"
    if peer == FXPNN.name:
        return figure(*row, goal=ONE_IMAGE[name])
    return figure(*row, ratio=seconds / ours, goal=FASTER_THAN_FLOAT)


def _bound(run: Run, x: Floats) -> Callable[[], object]:
    return lambda: run(x)
