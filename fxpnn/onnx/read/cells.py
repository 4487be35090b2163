"""The cells of recurrent operators: what one step of a loop computes, as layers.

All steps share the weights of a layer, which are one array. Layers that are one layer of the loop
have the same formats, and are known by its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.folding import narrow
from fxpnn.network.layers import (
    Add,
    Array,
    Dense,
    HardSigmoid,
    Layer,
    Mul,
    Quantize,
    Sigmoid,
    Slice,
)
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.trace import Result, Trace, Value


@dataclass(frozen=True)
class Loop:
    """One direction of an operator: where its layers go, the weights and activations of its cell.

    ``input``, ``(gates * hidden, features)``, multiplies a step's input, ``state`` the state before
    it; each has its bias.
    """

    trace: Trace
    op: Op
    part: str
    activations: tuple[Layer, ...]
    input: Array
    state: Array
    input_bias: Array
    state_bias: Array

    @property
    def hidden(self) -> int:
        """Count the values of the state."""
        return int(self.state.shape[1])

    def named(self, name: str) -> Op:
        """Give the operator a layer's name."""
        return replace(self.op, name=f"{self.op.name}{self.part}.{name}")

    def emit(self, step: int, name: str, layer: Layer, *values: Value) -> Value:
        """Emit a layer of a step."""
        known = self.named(name).name
        return self.trace.emit(self.named(f"{step}.{name}"), layer, *values, unrolled=known)

    def activate(self, step: int, name: str, which: int, x: Value) -> Value:
        """Apply one of the cell's activations."""
        return self.emit(step, name, self.activations[which], x)

    def part_of(self, step: int, name: str, x: Value, place: int, count: int = 1) -> Value:
        """Keep the values of some gates, those from ``place`` on."""
        start = place * self.hidden
        return self.emit(step, name, Slice(0, start, start + count * self.hidden), x)

    def multiplied(self, step: int, name: str, layer: Dense, x: Result) -> Result:
        """Multiply a state by weights; one that is constant gives a constant."""
        if isinstance(x, Value):
            return self.emit(step, name, layer, x)
        return np.asarray(layer.weight.astype(np.float64) @ x + layer.bias)

    def times(self, step: int, name: str, a: Value, b: Result) -> Result:
        """Multiply two vectors; by zeros nothing is left."""
        if isinstance(b, Value):
            return self.emit(step, name, Mul(), a, b)
        return self._mapped(step, name, a, b, np.zeros_like(b)) if b.any() else b

    def plus(self, step: int, name: str, a: Value, b: Result) -> Value:
        """Add two vectors; a sum has one format in all steps, those without one too."""
        if isinstance(b, Value):
            return self.emit(step, name, Add(), a, b)
        known = self._mapped(step, f"{name}.start", a, np.ones_like(b), b)
        return self.emit(step, name, Quantize(), known)

    def _mapped(self, step: int, name: str, x: Value, gain: Array, offset: Array) -> Value:
        op = self.named(f"{step}.{name}")
        return self.trace.settle(self.trace.transform(op, x, gain, offset))


Gates: TypeAlias = Callable[[str, int, int], Value]
"""What a step's input adds to some gates: by a layer's name, the first gate, and their count."""
State: TypeAlias = tuple[Result, ...]
Cell: TypeAlias = Callable[[int, Gates, State], tuple[Value, ...]]
"""A step, by its number, its input's part and the state before; it gives the state behind it."""


def _dense(weight: Array, bias: Array | None = None) -> Dense:
    return Dense(weight, np.zeros(len(weight), np.float32) if bias is None else narrow(bias))


def _rnn(loop: Loop) -> tuple[Array, Cell]:
    """Make the cell ``h = f(x + R h)``."""
    state = _dense(loop.state)

    def cell(step: int, x: Gates, held: State) -> tuple[Value, ...]:
        added = loop.multiplied(step, "state", state, held[0])
        return (loop.activate(step, "h", 0, loop.plus(step, "sum", x("x", 0, 1), added)),)

    return loop.input_bias + loop.state_bias, cell


