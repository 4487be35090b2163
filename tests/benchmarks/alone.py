"""Measure each kernel alone: a dense layer on many images in memory, against sgemm.

Images lie in blocks, each in a workspace, as the engine has them. A note tells the rate on one
block again and again, which stays in the cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fxpnn.engine.inference import PLAIN, Engine
from fxpnn.engine.workspace import Workspace
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Dense
from tests.benchmarks.clock import Call, clock_for, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import KERNELS, STEPPED_BY_SCALARS
from tests.benchmarks.job import Job
from tests.benchmarks.plan import shorter
from tests.benchmarks.process import environment

INPUTS, OUTPUTS, SHIFT = 784, 100, 14
SGEMM, STEPPED, SCALAR = "numpy sgemm", "32 bits, every step", "32 bits, scalar loop"
BLOCK, FEW = 240, 24
"""Images of a block; of the scalar loop's."""
MANY, ONE = 40, 1
"""Blocks of the product, and of one that stays in the cache."""
TAME, WILD = (300, 1500), (30_000, 30_000)
"""The standard deviation of input words and of weights."""


@dataclass(frozen=True)
class Kind:
    """What decides the kernel: the bits of an input and of the accumulator, and the values."""

    word: int
    bits: int
    deviations: tuple[int, int] = TAME
    scalar: bool = False


KINDS = {
    "plain 32-bit": Kind(10, 48),
    "64-bit, few chunks": Kind(13, 48),
    "64-bit, many chunks": Kind(16, 48),
    "32 bits, bound holds": Kind(16, 32),
    STEPPED: Kind(16, 32, WILD),
    "24 bits, every step": Kind(16, 24, WILD),
    "64-bit, most chunks": Kind(16, 48, WILD),
    SCALAR: Kind(16, 32, WILD, scalar=True),
}


def against_sgemm(job: Job) -> list[Figure]:
    """Measure the multiply-adds per second of each kernel, casts to 16 bits included."""
    runs: dict[tuple[str, int], Call] = {(SGEMM, blocks): _sgemm(blocks) for blocks in (MANY, ONE)}
    methods = {SGEMM: "float32"}
    for name, kind in KINDS.items():
        for blocks in (MANY, ONE):
            runs[name, blocks], methods[name] = _layer(kind, blocks)
            runs[name, blocks]()  # compiles
    seconds = turn_about(runs, shorter(job.plan), clock_for(1))
    rates = {key: _macs(*key) / seconds[key] / 1e9 for key in runs}
    found = [_figure(name, rates, method) for name, method in methods.items()]
    share, row = rates[STEPPED, MANY] / rates[SCALAR, MANY], (found[-1].part, found[-1].case)
    name = f"{STEPPED}, of the scalar loop's rate"
    return [*found, figure(*row, name, share, "", goal=STEPPED_BY_SCALARS)]


def _figure(name: str, rates: Mapping[tuple[str, int], float], method: str) -> Figure:
    rate, in_cache = rates[name, MANY], rates[name, ONE]
    return figure(
        "kernels",
        f"{INPUTS} x {OUTPUTS}",
        name,
        rate,
        "GMAC/s",
        ratio=None if name == SGEMM else rate / rates[SGEMM, MANY],
        goal=KERNELS.get(name),
        note=f"{method}; {in_cache:.3g} GMAC/s in cache",
    )


def _macs(name: str, blocks: int) -> int:
    images = FEW if name == SCALAR else blocks * BLOCK
    return images * INPUTS * OUTPUTS


def _sgemm(blocks: int) -> Call:
    x, weight = (
        np.ones((blocks * BLOCK, INPUTS), np.float32),
        np.ones((INPUTS, OUTPUTS), np.float32),
    )
    return lambda: x @ weight


def _layer(kind: Kind, blocks: int) -> tuple[Call, str]:
    """Return a run of a layer over blocks of images; say how it makes its sums."""
    images = FEW if kind.scalar else blocks * BLOCK
    inputs, weights = QFormat(kind.word, 8), QFormat(16, 15)
    total = inputs.frac + weights.frac
    x, weight = (
        _normal(deviation, (count, INPUTS), fmt)
        for deviation, count, fmt in zip(
            kind.deviations, (images, OUTPUTS), (inputs, weights), strict=True
        )
    )
    layer, accumulator = Dense(weight, np.zeros(OUTPUTS, np.int64)), Accumulator(kind.bits)
    node = FixedNode("y", layer, (INPUT,), QFormat(16, total - SHIFT), (weights,), accumulator)
    fixed = FixedNetwork("one", (INPUTS,), inputs, (node,))
    with environment({PLAIN: "plain"} if kind.scalar else {}):
        program = Engine(fixed).program()
    parts = [x[i : i + BLOCK] for i in range(0, images, BLOCK)]
    spaces = [Workspace(program) for _ in parts]
    for space, part in zip(spaces, parts, strict=True):
        space.enter(part)

    def run() -> None:
        for space in spaces:
            space.run(len(parts[0]))

    return run, program.methods["y"]


def _normal(deviation: int, shape: tuple[int, int], fmt: QFormat) -> npt.NDArray[np.int16]:
    drawn = np.random.default_rng(shape).normal(0, deviation, shape)
    return np.clip(drawn, fmt.min, fmt.max).astype(np.int16)
