"""Look backwards along a graph: what made a tensor, by which numbers."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from fxpnn.network.layers import Array
from fxpnn.onnx.graph.normal import Graph, Op
from fxpnn.onnx.graph.proto import MAX_RANK

ROUNDING = 2.0**-22
"""How far a constant of a pattern, such as 1/6 in float32, may be from its exact value."""
STEPS = 6
"""So many operators back a pattern reaches."""


class Line(NamedTuple):
    """``gain * tensor + offset`` with single numbers."""

    tensor: str
    gain: float = 1.0
    offset: float = 0.0


class Product(NamedTuple):
    """A number and tensors that are multiplied."""

    gain: float
    tensors: tuple[str, ...]


class Look:
    """Looks backwards from a tensor to what made it."""

    def __init__(self, graph: Graph) -> None:
        self._constants = graph.constants
        self._makers = {op.outputs[0]: op for op in graph.ops}

    def maker(self, tensor: str, *kinds: str) -> Op | None:
        """Return the operator that makes a tensor if it is of one of these kinds."""
        op = self._makers.get(tensor)
        return op if op and op.kind in kinds else None

    def inverse(self, tensor: str) -> str | None:
        """Return the tensor of which one is the reciprocal."""
        op = self.maker(tensor, "Reciprocal", "Div")
        if op is None or (op.kind == "Div" and self.number(op, 0) != 1):
            return None
        return op.inputs[-1]

    def scale(self, tensor: str) -> Line | None:
        """Return the multiplication by a single number that makes a tensor."""
        op = self.maker(tensor, "Mul", "Div")
        if op is None:
            return None
        x, number = self.split(op)
        if number is None or (op.kind == "Div" and (not number or x != op.inputs[0])):
            return None
        return Line(x, gain=number if op.kind == "Mul" else 1 / number)

    def clip(self, tensor: str) -> tuple[Line, float] | None:
        """Return the addition of a single number that a clip to ``0..high`` cuts, and ``high``."""
        clip = self.maker(tensor, "Clip")
        add = clip and self.maker(clip.inputs[0], "Add")
        if clip is None or add is None or self.number(clip, 1, "min") != 0:
            return None
        high, (x, offset) = self.number(clip, 2, "max"), self.split(add)
        return (Line(x, offset=offset), high) if high and offset is not None else None

    def line(self, tensor: str) -> Line:
        """Return what single numbers make a tensor of: at most ``STEPS`` operators back."""
        found = Line(tensor)
        for _ in range(STEPS):
            op = self.maker(found.tensor, "Mul", "Div", "Add", "Sub")
            x, number = self.split(op) if op else ("", None)
            if op is None or number is None:
                break
            gain, offset = _by_number(op, number, first=x == op.inputs[0])
            if gain is None:
                break
            found = Line(x, found.gain * gain, found.gain * offset + found.offset)
        return found

    def factors(self, tensor: str, stop: Collection[str] = (), steps: int = STEPS) -> Product:
        """Return the tensors and the number whose product a tensor is; those of ``stop`` stay."""
        op = None if tensor in stop or not steps else self.maker(tensor, "Mul", "Div")
        if op is None:
            return Product(1.0, (tensor,))
        x, number = self.split(op)
        if number is None and op.kind == "Mul":
            one, other = (self.factors(name, stop, steps - 1) for name in op.inputs)
            return Product(one.gain * other.gain, (*one.tensors, *other.tensors))
        if number is None or (op.kind == "Div" and (not number or x != op.inputs[0])):
            return Product(1.0, (tensor,))
        inner = self.factors(x, stop, steps - 1)
        return Product(inner.gain * (number if op.kind == "Mul" else 1 / number), inner.tensors)

    def behind(self, tensor: str, steps: int = STEPS) -> tuple[str, ...]:
        """Return the tensors of which sums and products make one, itself among them, each once."""
        op = self.maker(tensor, "Mul", "Div", "Add", "Sub", "Pow") if steps else None
        more = [t for name in op.inputs for t in self.behind(name, steps - 1)] if op else []
        return tuple(dict.fromkeys((tensor, *more)))

    def polynomial(self, tensor: str, base: str, steps: int = STEPS) -> tuple[float, ...] | None:
        """Return the coefficients of 1, x, x**2, x**3 by which ``base`` makes a tensor, if it does.

        Each operator has at most two inputs, so that ``2**STEPS`` are looked at, no more.
        """
        if tensor == base:
            return 0.0, 1.0, 0.0, 0.0
        if tensor in self._constants:
            array = self._constants[tensor]
            return (float(array.reshape(-1)[0]), 0.0, 0.0, 0.0) if array.size == 1 else None
        op = self.maker(tensor, "Mul", "Div", "Add", "Sub", "Pow") if steps else None
        parts = [self.polynomial(name, base, steps - 1) for name in op.inputs] if op else []
        if op is None or None in parts:
            return None
        one, other = (np.array(part) for part in parts)
        return _combined(op.kind, one, other)

    def split(self, op: Op) -> tuple[str, float | None]:
        """Return the operand of a binary operator that is not a number, and the one that is."""
        a, b = op.inputs
        number = self.number(op, 0)
        return (a, self.number(op, 1)) if number is None else (b, number)

    def constant(self, tensor: str, kind: str) -> tuple[str, str] | None:
        """Return the operand of the operator that makes a tensor, and the one that is constant."""
        op = self.maker(tensor, kind)
        a, b = op.inputs if op else ("", "")
        if (a in self._constants) == (b in self._constants):
            return None
        return (a, b) if b in self._constants else (b, a)

    def integers(self, op: Op, index: int, attribute: str) -> list[int] | None:
        """Return an input of integers, or an attribute where the input is left out."""
        if not op.has(index):
            given: list[int] | None = op.get(attribute)
            return given
        array = self._constants.get(op.inputs[index])
        known = array is not None and array.dtype.kind in "iu" and array.size <= MAX_RANK
        return [int(n) for n in array.reshape(-1)] if array is not None and known else None

    def number(self, op: Op, index: int, attribute: str = "") -> float | None:
        """Return an input that is a single number, or an attribute where the input is left out."""
        if not op.has(index):
            value: float | None = op.get(attribute)
            return value
        array = self._constants.get(op.inputs[index])
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def _by_number(op: Op, number: float, *, first: bool) -> tuple[float | None, float]:
    """Return gain and offset of an operator with a number; ``first`` where that stands behind."""
    match op.kind:
        case "Mul":
            return number, 0.0
        case "Div":
            return (1 / number if first and number else None), 0.0
        case "Add":
            return 1.0, number
    return (1.0, -number) if first else (-1.0, number)


def _combined(kind: str, one: Array, other: Array) -> tuple[float, ...] | None:
    """Compute with polynomials of degree 3 at most; what is none of them is ``None``."""
    number = None if other[1:].any() else float(other[0])
    match kind:
        case "Add":
            made = one + other
        case "Sub":
            made = one - other
        case "Mul":
            made = np.convolve(one, other)
        case "Div" if number:
            made = one / number
        case "Pow" if number == 2:
            made = np.convolve(one, one)
        case "Pow" if number == 3:
            made = np.convolve(np.convolve(one, one), one)
        case _:
            return None
    return None if made[4:].any() else tuple(made[:4].tolist())
