"""Let Transposes sink behind operators of single values, where one undoes another.

An exporter of a model with its channels last turns maps around each convolution, and takes out what
it can of that; some stays around operators that it does not know, in the middle of a pattern.
"""

from dataclasses import replace

import numpy as np

from fxpnn.network.layers import Array
from fxpnn.onnx.graph.normal import Graph, Op

SINGLE = (
    *("Abs", "Add", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Greater", "GreaterOrEqual"),
    *("HardSigmoid", "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul"),
    *("Neg", "Not", "Pow", "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign"),
    *("Sqrt", "Sub", "Tanh", "Where"),
)
"""Operators that do the same to single values wherever these lie."""


def sink(graph: Graph) -> Graph:
    """Return the graph with Transposes as late as can be, if fewer are left then."""
    sunk = _Sink(graph).graph()
    return sunk if _count(sunk) < _count(graph) else graph


def _count(graph: Graph) -> int:
    return sum(op.kind == "Transpose" for op in graph.ops)


class _Sink:
    """The operators so far; tensors that are yet to be turned are known by what turns them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._ops: list[Op] = []
        self._constants: dict[str, Array] = dict(graph.constants)
        self._turned: dict[str, Op] = {}
        self._same: dict[str, str] = {}

    def graph(self) -> Graph:
        """Return the graph of which only what is read is left."""
        for op in self._graph.ops:
            self._take(replace(op, inputs=tuple(self._same.get(name, name) for name in op.inputs)))
        made = replace(self._graph, ops=tuple(self._ops), constants=self._constants)
        return made.live()

    def _take(self, op: Op) -> None:
        if op.kind == "Transpose" and op.get("perm"):
            self._turn(op)
            return
        found = self._before(op) if op.kind in SINGLE and len(op.outputs) == 1 else None
        if found is None:
            self._ops.append(op)
            return
        inputs, turn = found
        inner = f"{op.outputs[0]} before {turn.outputs[0]}"
        self._ops.append(replace(op, inputs=inputs, outputs=(inner,)))
        self._turn(replace(turn, inputs=(inner,), outputs=op.outputs))

    def _turn(self, op: Op) -> None:
        """Take a Transpose, one with what was turned before it."""
        (name,), order = op.inputs, tuple(op.get("perm"))
        before = self._turned.get(name)
        if before is not None and len(order) == len(before.get("perm")):
            (name,), order = before.inputs, tuple(before.get("perm")[axis] for axis in order)
        if order == tuple(range(len(order))):
            self._same[op.outputs[0]] = name
            if op.outputs[0] in self._graph.outputs:
                self._ops.append(replace(op, kind="Identity", inputs=(name,), attributes={}))
            return
        made = replace(op, inputs=(name,), attributes={"perm": [*order]})
        self._turned[op.outputs[0]] = made
        self._ops.append(made)

    def _before(self, op: Op) -> tuple[tuple[str, ...], Op] | None:
        """Return what an operator reads before all of it is turned, and the operator that turns it.

        Every tensor must be turned alike, and constants be such that they can be turned back.
        """
        tensors = [name for name in op.inputs if name and name not in self._graph.constants]
        turns = [self._turned.get(name) for name in tensors]
        first = turns[0] if turns else None
        if first is None or any(t is None or t.get("perm") != first.get("perm") for t in turns):
            return None
        back = np.argsort(first.get("perm"))
        inputs = []
        for name in op.inputs:
            turn = self._turned.get(name)
            array = self._graph.constants.get(name)
            if turn is not None:
                inputs.append(turn.inputs[0])
            elif array is None or (array.size == 1 and array.ndim <= 1):
                inputs.append(name)
            elif array.ndim <= len(back):
                turned = array.reshape((1,) * (len(back) - array.ndim) + array.shape)
                inputs.append(f"{name} before {first.outputs[0]}")
                self._constants[inputs[-1]] = turned.transpose(back)
            else:
                return None
        return tuple(inputs), first
