"""Rewrite layer normalisation that a model spells out in means, differences and a root."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fxpnn.onnx.graph.look import Look
from fxpnn.onnx.graph.normal import Attribute, Op

AXES = "axes"
"""The attribute by which a rewritten operator names its axes; ONNX's own has only the first."""


MEANS = ("ReduceMean", "GlobalAveragePool")
FROM_MAPS = {"axis": 2}
"""The attribute where the means are those of maps or rows, by an operator that names no axes."""


SUMMED = "summed"
"""The attribute of a rewritten root of squares that are summed, not averaged."""
LEAST = 2.0**-32
"""Limits of sums of squares up to this one are left out: values of 2**-16 are no more than 0."""
TINY = 2.0**-100
"""The epsilon where there is none: a vector of zeros becomes zeros, not what is no number."""


class Deviation(NamedTuple):
    """The root of the variance of a tensor, and epsilon, along axes that an attribute names."""

    tensor: str
    mean: str
    difference: str
    attributes: dict[str, Attribute]


def layer_norm(look: Look, op: Op) -> Op | None:
    """Recognise a quotient by a standard deviation, times a constant, plus another."""
    return _factored(look, op) or _divided(look, op)


def _divided(look: Look, op: Op) -> Op | None:
    """Recognise ``gamma * d / deviation + beta``."""
    output, gamma, beta = op.outputs[0], "", ""
    found = _quotient(look, output)
    if found is None and (split := look.constant(output, "Add")):
        output, beta = split
        found = _quotient(look, output)
    if found is None and (split := look.constant(output, "Mul")):
        output, gamma = split
        found = _quotient(look, output)
    return _replaced(op, found, gamma, beta) if found else None


def _factored(look: Look, op: Op) -> Op | None:
    """Recognise ``x * gain + (beta - mean * gain)`` where ``gain = gamma / deviation``."""
    for name, rest in (op.inputs, op.inputs[::-1]) if op.kind == "Add" else ():
        shift, beta = look.constant(rest, "Add") or (rest, "")
        scaled, shifted = look.maker(name, "Mul"), look.maker(shift, "Mul")
        if scaled is None or shifted is None:
            continue
        for gain in scaled.inputs:
            root, gamma = look.constant(gain, "Mul") or (gain, "")
            inverse = look.inverse(root)
            found = _deviation(look, inverse) if inverse else None
            minus = look.maker(_other(shifted, gain), "Neg")
            if found is None or minus is None or gain not in shifted.inputs:
                continue
            if (_other(scaled, gain), minus.inputs[0]) == (found.tensor, found.mean):
                return _replaced(op, found, gamma, beta)
    return None


def rms_norm(look: Look, op: Op) -> Op | None:
    """Recognise ``x / sqrt(mean(x**2) + epsilon)``, as a quotient or times a reciprocal.

    So is a vector divided by its length: ``x / sqrt(sum(x**2))``, whose root or reciprocal has a
    limit of its own, or by the operator of that.
    """
    pairs = {"Div": [op.inputs], "Mul": [op.inputs, op.inputs[::-1]]}.get(op.kind, [])
    for x, divisor in pairs:
        length = _length(look, divisor) if op.kind == "Div" else None
        where = _axes(look, length) if length and length.inputs[0] == x else None
        if where:
            more = {"epsilon": TINY, SUMMED: True}
            return replace(op, kind="RMSNormalization", inputs=(x,), attributes={**where, **more})
        found = _root(look, divisor, inverse=op.kind == "Mul")
        reduced = look.maker(found[0], "ReduceMean", "ReduceSum") if found else None
        squared = look.maker(reduced.inputs[0], "Mul", "Pow") if reduced else None
        where = _axes(look, reduced) if reduced else None
        if found and reduced and squared and where and squared.inputs[0] == x:
            if not _squares(look, squared):
                continue
            more = {"epsilon": found[1], SUMMED: reduced.kind == "ReduceSum"}
            return replace(op, kind="RMSNormalization", inputs=(x,), attributes={**where, **more})
    return None


