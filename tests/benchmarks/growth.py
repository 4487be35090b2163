"""Measure how the cost of fxpnn grows with the number of images."""

import math
from dataclasses import replace

import numpy as np

import fxpnn
from fxpnn.engine.inference import Engine
from fxpnn.network.layers import Array
from tests.benchmarks.clock import Call, clock_for, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import NO_CLIFF
from tests.benchmarks.job import Job
from tests.benchmarks.work import load

OFTEN = 100_000
"""More images than these have few turns of one call."""
FEW = 2


def over_images(job: Job) -> list[Figure]:
    """Measure images per second for 1, 10, 100, ... images, given as pixels."""
    return [found for name in job.networks for found in _network(name, job)]


def _network(name: str, job: Job) -> list[Figure]:
    engine = Engine(load(name, 1).fixed)
    sizes = [10**power for power in range(round(math.log10(job.plan.growth)) + 1)]
    pixels = fxpnn.load_data("mnist").x
    x = np.resize(pixels, (sizes[-1], *pixels.shape[1:]))
    runs = {size: _bound(engine, x[:size], job.threads) for size in sizes}
    runs[1]()  # compiles
    clock, part = clock_for(job.threads), job.part("growth")
    best = turn_about({n: runs[n] for n in sizes if n <= OFTEN}, job.plan, clock)
    once = replace(job.plan, rounds=min(FEW, job.plan.rounds), seconds=0)
    best |= turn_about({n: runs[n] for n in sizes if n > OFTEN}, once, clock)
    rates = [size / best[size] for size in sizes]
    kept = min(rate / max(rates[: i + 1]) for i, rate in enumerate(rates))
    named = [f"{size:,} image{'s'[: size > 1]}" for size in sizes]
    return [
        *(figure(part, name, *row, "images/s") for row in zip(named, rates, strict=True)),
        figure(part, name, "least share of fewer images' rate", kept, "", goal=NO_CLIFF),
    ]


def _bound(engine: Engine, x: Array, threads: int) -> Call:
    """Run as a user would: images that are few the shortest way, which takes no threads."""
    return (
        (lambda: engine(x))
        if len(x) <= engine.program().images
        else (lambda: engine.run(x, threads))
    )
