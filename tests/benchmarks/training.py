"""Compare training: the same network, batches and steps in fxpnn and in PyTorch."""

from collections.abc import Callable
from importlib.util import find_spec

import fxpnn
from fxpnn.datasets import Data
from fxpnn.zoo import architectures
from tests.benchmarks.clock import clock_for, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import EPOCH
from tests.benchmarks.job import Job
from tests.benchmarks.plan import MLP

EPOCH_IMAGES = 60_000
IMAGES = {MLP: 10_000}
"""So many images stand for an epoch; of other networks fewer."""
FEWER = 1_024


def epochs(job: Job) -> list[Figure]:
    """Measure the seconds of an epoch of 60,000 images, scaled from a shorter one."""
    if find_spec("torch") is None:
        return []
    return [found for name in job.networks for found in _epoch(name, job)]


def _epoch(name: str, job: Job) -> list[Figure]:
    from tests.benchmarks.peers.lesson import lesson

    x, y = fxpnn.load_data("mnist")
    assert y is not None
    images = min(job.plan.images, IMAGES.get(name, FEWER))
    data = Data(x[:images], y[:images])
    runs: dict[str, Callable[[], object]] = {
        "fxpnn": lambda: architectures.train(name, data, epochs=1),
        "PyTorch": lesson(architectures.architecture(name), data, job.threads),
    }
    best = turn_about(runs, job.plan, clock_for(job.threads))
    note = f"from {images:,} images"
    row = job.part("training"), name
    scale = EPOCH_IMAGES / images
    return [
        figure(*row, "fxpnn", best["fxpnn"] * scale, "s/epoch", note=note),
        figure(
            *row,
            "PyTorch",
            best["PyTorch"] * scale,
            "s/epoch",
            ratio=best["PyTorch"] / best["fxpnn"],
            goal=EPOCH[name],
            note=note,
        ),
    ]
