"""Measure what layers without products cost: nanoseconds a word, on shapes of known networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from fxpnn.engine.inference import Engine
from fxpnn.engine.program import aligned
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layer import Layer
from fxpnn.network.layers import Add, Concat, MaxPool2D, Mul, Shape, Slice, Window
from tests.benchmarks.clock import clock_for, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.job import Job
from tests.benchmarks.plan import shorter

PART = "words"
WORD, FINER = QFormat(16, 8), QFormat(16, 10)
NANO = 1e9
WORDS = 1 << 21
"""So many words, at least, are made in a call."""
BLOCK = 1 << 18
"""The words of a block of images, which stays in a core's cache."""


@dataclass(frozen=True)
class Case:
    """A network whose last node is measured."""

    shape: Shape
    nodes: tuple[FixedNode, ...]
    format: QFormat = WORD


def node(name: str, layer: Layer, *inputs: str, fmt: QFormat = WORD) -> FixedNode:
    """Make a node of the common cast."""
    return FixedNode(name, layer, inputs or (INPUT,), fmt)


def added(shape: Shape) -> Case:
    """Add a map to itself, as the end of a residual block does."""
    return Case(shape, (node("y", Add(), INPUT, INPUT, fmt=QFormat(16, 7)),))


def gated(shape: Shape) -> Case:
    """Multiply a map by a gate for each channel."""
    pool = MaxPool2D(Window((shape[1], shape[2]), (shape[1], shape[2])))
    nodes = node("gate", pool), node("y", Mul(), INPUT, "gate", fmt=QFormat(16, 5))
    return Case(shape, nodes)


def joined(shape: Shape, grown: int, layers: int) -> Case:
    """Join a map and what so many layers have added to it, as a dense block does."""
    channels = shape[0] - grown * layers
    ends = (channels, *(channels + grown * (i + 1) for i in range(layers)))
    parts = tuple(
        node(f"s{i}", Slice(0, begin, end))
        for i, (begin, end) in enumerate(zip((0, *ends), ends, strict=False))
    )
    return Case(shape, (*parts, node("y", Concat(), *(part.name for part in parts))))


CASES: Mapping[str, Case] = {
    "Add, ResNet-8, 16 x 32 x 32": added((16, 32, 32)),
    "Add, ResNet-8, 64 x 8 x 8": added((64, 8, 8)),
    "Mul by a gate, EfficientNet-B0, 96 x 56 x 56": gated((96, 56, 56)),
    "Mul by a gate, EfficientNet-B0, 1152 x 7 x 7": gated((1152, 7, 7)),
    "Mul by a gate, MobileNetV3, 72 x 28 x 28": gated((72, 28, 28)),
    "Concat, DenseNet-121, 256 x 56 x 56": joined((256, 56, 56), 32, 6),
    "Concat, DenseNet-121, 1024 x 14 x 14": joined((1024, 14, 14), 32, 24),
}


def over_words(job: Job) -> list[Figure]:
    """Measure the instructions of the last layer of each case, on one thread."""
    runs = {name: _Instructions(case) for name, case in CASES.items()}
    calls = {name: run.run for name, run in runs.items()}
    for call in calls.values():
        call()  # compiles
    seconds = turn_about(calls, shorter(job.plan), clock_for(1))
    return [
        figure(PART, "a word of the output", name, seconds[name] / run.words * NANO, "ns")
        for name, run in runs.items()
    ]


class _Instructions:
    """The instructions of a case's last node, on a workspace of drawn words."""

    def __init__(self, case: Case) -> None:
        fixed = FixedNetwork("case", case.shape, case.format, case.nodes)
        program = Engine(fixed).program(fixed.shapes)
        program.has_vector_code()
        self.images = min(program.images, max(1, BLOCK // prod(case.shape)))
        made = self.images * prod(fixed.shapes[case.nodes[-1].name])
        self.repeats = max(1, WORDS // made)
        self.words = self.repeats * made
        space = aligned(program.size, np.int16)
        space[:] = np.random.default_rng(0).normal(0, 300, space.size)
        counts, last = np.zeros((len(program.nodes), 3), np.int64), len(program.nodes) - 1
        self.parts = [
            kernel.bind(code[code["node"] == last].copy(), *program.pools, space, counts)
            for kernel, code in program.parts
            if (code["node"] == last).any()
        ]

    def run(self) -> None:
        """Run them so often that it takes some time."""
        for _ in range(self.repeats):
            for part in self.parts:
                part(self.images)
