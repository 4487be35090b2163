"""Read products of matrices: dense layers, convolutions of one place, or products of two tensors.

Rows that a constant multiplies are maps of one line, their features the channels: a convolution of
one place does to each row what a dense layer does to an image, so that nothing behind the reader
has a layer to learn. Matrices that differ along leading axes (the heads of attention) are groups.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.folding import narrow
from fxpnn.network.layers import (
    Array,
    Conv2D,
    Dense,
    MatMul,
    Shape,
    Window,
)
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.axes import along, together
from fxpnn.onnx.read.linear import floats_of, weighted
from fxpnn.onnx.read.relabel import relabelled, transposed
from fxpnn.onnx.read.trace import Handler, Result, Trace
from fxpnn.onnx.read.value import Value, of_one


def _matmul(trace: Trace, op: Op) -> Value:
    a, b = (trace.operand(op, i, any_axis=True) for i in (0, 1))
    return multiplied(trace, op, a, b)


def multiplied(trace: Trace, op: Op, a: Result, b: Result) -> Value:
    """Multiply the matrices along the last two axes of two tensors, or of one and a constant."""
    if isinstance(a, Value):
        if isinstance(b, Value):
            return _product(trace, op, a, b)
        x, weight = trace.rows(a), floats_of(b)
        if weight.ndim < 2:
            raise ModelError(f"B must be a matrix, not {weight.shape}")
        return _by_constant(trace, op, x, weight.swapaxes(-1, -2), -1)
    if not isinstance(b, Value):
        raise ModelError("input 2 must depend on the network's input")
    x, weight = trace.rows(b), floats_of(a)
    if x.rank < 2 or weight.ndim < 2 or x.axis == x.rank - 2:
        full = trace.spelled(x.full(trace.batch))
        raise ModelError(f"must multiply a matrix by matrices, not {weight.shape} by {full}")
    return _by_constant(trace, op, x, weight, -2)


def _by_constant(trace: Trace, op: Op, x: Value, weight: Array, side: int) -> Value:
    """Multiply features along the model's last axis, or the last but one, by a constant.

    ``weight`` is ``(..., outputs, features)``.
    """
    x, (place,) = along(trace, x, (x.rank + side,), "must not multiply images by weights")
    weight = _of_images(trace, x, weight)
    if len(x.shape) > 1:
        return rows_by(trace, op, x, weight, place - len(x.shape))
    return weighted(trace, op, x, Dense(weight, np.zeros(len(weight), np.float32)))


def _of_images(trace: Trace, x: Value, weight: Array) -> Array:
    """Return the matrices that multiply those of each image, without the images' axis."""
    if math.prod(weight.shape[:-2]) == 1:
        return weight.reshape(weight.shape[-2:])
    lead, wanted = weight.shape[:-2], x.full(trace.batch)[:-2]
    full = (1,) * (len(wanted) - len(lead)) + lead
    if len(full) != len(wanted) or any(a not in (1, b) for a, b in zip(full, wanted, strict=True)):
        raise ModelError(
            "its constant must have one matrix for all images, or one for each of "
            f"{x.shape[:-2]}, not {lead}"
        )
    weight = weight.reshape(*full, *weight.shape[-2:])
    if x.axis < len(full):
        return of_one(weight, x, trace.batch)
    if not x.outer:
        raise ModelError("must have one matrix for all images where these are its rows")
    return weight


def _gemm(trace: Trace, op: Op) -> Value:
    x, weight = trace.pending(op, 0, any_axis=True), floats_of(trace.constant(op, 1))
    turned = op.flag("transA")
    x, _ = along(trace, x, (1 - turned,), "transA must make the images the rows of A")
    if weight.ndim != 2:
        raise ModelError(f"B must be a matrix, not {weight.shape}")
    weight = _scaled(weight if op.flag("transB") else weight.T, op.get("alpha", 1.0))
    bias = np.zeros(len(weight), np.float32)
    if op.has(2):
        bias = _scaled(_bias(floats_of(trace.constant(op, 2)), len(weight)), op.get("beta", 1.0))
    if x.rank > 2 or len(x.shape) == 1:
        return replace(weighted(trace, op, x, Dense(weight, bias)), axis=0)
    if turned:
        x = replace(transposed(trace, op, trace.rows(x), (1, 0), ".rows"), axis=1 - x.axis)
    y = rows_by(trace, op, trace.rows(x), weight, -1)
    return trace.transform(op, y, np.ones((1, 1)), bias.astype(np.float64)[None])


