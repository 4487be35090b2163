"""Measure how the speed of fxpnn depends on the size of a layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import NamedTuple

import numpy as np

import fxpnn
from fxpnn.engine.inference import Engine
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import chain
from fxpnn.network.layers import Array, Conv2D, Dense, Shape, Window
from tests.benchmarks.clock import clock_for, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.job import Job
from tests.benchmarks.plan import Plan, shorter

SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
KERNELS, CHANNELS, SIDE = (1, 3, 5, 7), (8, 32, 128, 256), 8
MACS, DEPTH = 1 << 24, (512, 128)
"""Small layers are chained until an image takes ``MACS`` multiply-adds, at most ``DEPTH``: layers
that keep the size of their input, and others."""
ROWS = 480
"""The least number of rows of a layer that are measured, in whole tiles."""
CALIBRATION, FIRST = 16, 2
WORDS = (12, 16)
"""Word lengths: sums of 12-bit words fit 32 bits, those of 16-bit words are made in chunks."""
ENOUGH = 32
"""Products of one output below which its cast, 8 to 12 vector instructions for 16, costs more."""


@dataclass(frozen=True)
class Case:
    """A layer whose output is as large as its input; an image takes so many multiply-adds."""

    name: str
    layer: Dense | Conv2D
    shape: Shape
    macs: int

    def products(self) -> int:
        """Count the products of one output."""
        return prod(self.layer.weight.shape[1:])

    def depth(self) -> int:
        """Say how many of the layer make a chain."""
        most = DEPTH[self.products() > len(self.layer.weight)]
        return min(most, max(1, MACS // self.macs))


class Rate(NamedTuple):
    """The speed of a case in GMAC/s, and how its sums are made."""

    case: Case
    speed: float
    method: str


def over_sizes(job: Job) -> list[Figure]:
    """Measure the multiply-adds per second of dense layers and convolutions, on one thread."""
    plan = shorter(job.plan)
    found = []
    for kind, cases in (("dense", _dense), ("convolution", _convolutions)):
        for word in WORDS:
            made = list(islice(cases(), FIRST if plan.quick else None))
            found += _kind(f"{kind}, {word} bits", _rates(made, word, plan))
    return found


def _kind(kind: str, rates: list[Rate]) -> list[Figure]:
    enough = [rate for rate in rates if rate.case.products() >= ENOUGH]
    return [
        *(figure("layers", kind, r.case.name, r.speed, "GMAC/s", note=r.method) for r in rates),
        _least(kind, "least share of the best", rates),
        _least(kind, f"least with {ENOUGH} products or more", enough),
    ]


def _least(kind: str, what: str, rates: list[Rate]) -> Figure:
    """Name the slowest case, and its share of the fastest one's rate."""
    by_speed = sorted(rates, key=lambda rate: rate.speed)
    share, named = by_speed[0].speed / by_speed[-1].speed, f"{what}, {by_speed[0].case.name}"
    return figure("layers", kind, named, share, "")


def _dense() -> Iterator[Case]:
    for size in SIZES:
        layer = Dense(_weights((size, size)), np.zeros(size, np.float32))
        yield Case(f"{size} x {size}", layer, (size,), size * size)


def _convolutions() -> Iterator[Case]:
    for kernel in KERNELS:
        for channels in CHANNELS:
            weight = _weights((channels, channels, kernel, kernel))
            window = Window((kernel, kernel), padding=(kernel // 2,) * 4)
            layer = Conv2D(weight, np.zeros(channels, np.float32), window)
            name = f"{kernel} x {kernel} on {channels} channels"
            macs = weight.size * SIDE * SIDE
            yield Case(name, layer, (channels, SIDE, SIDE), macs)


def _rates(cases: Sequence[Case], word: int, plan: Plan) -> list[Rate]:
    """Measure cases in turn, so that what disturbs the machine for a while disturbs all."""
    made = [_Chain(case, word, plan) for case in cases]
    for one in made:
        one.run()  # compiles
    seconds = turn_about({one.case.name: one.run for one in made}, plan, clock_for(1))
    return [one.rate(seconds[one.case.name]) for one in made]


class _Chain:
    """A case many times in a row, and its images."""

    def __init__(self, case: Case, word: int, plan: Plan) -> None:
        depth = case.depth()
        fixed = _chained(case, depth, word)
        self.case = case
        self._engine = Engine(fixed)
        least = 1 if plan.quick else -(-ROWS // prod(case.shape[1:]))
        images = max(least, plan.macs // (depth * case.macs))
        self._work = images * depth * case.macs
        shape = (images, *case.shape)
        self._x = fxpnn.from_float(_normal(shape), fixed.input_format).astype(np.int16)

    def run(self) -> None:
        """Run all images."""
        self._engine.run(self._x, 1)

    def rate(self, seconds: float) -> Rate:
        """Say how fast a run was that took so long."""
        method = next(iter(self._engine.methods.values()))
        return Rate(self.case, self._work / seconds / 1e9, method)


def _chained(case: Case, depth: int, word: int) -> FixedNetwork:
    layers = {f"layer{number}": case.layer for number in range(depth)}
    network = chain(case.name, case.shape, layers)
    return fxpnn.quantize(network, _normal((CALIBRATION, *case.shape)), fxpnn.Settings(word=word))


def _weights(shape: Shape) -> Array:
    """Draw weights; a matrix is orthogonal, so that a long chain keeps its images' magnitude."""
    weight = _normal(shape).reshape(shape[0], -1)
    if weight.shape[0] == weight.shape[1]:
        return np.linalg.qr(weight)[0].reshape(shape)
    return (weight * np.float32(weight.shape[1] ** -0.5)).reshape(shape)


def _normal(shape: Shape) -> Array:
    return np.random.default_rng(0).standard_normal(shape, np.float32)
