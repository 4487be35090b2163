"""Measure the shapes of networks that people bring: speed, preparation, memory, SQNR.

Images are random pixels: random weights tell no
classes apart anyway. Beside the SQNR stands a control: the float network's own, where its input is
off by up to half a count.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import fxpnn
from fxpnn import reference
from fxpnn.engine.inference import Engine
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT, Network
from fxpnn.network.layers import Array
from fxpnn.quantization.settings import Settings
from tests.benchmarks.architectures import SMALL, ZOO
from tests.benchmarks.clock import CPU, turn_about
from tests.benchmarks.figures import Figure, Goal, figure
from tests.benchmarks.goals import (
    FLOAT32,
    INT8,
    READY,
    ZOO_QUANTIZE,
    ZOO_SPEED,
    ZOO_SPEED_8,
)
from tests.benchmarks.job import Job
from tests.benchmarks.peers import FXPNN
from tests.benchmarks.process import fresh, pools
from tests.benchmarks.work import Work
from tests.benchmarks.zoo_memory import peaks

PART = "zoo"
CALIBRATION = 64
LARGE, MANY = 2, 512
"""Images of photographs' size, and small ones, that are run in one call."""


def over_networks(job: Job) -> list[Figure]:
    """Measure each network, on one thread."""
    names = SMALL[:1] if job.plan.quick else tuple(ZOO)
    calibration = LARGE if job.plan.quick else CALIBRATION
    found, short = list[Figure](), list[Figure]()
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            fresh(pools(1), _written, name, Path(folder))
            for measure in (_quantized, _ready, _compared):
                found += fresh(pools(1), measure, name, Path(folder), calibration)
            for told in (_peaks, _raced):
                found += fresh(pools(1), told, name, Path(folder), job)
            if name in SMALL:
                short += fresh(pools(1), _raced_short, name, Path(folder), job)
    return found + short


def pixels(network: Network, images: int) -> Array:
    """Draw images."""
    shape = (images, *network.input_shape)
    return np.random.default_rng(images).integers(0, 256, shape, dtype=np.uint8)


def _in_a_call(name: str, job: Job) -> int:
    """Say how many images are run in one call."""
    return LARGE if job.plan.quick or name not in SMALL else MANY


def _written(name: str, folder: Path) -> None:
    """Build a network, and leave it in a folder."""
    fxpnn.save_onnx(ZOO[name](), folder / "m.onnx")


def _quantized(name: str, folder: Path, images: int) -> list[Figure]:
    """Quantize; leave the integers in the folder too."""
    network = fxpnn.load_onnx(folder / "m.onnx")
    x, begin = pixels(network, images), time.process_time()
    fixed = fxpnn.quantize(network, x)
    seconds = time.process_time() - begin
    fixed.save(folder / "m.fxp")
    what = f"quantize, {images} images"
    return [figure(PART, name, what, seconds, "CPU s", goal=ZOO_QUANTIZE.get(name))]


def _ready(name: str, folder: Path, images: int) -> list[Figure]:
    """Make an engine ready."""
    fixed = fxpnn.load(folder / "m.fxp")
    begin = time.process_time()
    engine = Engine(fixed)
    engine.program()
    seconds = time.process_time() - begin
    return [figure(PART, name, "Engine, first program", seconds, "CPU s", goal=READY.get(name))]


def _compared(name: str, folder: Path, images: int) -> list[Figure]:
    """Compare with the float network, layer by layer; and that with itself, its input disturbed."""
    network, fixed = fxpnn.load_onnx(folder / "m.onnx"), fxpnn.load(folder / "m.fxp")
    x = pixels(network, LARGE)
    report = fxpnn.compare(network, fixed, x, threads=1)
    floats = reference.scale(x, network.scaling, np.float64)
    off = np.random.default_rng(0).uniform(-0.5, 0.5, floats.shape) * fixed.formats[INPUT].lsb
    plain, moved = (
        reference.predict(network, each, dtype=np.float64)[network.outputs[0]]
        for each in (floats, floats + off)
    )
    control = 10 * np.log10(np.square(plain).sum() / np.square(moved - plain).sum())
    sqnr = report.outputs[0].sqnr_db
    assert sqnr is not None
    note = f"{control:.1f} dB where the float input is off by half a count"
    return [figure(PART, name, "SQNR of the output", sqnr, "dB", note=note)]


def _peaks(name: str, folder: Path, job: Job) -> list[Figure]:
    """Measure the memory of what a user would start."""
    network = fxpnn.load_onnx(folder / "m.onnx")
    few = pixels(network, _in_a_call(name, job))
    calibration = pixels(network, LARGE if job.plan.quick else CALIBRATION)
    peer = any(each.name == FLOAT32 for each in job.peers)
    return peaks(PART, name, folder, few, calibration, peer)


def _raced(name: str, folder: Path, job: Job) -> list[Figure]:
    """Run images, turn about with ONNX Runtime in float32."""
    fixed = fxpnn.load(folder / "m.fxp")
    return _turns(name, folder, job, PART, fixed, FLOAT32, ZOO_SPEED.get(name))


def _raced_short(name: str, folder: Path, job: Job) -> list[Figure]:
    """Run images in 8-bit words, turn about with ONNX Runtime in int8."""
    network = fxpnn.load_onnx(folder / "m.onnx")
    fixed = fxpnn.quantize(network, pixels(network, CALIBRATION), Settings(word=8))
    return _turns(name, folder, job, f"{PART}, 8 bits", fixed, INT8, ZOO_SPEED_8.get(name))


def _turns(
    name: str,
    folder: Path,
    job: Job,
    part: str,
    fixed: FixedNetwork,
    rival: str,
    goal: Goal | None,
) -> list[Figure]:
    network = fxpnn.load_onnx(folder / "m.onnx")
    images = _in_a_call(name, job)
    x, calibration = (
        reference.scale(pixels(network, n), network.scaling) for n in (images, CALIBRATION)
    )
    work = Work(folder / "m.onnx", network, fixed, x, calibration, np.zeros(images, np.int64))
    engine = Engine(fixed)
    runs: dict[str, Callable[[], object]] = {FXPNN.name: lambda: engine.run(x, 1)}
    for peer in (each for each in job.peers if each.name == rival):
        runs[peer.name] = partial(peer.prepare(work, 1), x)
    for run in runs.values():
        run()  # compiles
    best = turn_about(runs, job.plan, CPU)
    return [
        figure(
            part,
            name,
            candidate,
            images / seconds,
            "images/s",
            ratio=None if candidate == FXPNN.name else seconds / best[FXPNN.name],
            goal=None if candidate == FXPNN.name else goal,
        )
        for candidate, seconds in best.items()
    ]