def _bias(array: Array, size: int) -> Array:
    """Return what Gemm's C, ``(1 or none, 1 or size)``, adds to each image."""
    full = (1,) * (2 - array.ndim) + array.shape
    if len(full) != 2 or full[0] != 1 or full[1] not in (1, size):
        raise ModelError(f"C must be one row of {size} values, not {array.shape}")
    return np.broadcast_to(array.reshape(-1), (size,))


def _scaled(array: Array, factor: float) -> Array:
    return array if factor == 1 else narrow(array * np.float64(factor))


def _product(trace: Trace, op: Op, a: Value, b: Value) -> Value:
    """Multiply what two tensors hold of each image; one scale of either goes behind the product."""
    full = " by ".join(trace.spelled(x.full(trace.batch)) for x in (a, b))
    refusal = f"must multiply each image's matrices by its own, not {full}"
    if a.rank != b.rank or a.rank < 2:
        raise ModelError(refusal)
    matrices = (a.rank - 2, a.rank - 1)
    one, other = (
        along(trace, x, matrices, refusal)[0]
        for x in together(trace, [trace.rows(a), trace.rows(b)])
    )
    scaled = [_scale(x) for x in (one, other)]
    gain = math.prod(scale for scale in scaled if scale is not None)
    sides = [
        trace.settle(x if scale is None else replace(x, affine=None))
        for x, scale in zip((one, other), scaled, strict=True)
    ]
    y = trace.emit(op, MatMul(), *sides)
    ones = np.ones((1,) * len(y.shape))
    return y if gain == 1 else trace.transform(op, y, gain * ones, 0 * ones)


def _scale(x: Value) -> float | None:
    """Return the one number by which all of a tensor is still to be multiplied, if it is that."""
    if x.affine is None or not x.affine.uniform or x.affine.offset.any():
        return None
    return float(x.affine.gain.reshape(-1)[0])


class _Rows(NamedTuple):
    """How rows, ``(*lead, rows, features)`` or, along axis -2, turned, become maps and outputs.

    ``grouped`` says that the leading axes are groups of channels, ``outputs`` of each made by its
    own matrix; else they are places.
    """

    axis: int
    lead: Shape
    outputs: int
    grouped: bool

    def channels_first(self, array: Array) -> Array:
        """Lay what broadcasts to the rows out as channels and places."""
        if not self.grouped:
            return np.moveaxis(array, self.axis, 0)
        turned = array if self.axis == -2 else array.swapaxes(-1, -2)
        full = np.broadcast_to(turned, (*self.lead, self.outputs, turned.shape[-1]))
        return full.reshape(-1, full.shape[-1])

    def order(self, rank: int) -> tuple[int, ...]:
        """Return the order of axes in which the channels come first."""
        axes = list(range(rank))
        if self.grouped:
            return (*axes[:-2], *(axes[-2:] if self.axis == -2 else axes[:-3:-1]))
        return (axes.pop(self.axis), *axes)


def rows_by(trace: Trace, op: Op, x: Value, weight: Array, axis: int) -> Value:
    """Multiply the features along an axis of ``x`` by ``weight``, ``(..., outputs, features)``."""
    lead, size = x.shape[:-2], x.shape[-3 - axis]
    if x.shape[axis] != weight.shape[-1]:
        raise ModelError(f"must multiply rows of {weight.shape[-1]} values, not {x.shape[axis]}")
    kernels = _kernels(trace, weight, lead)
    groups, outputs, inputs = kernels.shape
    rows = _Rows(axis, lead, outputs, groups > 1)
    order, places = rows.order(len(x.shape)), math.prod(lead) // groups
    made = (*lead, outputs, size) if rows.grouped else (outputs, *lead, size)
    kernels = kernels.reshape(groups * outputs, inputs, 1, 1)
    layer = Conv2D(kernels, np.zeros(len(kernels), np.float32), Window((1, 1)), groups)
    x = transposed(trace, op, x, order, ".turned")
    x = relabelled(trace, op, x, (groups * inputs, places, size), ".maps")
    done = weighted(trace, op, x, layer)
    y = relabelled(trace, op, done, made, ".rows")
    y = transposed(trace, op, y, tuple(np.argsort(order).tolist()), ".back")
    return trace.at_home(y, done, rows.channels_first)


def _kernels(trace: Trace, weight: Array, lead: Shape) -> Array:
    """Return matrices ``(groups, outputs, features)``: one for all leading places, or one each."""
    *axes, outputs, inputs = weight.shape
    if not axes:
        return weight[None]
    trace.spend(math.prod(lead) * outputs * inputs)
    matrices = np.broadcast_to(weight, (*lead, outputs, inputs))
    return matrices.reshape(-1, outputs, inputs)


HANDLERS: Mapping[str, Handler] = {"MatMul": _matmul, "Gemm": _gemm}
