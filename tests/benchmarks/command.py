"""Measure a whole process: its time, the first and the second one, and its memory."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fxpnn
from fxpnn import reference
from fxpnn.engine import inference
from fxpnn.network import fxp
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import COMPILING, HELP, MEMORY, SECOND_RUN
from tests.benchmarks.job import Job
from tests.benchmarks.memory import peak
from tests.benchmarks.process import environment, fresh, pools
from tests.benchmarks.work import ROOT, load

COMMAND = (sys.executable, "-c", "from cli.main import run; run()")
CACHES = ("FXPNN_CACHE_DIR",)
"""Where compiled loops are kept."""
UNCACHED = "PYTHONDONTWRITEBYTECODE"
"""Where it is set, Python compiles every module anew, which takes longer than all else."""
PART = "process"


def processes(job: Job) -> list[Figure]:
    """Measure ``fxpnn --help`` and ``fxpnn infer`` from start to end, and the memory of a run."""
    rounds, images = job.plan.rounds, job.plan.images
    seconds = min(_seconds("--help") for _ in range(rounds))
    found = [figure(PART, "fxpnn --help", "from start to end", seconds, "s", goal=HELP)]
    compiling = 0.0
    with tempfile.TemporaryDirectory() as folder, environment(dict.fromkeys(CACHES, folder)):
        for name in job.networks:
            path = Path(folder, f"{name}.fxp")
            fresh(pools(1), save, name, path)
            infer = ("infer", str(path), "--data", "mnist", "--limit", str(images), "--quiet")
            first, second = _seconds(*infer), min(_seconds(*infer) for _ in range(rounds))
            compiling += max(0.0, first - second)
            most = fresh(pools(job.threads), memory, path, images)
            case, goal = f"fxpnn infer {name}", SECOND_RUN.get(name)
            found += [
                figure(PART, case, "first run", first, "s"),
                figure(PART, case, "second run", second, "s", goal=goal),
                figure(PART, case, "peak over its imports", most, "MB", goal=MEMORY),
            ]
    return [*found, figure(PART, "all", "more in first runs", compiling, "s", goal=COMPILING)]


def save(name: str, path: Path) -> None:
    """Write a bundled network in fixed point."""
    load(name, 1).fixed.save(path)


def memory(path: Path, images: int) -> float:
    """Load a network and float images, run them; return the peak memory over the imports' in MB."""
    before = peak()
    fixed = fxp.load(path)
    x = reference.scale(fxpnn.load_data("mnist").x[:images], fixed.scaling)
    inference.infer(fixed, x)
    return peak() - before


def _seconds(*arguments: str) -> float:
    env = {name: value for name, value in os.environ.items() if name != UNCACHED}
    begin = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], check=True, capture_output=True, cwd=ROOT, env=env)
    return time.perf_counter() - begin