def _lstm(loop: Loop) -> tuple[Array, Cell]:
    """Make the cell ``c = f * c + i * g``, ``h = o * tanh(c)``; its gates are i, o, f and g."""
    state = _dense(loop.state)

    def cell(step: int, x: Gates, held: State) -> tuple[Value, ...]:
        added = loop.multiplied(step, "state", state, held[0])
        total = loop.plus(step, "sum", x("x", 0, 4), added)
        gates = loop.activate(step, "iof", 0, loop.part_of(step, "iof.sum", total, 0, 3))
        new = loop.activate(step, "g", 1, loop.part_of(step, "g.sum", total, 3))
        i, o, f = (loop.part_of(step, name, gates, place) for place, name in enumerate("iof"))
        written = loop.emit(step, "written", Mul(), i, new)
        c = loop.plus(step, "c", written, loop.times(step, "kept", f, held[1]))
        return loop.emit(step, "h", Mul(), o, loop.activate(step, "tanh", 2, c)), c

    return loop.input_bias + loop.state_bias, cell


def _gru(loop: Loop) -> tuple[Array, Cell]:
    """Make the cell ``h = (1 - z) * n + z * h``; its gates are z, r and n.

    With ``linear_before_reset`` r is a factor of what weights make of the state, their bias too,
    else of the state itself.
    """
    if not isinstance(loop.activations[0], Sigmoid | HardSigmoid):
        raise ModelError("the activation of its gates must be Sigmoid or HardSigmoid, 0 to 1")
    two, late = 2 * loop.hidden, loop.op.flag("linear_before_reset")
    known = loop.input_bias + loop.state_bias
    if late:
        known[two:] = loop.input_bias[two:]
    bias = np.where(np.arange(len(known)) < two, 0, loop.state_bias)
    both = _dense(loop.state, bias)
    first, second = _dense(loop.state[:two]), _dense(loop.state[two:])

    def cell(step: int, x: Gates, held: State) -> tuple[Value, ...]:
        (h,) = held
        if late:
            made = loop.multiplied(step, "state", both, h)
            if isinstance(made, Value):
                gated: Result = loop.part_of(step, "state.zr", made, 0, 2)
                reset: Result = loop.part_of(step, "state.n", made, 2)
            else:
                gated, reset = made[:two], made[two:]
        else:
            gated, reset = loop.multiplied(step, "state.zr", first, h), h
        total = loop.plus(step, "zr.sum", x("x.zr", 0, 2), gated)
        gates = loop.activate(step, "zr", 0, total)
        z, r = (loop.part_of(step, name, gates, place) for place, name in enumerate("zr"))
        added = loop.times(step, "reset", r, reset)
        if not late:
            added = loop.multiplied(step, "state.n", second, added)
        n = loop.activate(step, "n", 1, loop.plus(step, "n.sum", x("x.n", 2, 1), added))
        rest = loop.emit(step, "rest", HardSigmoid(-1.0, 1.0), z)  # 1 - z, to the bit
        written = loop.emit(step, "written", Mul(), rest, n)
        return (loop.plus(step, "h", written, loop.times(step, "kept", z, h)),)

    return known, cell


class Kind(NamedTuple):
    """A recurrent operator: its gates, its default activations, and how a loop's cell is made."""

    gates: int
    activations: tuple[str, ...]
    states: int
    make: Callable[[Loop], tuple[Array, Cell]]


KINDS: Mapping[str, Kind] = {
    "RNN": Kind(1, ("tanh",), 1, _rnn),
    "GRU": Kind(3, ("sigmoid", "tanh"), 1, _gru),
    "LSTM": Kind(4, ("sigmoid", "tanh", "tanh"), 2, _lstm),
}
