"""Read the operators that reduce axes to one value: pools of all of them, or sums by ones."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import (
    Abs,
    AvgPool2D,
    Conv2D,
    Layer,
    MaxPool2D,
    Mul,
    Reshape,
    Transpose,
    Window,
)
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.axes import along
from fxpnn.onnx.read.linear import negated
from fxpnn.onnx.read.relabel import reshaped
from fxpnn.onnx.read.trace import Handler, Trace, Value

KINDS: Mapping[str, type[AvgPool2D | MaxPool2D]] = {
    "ReduceMean": AvgPool2D,
    "ReduceMax": MaxPool2D,
}
"""The pool of each operator. A mean is rounded, so a sum is not so many times it."""
TERMS: Mapping[str, Layer] = {"ReduceL1": Abs(), "ReduceSumSquare": Mul()}
"""The layer that makes the terms of each operator that sums other terms than the values."""


def _reduce(trace: Trace, op: Op) -> Value:
    """Reduce axes: those of maps are pooled as they lie, others are turned to the end first."""
    x = trace.value(op, any_axis=True)
    axes = _axes(trace, op, x.rank)
    if op.kind in TERMS:  # where no axes are summed, they are the result
        read = (x, x) if op.kind == "ReduceSumSquare" else (x,)
        x = trace.emit(op, TERMS[op.kind], *read, part=".terms")
        op = replace(op, kind="ReduceSum")
    if not axes:
        return x
    if op.kind == "ReduceMin":
        turned = trace.settle(negated(trace, op, x))
        return negated(trace, op, _reduced(trace, replace(op, kind="ReduceMax"), turned, axes))
    return _reduced(trace, op, x, axes)


def _reduced(trace: Trace, op: Op, x: Value, axes: list[int]) -> Value:
    x, places = along(trace, x, axes, "must not join images")
    keeps = op.flag("keepdims", default=True)
    full = x.full(trace.batch)
    left = [axis for axis in range(len(full)) if keeps or axis not in axes]
    shape = tuple(1 if axis in axes else full[axis] for axis in left)
    place = (left.index(x.axis), x.outer) if x.axis not in axes else None
    whole = len(x.shape) in (2, 3) and min(places) > 0 and op.kind in KINDS
    part = "" if whole and keeps else ".pool"
    reduced = _pooled if whole else _turned
    y = reduced(trace, op, x, {*places}, part)
    return y if not part else reshaped(trace, op, y, shape, place)


def _axes(trace: Trace, op: Op, rank: int) -> list[int]:
    """Return the axes of the model that are reduced; none where nothing is done."""
    axes = trace.integers(op, 1, "axes")
    if not axes and op.flag("noop_with_empty_axes"):
        return []
    if not all(-rank <= axis < rank for axis in axes):
        raise ModelError(f"axes must be inside the {rank} axes, not {axes}")
    return sorted({axis % rank for axis in axes or range(rank)})


def _pooled(trace: Trace, op: Op, x: Value, axes: set[int], part: str) -> Value:
    """Pool axes of each image's maps, or of rows held as such."""
    x, last = trace.maps(x), len(x.shape) - 1
    kernel = (x.held[1] if last == 2 and 1 in axes else 1, x.held[2] if last in axes else 1)
    return trace.emit(op, KINDS[op.kind](Window(kernel)), x, part=part)


def _turned(trace: Trace, op: Op, x: Value, axes: set[int], part: str) -> Value:
    """Reduce any of each image's axes: as one row for each place along those that are kept."""
    x = trace.rows(x)
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    order = (*kept, *sorted(axes))
    if order != tuple(range(len(order))):
        x = trace.emit(op, Transpose(order), x, part=".turn")
    places, count = math.prod(x.shape[: len(kept)]), math.prod(x.shape[len(kept) :])
    layer: Layer
    if op.kind in KINDS:
        rows, layer = (places, 1, count), KINDS[op.kind](Window((1, count)))
    else:
        rows, layer = (1, places, count), _ones(trace, count)
    if rows != x.shape:
        x = trace.emit(op, Reshape(rows), x, part=".rows")
    return trace.emit(op, layer, x, part=part)


def _ones(trace: Trace, count: int) -> Conv2D:
    """Return what adds up rows exactly, and casts each sum once."""
    trace.spend(count + 1)
    weight = np.ones((1, 1, 1, count), np.float32)
    return Conv2D(weight, np.zeros(1, np.float32), Window((1, count)))


HANDLERS: Mapping[str, Handler] = dict.fromkeys((*KINDS, *TERMS, "ReduceMin", "ReduceSum"), _reduce)
