"""Curves that a model spells out in arithmetic: sigmoid, GELU in both forms, Mish, softsign."""

import math
from collections.abc import Mapping
from dataclasses import replace

from fxpnn.onnx.graph.look import ROUNDING, Look
from fxpnn.onnx.graph.normal import Op

ANGLE = math.sqrt(2 / math.pi)

GATES: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "Erf": ("none", (0.0, math.sqrt(0.5), 0.0, 0.0)),
    "Tanh": ("tanh", (0.0, ANGLE, 0.0, ANGLE * 0.044715)),
}
"""What ``approximate`` calls a GELU, and the polynomial of x that its operator reads."""


def curve(look: Look, op: Op) -> Op | None:
    """Return the one operator that stands for those that end in ``op``, if they are a curve."""
    match op.kind:
        case "Mul":
            return _mish(look, op) or _gelu(look, op)
        case "Div":
            return _softsign(look, op) or _sigmoid(look, op) or _gelu(look, op)
        case "Reciprocal":
            return _sigmoid(look, op)
    return None


def _gelu(look: Look, op: Op) -> Op | None:
    """Recognise ``x * (1 + erf(x / sqrt(2))) / 2`` and its like, multiplied in any order."""
    for gate in look.factors(op.outputs[0]).tensors:
        line = look.line(gate)
        inner = look.maker(line.tensor, *GATES)
        if inner is None:
            continue
        form, wanted = GATES[inner.kind]
        for x in look.behind(inner.inputs[0]):
            found = look.polynomial(inner.inputs[0], x)
            gain, tensors = look.factors(op.outputs[0], (x, gate))
            halves = all(_near(gain * number, 0.5) for number in (line.gain, line.offset))
            if halves and sorted(tensors) == sorted((x, gate)) and _are_near(found, wanted):
                attributes = {"approximate": form}
                return replace(op, kind="Gelu", inputs=(x,), attributes=attributes)
    return None


def _mish(look: Look, op: Op) -> Op | None:
    """Recognise ``x * tanh(softplus(x))``."""
    for x, gate in (op.inputs, op.inputs[::-1]):
        tanh = look.maker(gate, "Tanh")
        softplus = tanh and look.maker(tanh.inputs[0], "Softplus")
        if softplus and softplus.inputs[0] == x:
            return replace(op, kind="Mish", inputs=(x,), attributes={})
    return None


def _sigmoid(look: Look, op: Op) -> Op | None:
    """Recognise ``1 / (1 + exp(-x))``."""
    line = look.line(look.inverse(op.outputs[0]) or "")
    power = look.maker(line.tensor, "Exp")
    if power is None or line[1:] != (1.0, 1.0):
        return None
    inner = look.line(power.inputs[0])
    negative = look.maker(power.inputs[0], "Neg")
    if negative is None and inner[1:] != (-1.0, 0.0):
        return None
    x = negative.inputs[0] if negative else inner.tensor
    return replace(op, kind="Sigmoid", inputs=(x,), attributes={})


def _softsign(look: Look, op: Op) -> Op | None:
    """Recognise ``x / (1 + abs(x))``."""
    x, divisor = op.inputs
    line = look.line(divisor)
    inner = look.maker(line.tensor, "Abs")
    if inner is None or inner.inputs[0] != x or line[1:] != (1.0, 1.0):
        return None
    return replace(op, kind="Softsign", inputs=(x,), attributes={})


def _are_near(found: tuple[float, ...] | None, wanted: tuple[float, ...]) -> bool:
    return found is not None and all(_near(f, w) for f, w in zip(found, wanted, strict=True))


def _near(found: float, wanted: float) -> bool:
    """Tell whether a product of a few constants of float32 may stand for a number."""
    return abs(found - wanted) <= 4 * ROUNDING * abs(wanted)