def _length(look: Look, tensor: str) -> Op | None:
    """Return the operator of a length, which a small number may limit; so PyTorch normalises."""
    expand = look.maker(tensor, "Expand")
    tensor = expand.inputs[0] if expand else tensor
    limit = look.maker(tensor, "Clip", "Max")
    if limit and limit.kind == "Max":
        tensor, low = look.split(limit)
    elif limit:
        low = None if limit.has(2) or limit.get("max") else look.number(limit, 1, "min")
        tensor = limit.inputs[0]
    if limit and (low is None or low > LEAST**0.5):
        return None
    return look.maker(tensor, "ReduceL2")


def _root(look: Look, tensor: str, *, inverse: bool) -> tuple[str, float] | None:
    """Return what a root, or its reciprocal, is taken of, and the epsilon that is added."""
    if inverse:
        limit = look.maker(tensor, "Min")
        x, number = look.split(limit) if limit else (tensor, math.inf)
        inverted = look.inverse(x)
        if inverted is None or number is None or number < LEAST**-0.5:
            return None
        tensor = inverted
    root = look.maker(tensor, "Sqrt")
    shifted = look.maker(root.inputs[0], "Add", "Max") if root else None
    if root is None or shifted is None:
        return (root.inputs[0], TINY) if root else None
    below, epsilon = look.split(shifted)
    if epsilon is None or (shifted.kind == "Max" and not 0 <= epsilon <= LEAST):
        return None
    return below, (epsilon if shifted.kind == "Add" else 0.0) or TINY


def _other(op: Op, name: str) -> str:
    """Return the operand beside one of two."""
    a, b = op.inputs
    return b if a == name else a


def _replaced(op: Op, found: Deviation, gamma: str, beta: str) -> Op:
    inputs = (found.tensor, gamma, beta)
    return replace(op, kind="LayerNormalization", inputs=inputs, attributes=found.attributes)


def _quotient(look: Look, tensor: str) -> Deviation | None:
    """Recognise a difference from the mean, divided by the deviation or times its reciprocal."""
    divide, product = look.maker(tensor, "Div"), look.maker(tensor, "Mul")
    pairs = [divide.inputs] if divide else []
    for d, inverse in (product.inputs, product.inputs[::-1]) if product else ():
        pairs.append((d, look.inverse(inverse) or ""))
    for difference, deviation in pairs:
        found = _deviation(look, deviation)
        if found and found.difference == difference:
            return found
    return None


def _deviation(look: Look, tensor: str) -> Deviation | None:
    """Recognise ``sqrt(mean(d**2) + epsilon)`` where ``d = x - mean(x)``."""
    root = look.maker(tensor, "Sqrt")
    shifted = look.maker(root.inputs[0], "Add") if root else None
    below, epsilon = look.split(shifted) if shifted else ("", None)
    mean = look.maker(below, *MEANS)
    squared = look.maker(mean.inputs[0], "Mul", "Pow") if mean else None
    centred = look.maker(squared.inputs[0], "Sub") if squared else None
    first = look.maker(_unshaped(look, centred.inputs[1]), *MEANS) if centred else None
    if epsilon is None or not (mean and squared and centred and first):
        return None
    if not _squares(look, squared) or first.inputs[0] != centred.inputs[0]:
        return None
    where = [_axes(look, op) for op in (first, mean)]
    if where[0] is None or where[0] != where[1]:
        return None
    attributes = {**where[0], "epsilon": epsilon}
    return Deviation(centred.inputs[0], first.outputs[0], centred.outputs[0], attributes)


def _unshaped(look: Look, tensor: str) -> str:
    """Return what a Reshape reads, which stands for a Transpose of axes of one place.

    What keeps its axes and still broadcasts to what it is the mean of has its own shape.
    """
    reshape = look.maker(tensor, "Reshape")
    return reshape.inputs[0] if reshape else tensor


def _squares(look: Look, op: Op) -> bool:
    return op.inputs[0] == op.inputs[1] if op.kind == "Mul" else look.number(op, 1) == 2


def _axes(look: Look, op: Op) -> dict[str, Attribute] | None:
    """Return the attribute that names the axes of a mean that keeps them."""
    if op.kind == "GlobalAveragePool":
        return FROM_MAPS
    found: Sequence[int] | None = look.integers(op, 1, "axes")
    return {AXES: tuple(sorted(found))} if found and op.get("keepdims", 1) == 1 else None
