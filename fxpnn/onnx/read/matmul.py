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
    Reshape,
    Shape,
    Transpose,
    Window,
)
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.linear import floats_of, weighted
from fxpnn.onnx.read.relabel import moved
from fxpnn.onnx.read.trace import Handler, Trace, Value


def _gemm(trace: Trace, op: Op) -> Value:
    x, weight = trace.pending(op, 0, any_axis=True), floats_of(trace.constant(op, 1))
    if op.flag("transA") != x.axis:
        raise ModelError("transA must make the images the rows of A")
    if weight.ndim != 2:
        raise ModelError(f"B must be a matrix, not {weight.shape}")
    weight = _scaled(weight if op.flag("transB") else weight.T, op.get("alpha", 1.0))
    bias = np.zeros(len(weight), np.float32)
    if op.has(2):
        bias = _scaled(_bias(floats_of(trace.constant(op, 2)), len(weight)), op.get("beta", 1.0))
    if len(x.shape) == 1:
        return weighted(trace, op, x, Dense(weight, bias))
    y, offset = _rows(trace, op, trace.rows(x), weight, -1), bias.astype(np.float64)
    return trace.transform(op, y, np.ones_like(offset), offset)


def _bias(array: Array, size: int) -> Array:
    """Return what Gemm's C, ``(1 or none, 1 or size)``, adds to each image."""
    full = (1,) * (2 - array.ndim) + array.shape
    if len(full) != 2 or full[0] != 1 or full[1] not in (1, size):
        raise ModelError(f"C must be one row of {size} values, not {array.shape}")
    return np.broadcast_to(array.reshape(-1), (size,))


def _scaled(array: Array, factor: float) -> Array:
    return array if factor == 1 else narrow(array * np.float64(factor))


def _matmul(trace: Trace, op: Op) -> Value:
    a, b = trace.operand(op, 0), trace.operand(op, 1)
    if isinstance(a, Value) and isinstance(b, Value):
        return _product(trace, op, a, b)
    if isinstance(a, Value):
        x, weight = trace.rows(a), floats_of(trace.constant(op, 1))
        if len(x.shape) == 1 or weight.ndim < 2:
            if weight.ndim != 2:
                raise ModelError(f"B must be a matrix, not {weight.shape}")
            return weighted(trace, op, x, Dense(weight.T, np.zeros(weight.shape[1], np.float32)))
        return _rows(trace, op, x, weight.swapaxes(-1, -2), -1)
    x, weight = trace.rows(trace.pending(op, 1)), floats_of(trace.constant(op, 0))
    if len(x.shape) < 2 or weight.ndim < 2:
        full = (trace.batch, *x.shape)
        raise ModelError(f"must multiply a matrix by matrices, not {weight.shape} by {full}")
    return _rows(trace, op, x, weight, -2)


def _product(trace: Trace, op: Op, a: Value, b: Value) -> Value:
    """Multiply what two tensors hold of each image; one scale of either goes behind the product."""
    one, other = trace.rows(a), trace.rows(b)
    if len(one.shape) != len(other.shape) or len(one.shape) < 2:
        a_shape, b_shape = ((trace.batch, *x.shape) for x in (one, other))
        raise ModelError(
            f"must multiply each image's matrices by its own, not {a_shape} by {b_shape}"
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

    ``grouped`` says that the leading axes are groups of channels, each with its own matrix; else
    they are places.
    """

    axis: int
    lead: Shape
    grouped: bool

    def channels_first(self, array: Array) -> Array:
        """Lay what broadcasts to the rows out as channels and places."""
        if not self.grouped:
            return np.moveaxis(array, self.axis, 0)
        turned = array if self.axis == -2 else array.swapaxes(-1, -2)
        full = np.broadcast_to(turned, (*self.lead, *turned.shape[-2:]))
        return full.reshape(-1, full.shape[-1])

    def order(self, rank: int) -> tuple[int, ...]:
        """Return the order of axes in which the channels come first."""
        axes = list(range(rank))
        if self.grouped:
            return (*axes[:-2], *(axes[-2:] if self.axis == -2 else axes[:-3:-1]))
        return (axes.pop(self.axis), *axes)


def _rows(trace: Trace, op: Op, x: Value, weight: Array, axis: int) -> Value:
    """Multiply the features along an axis of ``x`` by ``weight``, ``(..., outputs, features)``."""
    lead, size = x.shape[:-2], x.shape[-3 - axis]
    if x.shape[axis] != weight.shape[-1]:
        raise ModelError(f"must multiply rows of {weight.shape[-1]} values, not {x.shape[axis]}")
    kernels = _kernels(trace, weight, lead)
    rows = _Rows(axis, lead, len(kernels) > 1)
    groups, outputs, inputs = kernels.shape
    order, places = rows.order(len(x.shape)), math.prod(lead) // groups
    made = (*lead, outputs, size) if rows.grouped else (outputs, *lead, size)
    kernels = kernels.reshape(groups * outputs, inputs, 1, 1)
    layer = Conv2D(kernels, np.zeros(len(kernels), np.float32), Window((1, 1)), groups)
    x = _transposed(trace, op, x, order, ".turned")
    x = _reshaped(trace, op, x, (groups * inputs, places, size), ".maps")
    done = weighted(trace, op, x, layer)
    y = _reshaped(trace, op, done, made, ".rows")
    y = _transposed(trace, op, y, tuple(np.argsort(order).tolist()), ".back")
    return trace.at_home(y, done, rows.channels_first)


def _kernels(trace: Trace, weight: Array, lead: Shape) -> Array:
    """Return matrices ``(groups, outputs, features)``: one for all leading places, or one each."""
    *axes, outputs, inputs = weight.shape
    if math.prod(axes) == 1:
        return weight.reshape(1, outputs, inputs)
    full = (*[1] * (1 + len(lead) - len(axes)), *axes)
    if len(full) != 1 + len(lead) or any(
        a not in (1, b) for a, b in zip(full, (1, *lead), strict=True)
    ):
        raise ModelError(
            f"its constant must have one matrix for all images, or one for each of {lead}, "
            f"not {tuple(axes)}"
        )
    trace.spend(math.prod(lead) * outputs * inputs)
    matrices = np.broadcast_to(weight.reshape(*full[1:], outputs, inputs), (*lead, outputs, inputs))
    return matrices.reshape(-1, outputs, inputs)


def _transposed(trace: Trace, op: Op, x: Value, order: Shape, part: str) -> Value:
    if order == tuple(range(len(order))):
        return x
    return moved(trace, op, x, Transpose(order), lambda array: array.transpose(order), part)


def _reshaped(trace: Trace, op: Op, x: Value, shape: Shape, part: str) -> Value:
    if x.shape == shape:
        return x
    return moved(trace, op, x, Reshape(shape), lambda array: array.reshape(shape), part)


HANDLERS: Mapping[str, Handler] = {"Gemm": _gemm, "MatMul": _matmul}
