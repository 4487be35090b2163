"""Rewrite patterns: activations that a model spells out in arithmetic become one operator."""

from dataclasses import replace
from typing import NamedTuple

from fxpnn.onnx.graph.normal import Graph, Op

ROUNDING = 2.0**-22
"""How far a constant of a pattern, such as 1/6 in float32, may be from its exact value."""


class Line(NamedTuple):
    """``gain * tensor + offset`` with single numbers."""

    tensor: str
    gain: float = 1.0
    offset: float = 0.0


def rewrite(graph: Graph) -> Graph:
    """Return the graph with the last operator of each pattern replaced, and the others dropped."""
    look = _Look(graph)
    ops = (_hard_sigmoid(look, op) or _hard_swish(look, op) or op for op in graph.ops)
    return replace(graph, ops=tuple(ops)).live()


def _hard_sigmoid(look: "_Look", op: Op) -> Op | None:
    """Recognise ``clip(x + c, 0, h) / h`` and ``clip(a x + c, 0, 1)``."""
    cut = look.clip(op.outputs[0])
    if cut is not None and cut[1] == 1:
        add = cut[0]
        inner = look.scale(add.tensor)
        return inner and _replaced(op, inner.tensor, inner.gain, add.offset)
    outer = look.scale(op.outputs[0])
    cut = outer and look.clip(outer.tensor)
    if outer is None or cut is None or abs(outer.gain * cut[1] - 1) > ROUNDING:
        return None
    return _replaced(op, cut[0].tensor, outer.gain, cut[0].offset * outer.gain)


def _replaced(op: Op, tensor: str, alpha: float, beta: float) -> Op:
    attributes = {"alpha": alpha, "beta": beta}
    return replace(op, kind="HardSigmoid", inputs=(tensor,), attributes=attributes)


def _hard_swish(look: "_Look", op: Op) -> Op | None:
    """Recognise ``x * clip(x + 3, 0, 6) / 6``."""
    outer = look.scale(op.outputs[0])
    product = outer and look.maker(outer.tensor, "Mul")
    if outer is None or product is None or abs(outer.gain * 6 - 1) > ROUNDING:
        return None
    for x, gate in (product.inputs, product.inputs[::-1]):
        if look.clip(gate) == (Line(x, 1.0, 3.0), 6.0):
            return replace(op, kind="HardSwish", inputs=(x,), attributes={})
    return None


class _Look:
    """Looks backwards from a tensor to what made it."""

    def __init__(self, graph: Graph) -> None:
        self._constants = graph.constants
        self._makers = {op.outputs[0]: op for op in graph.ops}

    def maker(self, tensor: str, *kinds: str) -> Op | None:
        """Return the operator that makes a tensor if it is of one of these kinds."""
        op = self._makers.get(tensor)
        return op if op and op.kind in kinds else None

    def scale(self, tensor: str) -> Line | None:
        """Return the multiplication by a single number that makes a tensor."""
        op = self.maker(tensor, "Mul", "Div")
        if op is None:
            return None
        x, number = self._split(op)
        if number is None or (op.kind == "Div" and (not number or x != op.inputs[0])):
            return None
        return Line(x, gain=number if op.kind == "Mul" else 1 / number)

    def clip(self, tensor: str) -> tuple[Line, float] | None:
        """Return the addition of a single number that a clip to ``0..high`` cuts, and ``high``."""
        clip = self.maker(tensor, "Clip")
        add = clip and self.maker(clip.inputs[0], "Add")
        if clip is None or add is None or self._number(clip, 1, "min") != 0:
            return None
        high, (x, offset) = self._number(clip, 2, "max"), self._split(add)
        return (Line(x, offset=offset), high) if high and offset is not None else None

    def _split(self, op: Op) -> tuple[str, float | None]:
        """Return the operand of a binary operator that is not a number, and the one that is."""
        a, b = op.inputs
        number = self._number(op, 0)
        return (a, self._number(op, 1)) if number is None else (b, number)

    def _number(self, op: Op, index: int, attribute: str = "") -> float | None:
        if not op.has(index):
            value: float | None = op.get(attribute)
            return value
        array = self._constants.get(op.inputs[index])
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None
