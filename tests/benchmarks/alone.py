"""Own how fast each kernel is alone: a dense layer on blocks of images, as the engine runs it.

Beside it stands sgemm on the same product, on such blocks and on many images at once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fxpnn.engine import PLAIN, Engine
from fxpnn.fixed import FixedNetwork, FixedNode
from fxpnn.layers import Dense
from fxpnn.network import INPUT
from fxpnn.qformat import Accumulator, QFormat
from fxpnn.runner import Workspace
from tests.benchmarks.clock import Call, clock_for, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import KERNELS, STEPPED_BY_SCALARS
from tests.benchmarks.job import Job
from tests.benchmarks.process import environment

INPUTS, OUTPUTS, SHIFT = 784, 100, 14
STEPPED, SCALAR = "32 bits, every step", "32 bits, scalar loop"
MANY, BLOCK, FEW = 9600, 240, 24
"""Images at once: for sgemm, for sgemm and a kernel, for the scalar loop."""
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
    runs: dict[str, Call] = {}
    counts, notes = dict[str, int](), dict[str, str]()
    for images in (BLOCK, MANY):
        name = f"numpy sgemm, {images:,} rows"
        runs[name], counts[name], notes[name] = _sgemm(images), images, "float32"
    for name, kind in KINDS.items():
        counts[name] = FEW if kind.scalar else BLOCK
        runs[name], notes[name] = _layer(kind, counts[name])
        runs[name]()  # compiles
    seconds = turn_about(runs, job.plan, clock_for(1))
    rates = {name: counts[name] * INPUTS * OUTPUTS / seconds[name] / 1e9 for name in runs}
    best = max(rate for name, rate in rates.items() if name not in KINDS)
    found = [
        figure(
            "kernels",
            f"{INPUTS} x {OUTPUTS}",
            name,
            rate,
            "GMAC/s",
            ratio=rate / best,
            goal=KERNELS.get(name),
            note=notes[name],
        )
        for name, rate in rates.items()
    ]
    share, row = rates[STEPPED] / rates[SCALAR], (found[-1].part, found[-1].case)
    name = f"{STEPPED}, of the scalar loop's rate"
    return [*found, figure(*row, name, share, "", goal=STEPPED_BY_SCALARS)]


def _sgemm(images: int) -> Call:
    x, weight = np.ones((images, INPUTS), np.float32), np.ones((INPUTS, OUTPUTS), np.float32)
    return lambda: x @ weight


def _layer(kind: Kind, images: int) -> tuple[Call, str]:
    """Return a run of a layer over images that lie in its workspace; say how it makes its sums."""
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
    space = Workspace(program)
    space.enter(x)
    return lambda: space.run(images), program.methods["y"]


def _normal(deviation: int, shape: tuple[int, int], fmt: QFormat) -> npt.NDArray[np.int16]:
    drawn = np.random.default_rng(shape).normal(0, deviation, shape)
    return np.clip(drawn, fmt.min, fmt.max).astype(np.int16)
