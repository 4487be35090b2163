"""Own how the cost of fxpnn grows with the number of images."""

import math
from dataclasses import replace

import numpy as np

import fxpnn
from fxpnn.engine import Engine
from fxpnn.layers import Array
from tests.benchmarks.clock import Call, clock_for, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import NO_CLIFF
from tests.benchmarks.job import Job
from tests.benchmarks.work import load

SECONDS = 0.4
"""How long each number of images has its one turn; a million take longer."""


def over_images(job: Job) -> list[Figure]:
    """Measure images per second for 1, 10, 100, ... images, given as pixels, on all cores."""
    return [found for name in job.networks for found in _network(name, job)]


def _network(name: str, job: Job) -> list[Figure]:
    engine = Engine(load(name, 1).fixed)
    plan = replace(job.plan, rounds=1, seconds=min(SECONDS, 2 * job.plan.seconds))
    sizes = [10**power for power in range(round(math.log10(plan.growth)) + 1)]
    pixels = fxpnn.load_data("mnist").x
    x = np.resize(pixels, (sizes[-1], *pixels.shape[1:]))
    runs = {f"{size:,} images": _bound(engine, x[:size]) for size in sizes}
    runs["1 images"]()  # compiles
    best = turn_about(runs, plan, clock_for(job.threads))
    rates = [size / seconds for size, seconds in zip(sizes, best.values(), strict=True)]
    kept = min(rate / max(rates[: i + 1]) for i, rate in enumerate(rates))
    return [
        *(figure("growth", name, *row, "images/s") for row in zip(best, rates, strict=True)),
        figure("growth", name, "least share of fewer images' rate", kept, "", goal=NO_CLIFF),
    ]


def _bound(engine: Engine, x: Array) -> Call:
    return lambda: engine(x)
