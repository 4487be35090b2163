"""Read layer normalisation, along the last axes."""

import math
from collections.abc import Mapping

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, LayerNorm, Reshape, Shape
from fxpnn.network.norms import FEATURES
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.norms import AXES
from fxpnn.onnx.read.linear import floats_of
from fxpnn.onnx.read.trace import Handler, Trace, Value


def _layer_norm(trace: Trace, op: Op) -> Value:
    """Normalise vectors; where several axes are normalised, these are relabelled as one."""
    x = trace.rows(trace.value(op))
    along = x.shape[_first(op, 1 + len(x.shape)) - 1 :]
    size = math.prod(along)
    if size > FEATURES:
        raise ModelError(f"must normalise at most {FEATURES} values at a time, not {size}")
    gamma, beta = (_feature(trace, op, i, along, one) for i, one in ((1, 1.0), (2, 0.0)))
    layer = LayerNorm(gamma, beta, float(op.get("epsilon", 1e-5)))
    if len(along) == 1:
        return trace.emit(op, layer, x)
    flat = trace.emit(op, Reshape((*x.shape[: -len(along)], size)), x, part=".vectors")
    return trace.emit(op, Reshape(x.shape), trace.emit(op, layer, flat), part=".shape")


def _first(op: Op, rank: int) -> int:
    """Return the first of the axes, counted with the images'; all that follow are normalised."""
    axes = op.get(AXES, (op.get("axis", -1),))
    if not all(-rank <= axis < rank for axis in axes):
        raise ModelError(f"axes must be inside the {rank} axes, not {[*axes]}")
    counted: list[int] = sorted(axis % rank for axis in axes)
    if counted[0] == 0:
        raise ModelError("must not normalise over the images")
    if AXES in op.attributes and counted != [*range(counted[0], rank)]:
        raise ModelError(f"must normalise the last of {rank} axes, not {[*axes]}")
    return counted[0]


def _feature(trace: Trace, op: Op, index: int, along: Shape, default: float) -> Array:
    """Return a constant as one value for each place of a vector."""
    if not op.has(index):
        return np.full(math.prod(along), default, np.float32)
    array = floats_of(trace.constant(op, index))
    lead = array.ndim - len(along)
    sizes = (1,) * -lead + array.shape
    if any(n != 1 for n in sizes[: max(lead, 0)]) or any(
        n not in (1, m) for n, m in zip(sizes[max(lead, 0) :], along, strict=True)
    ):
        raise ModelError(
            f"its constant must fit the {along} that are normalised, not {array.shape}"
        )
    return np.broadcast_to(array.reshape(sizes[max(lead, 0) :]), along).reshape(-1)


HANDLERS: Mapping[str, Handler] = {"LayerNormalization": _layer_norm}
