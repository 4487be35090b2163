"""Measure what an export runs at: images a second of the C, by user time of one core."""

import resource
import shutil
import tempfile
from pathlib import Path

from fxpnn.targets.lowering import lower
from fxpnn.targets.simulation import c
from fxpnn.targets.vectors import vectors
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import EXPORTED_C
from tests.benchmarks.job import Job
from tests.benchmarks.work import load

IMAGES = 2_000
"""So many images take the MLP's program 10 ms: enough for a clock that ticks every one."""


def in_c(job: Job) -> list[Figure]:
    """Compile each network's C and run it on its golden images; reading these counts too."""
    if shutil.which("gcc") is None:
        return []
    images = min(job.plan.images, IMAGES)
    return [
        figure("exported C, one core", name, "fxpnn", rate, "images/s", goal=EXPORTED_C.get(name))
        for name in job.networks
        for rate in [_rate(name, images, job.plan.rounds)]
    ]


def _rate(name: str, images: int, rounds: int) -> float:
    work = load(name, images)
    lowering = lower(work.fixed)
    golden = vectors(lowering, work.x)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        program = folder / "program"
        c.write_sources(lowering, "network", golden, folder)
        c.compile_kept("network", folder, program, c.FLAGS, counted=False)
        seconds = []
        for _ in range(rounds):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            c.run(program, golden, folder)
            seconds.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return images / max(min(seconds), 1e-3)
