"""Read the operators that compare tensors, and those that choose between them by what is found.

A truth value is 1 or 0, as the layer ``Step`` gives it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import (
    Array,
    Clip,
    Concat,
    Layer,
    MaxPool2D,
    Relu,
    Reshape,
    Step,
    Window,
)
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.broadcast import common, fitted
from fxpnn.onnx.read.linear import added, multiplied, negated
from fxpnn.onnx.read.trace import Handler, Result, Trace
from fxpnn.onnx.read.value import Value, image_array


def _extreme(op_max: bool) -> Handler:
    """Return the handler of Max, or of Min, of tensors and numbers."""

    def extreme(trace: Trace, op: Op) -> Value:
        operands = [trace.operand(op, i, any_axis=True) for i in range(len(op.inputs))]
        x = largest(trace, op, [o for o in operands if isinstance(o, Value)], least=not op_max)
        arrays = [image_array(o, x, trace.batch) for o in operands if not isinstance(o, Value)]
        if any((array != array.flat[0]).any() for array in arrays):
            raise ModelError("its constant must be one number for all elements")
        numbers = [float(array.flat[0]) for array in arrays]
        if not numbers:
            return x
        layer: Layer = Clip(-math.inf, min(numbers))
        if op_max:
            layer = Clip(max(numbers), math.inf) if max(numbers) else Relu()
        return trace.emit(op, layer, trace.settle(x))

    return extreme


def largest(trace: Trace, op: Op, values: Sequence[Value], *, least: bool = False) -> Value:
    """Emit the largest of the values in each place, or the least: a pool of tensors side by side.

    The least is the largest of what is negated, negated.
    """
    if len(values) == 1:
        return values[0]
    if least:
        return negated(trace, op, largest(trace, op, [negated(trace, op, x) for x in values]))
    values = [trace.rows(trace.settle(x)) for x in common(trace, op, *values)]
    shape = values[0].shape
    row = (1, 1, math.prod(shape))
    rows = [
        trace.emit(op, Reshape(row), x, part=f".{i}.row") if x.shape != row else x
        for i, x in enumerate(values)
    ]
    joined = trace.emit(op, Concat(1), *rows, part=".rows")
    y = trace.emit(op, MaxPool2D(Window((len(rows), 1))), joined, part=".largest")
    return trace.emit(op, Reshape(shape), y)


def _at_least(trace: Trace, op: Op, a: Result, b: Result) -> Value:
    """Emit 1 where ``a >= b``, else 0: a step at a number, or of the difference at 0."""
    if isinstance(a, Value) and isinstance(b, Value):
        difference = added(trace, op, a, negated(trace, op, b), ".difference")
        return trace.emit(op, Step(), trace.settle(difference))
    if isinstance(a, Value):
        return _step(trace, op, a, np.asarray(b), 1.0)
    assert isinstance(b, Value)
    return _step(trace, op, b, np.asarray(a), -1.0)


def _step(trace: Trace, op: Op, x: Value, array: Array, sign: float) -> Value:
    """Emit 1 where ``sign * x >= sign * array``."""
    x, limit = fitted(trace, op, x, array)
    if sign < 0:
        x, limit = negated(trace, op, x), 0.0 - limit
    if (limit == limit.flat[0]).all():
        return trace.emit(op, Step(float(limit.flat[0])), trace.settle(x))
    shifted = trace.transform(op, x, np.ones_like(limit), -limit)
    return trace.emit(op, Step(), trace.settle(shifted))


def _comparison(*, turned: bool, strict: bool) -> Handler:
    """Return the handler of a comparison: ``a > b`` is what ``b >= a`` is not."""

    def comparison(trace: Trace, op: Op) -> Value:
        a, b = trace.operand(op, 0, any_axis=True), trace.operand(op, 1, any_axis=True)
        y = _at_least(trace, op, *((b, a) if turned else (a, b)))
        return _not(trace, op, y) if strict else y

    return comparison


def _not(trace: Trace, op: Op, x: Value) -> Value:
    ones = np.ones((1,) * len(x.shape))
    return trace.transform(op, x, -ones, ones)


def _and(trace: Trace, op: Op) -> Value:
    a, b = (trace.operand(op, i, any_axis=True) for i in (0, 1))
    return multiplied(trace, op, a, b)


def _or(trace: Trace, op: Op) -> Value:
    return largest(trace, op, [trace.value(op, i, any_axis=True) for i in (0, 1)])


def _where(trace: Trace, op: Op) -> Value:
    """Emit ``c * a + (1 - c) * b``; what is 0 everywhere is left out."""
    condition, a, b = (trace.operand(op, i, any_axis=True) for i in range(3))
    if not (isinstance(a, Value) or isinstance(b, Value)):
        return added(trace, op, multiplied(trace, op, condition, a - b), b)
    if isinstance(condition, Value):
        condition = replace(condition, shared=True)  # both gates are made of it
    chosen = [(True, a, ".1"), (False, b, ".2")]
    parts = [
        _gated(trace, op, _gate(trace, op, condition, by=by), operand, part)
        for by, operand, part in chosen
        if isinstance(operand, Value) or operand.any()
    ]
    first, *second = parts
    if second:
        return added(trace, op, first, second[0])
    assert isinstance(first, Value)  # what is left out is a constant
    return first


def _gate(trace: Trace, op: Op, condition: Result, *, by: bool) -> Result:
    """Return 1 where a condition is ``by``, else 0."""
    if isinstance(condition, Value):
        return condition if by else _not(trace, op, condition)
    return np.asarray(condition.astype(bool) == by, np.float32)


def _gated(trace: Trace, op: Op, gate: Result, operand: Result, part: str) -> Result:
    """Return what a gate lets through of an operand."""
    if isinstance(gate, Value) or isinstance(operand, Value):
        return multiplied(trace, op, gate, operand, part)
    trace.spend(max(gate.size, operand.size))
    return np.where(gate, operand, 0)


HANDLERS: Mapping[str, Handler] = {
    "Max": _extreme(op_max=True),
    "Min": _extreme(op_max=False),
    "GreaterOrEqual": _comparison(turned=False, strict=False),
    "LessOrEqual": _comparison(turned=True, strict=False),
    "Less": _comparison(turned=False, strict=True),
    "Greater": _comparison(turned=True, strict=True),
    "Not": lambda trace, op: _not(trace, op, trace.pending(op, any_axis=True)),
    "And": _and,
    "Or": _or,
    "Where": _where,
}
