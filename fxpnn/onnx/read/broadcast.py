"""Bring operands to one shape: what has size 1 along an axis is repeated, as ONNX broadcasts."""

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Shape
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.axes import together
from fxpnn.onnx.read.relabel import taken
from fxpnn.onnx.read.trace import Trace
from fxpnn.onnx.read.value import Value, image_array


def common(trace: Trace, op: Op, *values: Value) -> list[Value]:
    """Return tensors in the one shape that all have, or that their axes of size 1 are repeated to.

    Their images lie alike then.
    """
    values = tuple(together(trace, values))
    shapes = [value.shape for value in values]
    if len({*shapes}) == 1:
        return [*values]
    try:
        if len({len(shape) for shape in shapes}) > 1:
            raise ValueError  # trailing axes would meet, and images another axis
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        told = " and ".join(trace.spelled(value.full(trace.batch)) for value in values)
        raise ModelError(f"must read tensors of one shape, or 1 along axes, not {told}") from None
    return [_repeated(trace, op, value, shape) for value in values]


def fitted(trace: Trace, op: Op, x: Value, array: Array) -> tuple[Value, Array]:
    """Return a tensor in the shape that it has beside a constant, and what each image meets of it.

    That is float64 and broadcasts to the tensor.
    """
    full = (1,) * (x.rank - array.ndim) + array.shape
    if len(full) == x.rank and 1 in x.shape and not x.outer:
        pairs = zip(x.shape, (*full[: x.axis], *full[x.axis + 1 :]), strict=True)
        x = _repeated(trace, op, x, tuple(n if m == 1 else m for m, n in pairs))
    return x, image_array(array, x, trace.batch)


def _repeated(trace: Trace, op: Op, x: Value, shape: Shape) -> Value:
    """Repeat the one value along axes of size 1, the last axis first: lines are moved as one."""
    if x.shape == shape:
        return x
    x = trace.rows(x)
    for axis in range(len(shape) - 1, -1, -1):
        size = shape[axis]
        if size != x.shape[axis]:
            trace.spend(size)
            x = taken(trace, op, x, axis, np.zeros(size, np.int64), f".axis{axis + 1}")
    return x
