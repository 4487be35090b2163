"""``fxpnn train --trace``: one step of training with every number in it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np
from rich.text import Text

from fxpnn.analysis.tables import table
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
from fxpnn.textbook.lesson import Sides
from fxpnn.textbook.trace import Trace, step
from fxpnn.textbook.worked import EXAMPLES
from fxpnn.training import parameters

from .console.tables import ResultConsole
from .console.terminal import print_json


class Value(msgspec.Struct, frozen=True, rename={"floats": "float"}):
    """A tensor of the forward pass on both sides, ``raw`` in counts of its format's LSB."""

    name: str
    floats: list[float]
    fixed: list[float]
    raw: list[int]
    format: str


class Slope(msgspec.Struct, frozen=True):
    """The cost's derivative by every value of a tensor: by a z it is the lecture's delta."""

    name: str
    delta: list[float]


class Weight(msgspec.Struct, frozen=True):
    """What the step makes of a weight: ``w2[1,3]`` is of neuron 1 in layer 2 for its input 3."""

    name: str
    before: float
    gradient: float
    after: float


class Step(msgspec.Struct, frozen=True):
    """One step, schema 1; deltas are in the order in which they are found."""

    schema: Literal[1]
    network: str
    rate: float
    y: list[float]
    cost: float
    cost_after: float
    values: tuple[Value, ...]
    deltas: tuple[Slope, ...]
    weights: tuple[Weight, ...]


def show(name: str, rate: float | None, as_json: bool) -> None:
    """Take one step on the example of this name and print it."""
    example = EXAMPLES[name]
    done = _told(step(example if rate is None else replace(example, rate=rate)))
    if as_json:
        print_json(done)
    else:
        _print(done)


def _told(done: Trace) -> Step:
    example, deltas = done.example, done.gradients.deltas
    return Step(
        1,
        example.network.name,
        example.rate,
        _list(example.y),
        done.cost,
        done.cost_after,
        tuple(_values(done.sides)),
        tuple(Slope(name, _list(delta)) for name, delta in deltas.items()),
        tuple(_weights(done)),
    )


def _values(sides: Sides) -> Iterator[Value]:
    for name, fmt in sides.integers.formats.items():
        raw = sides.raw[name].reshape(-1).tolist()
        shown = "x" if name == INPUT else name
        yield Value(shown, _list(sides.floats[name]), _list(sides.fixed[name]), raw, str(fmt))


def _weights(done: Trace) -> Iterator[Weight]:
    before, after = parameters(done.example.network), parameters(done.after)
    for name in done.example.learns:
        layer = name.removeprefix("z").removesuffix(".weight")
        for (i, j), weight in np.ndenumerate(before[name]):
            gradient = float(done.gradients.parameters[name][i, j])
            shown = f"w{layer}[{i + 1},{j + 1}]"
            yield Weight(shown, float(weight), gradient, float(after[name][i, j]))


def _print(done: Step) -> None:
    console = ResultConsole()
    cost = "C = sum((y - a)^2) / 2"
    console.print_title(
        done.network, f"one step to y = {_text(done.y)}, {cost}, rate {done.rate:g}"
    )
    forward = table("forward", "float", "16 bits", "raw", "format", folded=_LISTS)
    for it in done.values:
        raw = " ".join(map(str, it.raw))
        forward.add_row(it.name, _text(it.floats), _text(it.fixed), raw, it.format)
    backward = table("backward", "derivative", folded=_LISTS)
    for slope in done.deltas:
        backward.add_row(_spelled(slope.name), _text(slope.delta))
    weights = table("weight", "before", "gradient", "after", right=("before", "gradient", "after"))
    for weight in done.weights:
        gradient = f"{weight.gradient:.6g}"
        weights.add_row(weight.name, f"{weight.before:g}", gradient, f"{weight.after:.9f}")
    for drawn in (forward, backward, weights):
        console.print(drawn)
    console.print(Text(f" cost {done.cost:.9f} before the step, {done.cost_after:.9f} after it"))
    console.print()


_LISTS = ("float", "16 bits", "raw", "derivative")


def _spelled(name: str) -> str:
    """Spell a derivative, and the lectures' name of one by a z."""
    return f"delta{name[1:]} = dC/d{name}" if name.startswith("z") else f"dC/d{name}"


def _list(values: Array) -> list[float]:
    numbers: list[float] = values.reshape(-1).tolist()
    return numbers


def _text(values: list[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
