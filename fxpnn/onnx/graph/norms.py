"""Rewrite layer normalisation that a model spells out in means, differences and a root."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fxpnn.onnx.graph.look import Look
from fxpnn.onnx.graph.normal import Op

AXES = "axes"
"""The attribute by which a rewritten operator names its axes; ONNX's own has only the first."""


class Normal(NamedTuple):
    """``(x - mean) / sqrt(mean of squares + epsilon)`` of a tensor along axes."""

    tensor: str
    axes: tuple[int, ...]
    epsilon: float


def layer_norm(look: Look, op: Op) -> Op | None:
    """Recognise a quotient by a standard deviation, times a constant, plus another."""
    output, gamma, beta = op.outputs[0], "", ""
    normal = _quotient(look, output)
    if normal is None and (split := look.constant(output, "Add")):
        output, beta = split
        normal = _quotient(look, output)
    if normal is None and (split := look.constant(output, "Mul")):
        output, gamma = split
        normal = _quotient(look, output)
    if normal is None:
        return None
    attributes = {AXES: normal.axes, "epsilon": normal.epsilon}
    inputs = (normal.tensor, gamma, beta)
    return replace(op, kind="LayerNormalization", inputs=inputs, attributes=attributes)


def _quotient(look: Look, tensor: str) -> Normal | None:
    """Recognise ``d / sqrt(mean(d**2) + epsilon)`` where ``d = x - mean(x)``."""
    divide = look.maker(tensor, "Div")
    root = divide and look.maker(divide.inputs[1], "Sqrt")
    shifted = look.maker(root.inputs[0], "Add") if root else None
    below, epsilon = look.split(shifted) if shifted else ("", None)
    mean = look.maker(below, "ReduceMean")
    if divide is None or epsilon is None or mean is None:
        return None
    difference = divide.inputs[0]
    squared = look.maker(mean.inputs[0], "Mul", "Pow")
    if squared is None or not _squares(look, squared, difference):
        return None
    centred = look.maker(difference, "Sub")
    first = centred and look.maker(centred.inputs[1], "ReduceMean")
    if centred is None or first is None or first.inputs[0] != centred.inputs[0]:
        return None
    axes = [_axes(look, op) for op in (first, mean)]
    if axes[0] is None or axes[0] != axes[1]:
        return None
    return Normal(centred.inputs[0], axes[0], epsilon)


def _squares(look: Look, op: Op, tensor: str) -> bool:
    if op.kind == "Mul":
        return op.inputs == (tensor, tensor)
    return op.inputs[0] == tensor and look.number(op, 1) == 2


def _axes(look: Look, op: Op) -> tuple[int, ...] | None:
    """Return the axes of a mean that keeps them."""
    found: Sequence[int] | None = look.integers(op, 1, "axes")
    return tuple(sorted(found)) if found and op.get("keepdims", 1) == 1 else None
