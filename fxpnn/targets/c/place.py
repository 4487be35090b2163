"""What the writer of a layer is told, and what it gives back."""

import hashlib
import math
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.interval import Interval, full
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
from fxpnn.targets.c.text import Lines, function, shape_text
from fxpnn.targets.lowering import Lowering, Source, Step


@dataclass(frozen=True, eq=False)
class Constant:
    """An array of the file of constants: its whole name, what it is, and its values."""

    name: str
    what: str
    ctype: str
    values: Array
    note: str

    @property
    def declared(self) -> str:
        """Give its declaration."""
        return f"const {self.ctype} {self.name}[{self.values.size}]"

    @property
    def content(self) -> tuple[str, bytes]:
        """Give its type and the sha256 of its words: constants with the same can be one array."""
        words = np.ascontiguousarray(self.values, self.ctype.removesuffix("_t"))
        return self.ctype, hashlib.sha256(words.data).digest()


class Written(NamedTuple):
    """A layer in C: the functions, of which the last is the layer's, and its constants."""

    code: Lines
    constants: tuple[Constant, ...] = ()


@dataclass(frozen=True)
class Place:
    """A step and its place in the program.

    ``symbol`` names its function, ``prefix`` begins names that other files see. ``bounds`` holds
    the ends of what each source can be, in the shape in which the layer sees it. ``known`` are the
    constants of the program so far by their content, to which those of the step are added.
    """

    step: Step
    number: int
    symbol: str
    prefix: str
    bounds: tuple[Interval, ...]
    known: MutableMapping[tuple[str, bytes], Constant] = field(compare=False, repr=False)

    @property
    def said(self) -> str:
        """Describe the step: its name, what it does, and its shapes and formats."""
        step = self.step
        ops = " + ".join(node.op for node in (step.node, *step.joined))
        sources = ", ".join(f"{shape_text(s.shape)} of {s.format}" for s in step.sources)
        return f"{step.name}: {ops}, {sources} -> {shape_text(step.shape)} of {step.format}"

    def function(self, body: Iterable[str]) -> Lines:
        """Define the layer's function: it reads x, or x0, x1, ..., and writes y."""
        count = len(self.step.sources)
        names = ["x"] if count == 1 else [f"x{number}" for number in range(count)]
        reads = ", ".join(f"const int16_t *{name}" for name in names)
        return function(f"static void {self.symbol}({reads}, int16_t *y)", body, self.said)

    def constant(self, what: str, ctype: str, values: Array, note: str) -> Constant:
        """Make a constant of the layer; where an earlier one holds the same, it is that array."""
        made = Constant(f"{self.prefix}_{self.symbol}_{what}", what, ctype, values, note)
        return replace(self.known.setdefault(made.content, made), what=what)

    def table(self) -> Constant:
        """Make a constant of the layer's table."""
        values = self.step.node.table
        assert values is not None
        return self.constant("table", "int32_t", values, f"table of {self.step.node.op}")


def bounds(lowering: Lowering, source: Source) -> Interval:
    """Bound each value of a source: by the proof of the step that wrote it, and that step's limits.

    The ends are int64, in the shape in which the layer sees them.
    """
    if source.tensor == INPUT:
        return full(source.format, source.shape)
    steps: Mapping[str, Step] = {step.name: step for step in lowering.steps}
    step = steps[source.tensor]
    ends = (np.clip(end.astype(np.int64), step.low, step.high) for end in step.proof.output)
    return Interval(*(end.reshape(source.shape) for end in ends))


def inner(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """Split a shape at an axis: how many values lie before it, along it, and behind it."""
    axis %= len(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
