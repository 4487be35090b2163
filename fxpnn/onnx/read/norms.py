"""Read normalisation of layers along the last axes, and of instances and groups of channels."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Concat, LayerNorm, Reshape, Shape, Slice
from fxpnn.network.norms import FEATURES
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.norms import AXES, SUMMED
from fxpnn.onnx.read.axes import along
from fxpnn.onnx.read.linear import floats_of
from fxpnn.onnx.read.relabel import turned
from fxpnn.onnx.read.trace import Handler, Trace
from fxpnn.onnx.read.value import Value, image_array

Norm: TypeAlias = Callable[[Trace, Op, Value], Value]


def _on_last_axes(norm: Norm) -> Handler:
    """Let a norm of the last axes be one of any: they go there, and back.

    So do those whose constants differ along other axes than the norm's, which go behind it.
    """

    def handler(trace: Trace, op: Op) -> Value:
        x = trace.rows(trace.value(op, any_axis=True))
        axes = _axes(op, x.rank)
        order = (*(axis for axis in range(x.rank) if axis not in axes), *axes)
        constants = {i: floats_of(trace.constant(op, i)) for i in (1, 2) if op.has(i)}
        own = all(_only_along(array, axes, x.rank) for array in constants.values())
        if own and order == tuple(range(x.rank)):
            return norm(trace, op, x)
        last = {AXES: tuple(range(x.rank - len(axes), x.rank))}
        bare = replace(op, inputs=op.inputs[:1], attributes={**op.attributes, **last})
        y = norm(trace, bare, turned(trace, op, x, order, ".turned"))
        y = turned(trace, op, y, tuple(np.argsort(order).tolist()), ".back")
        one = np.ones((1,) * len(y.shape))
        gain, offset = (
            image_array(constants[i], y, trace.batch) if i in constants else default * one
            for i, default in ((1, 1.0), (2, 0.0))
        )
        return trace.transform(op, y, gain, offset)

    return handler


def _only_along(array: Array, axes: Sequence[int], rank: int) -> bool:
    """Tell whether a constant that broadcasts to so many axes differs along these alone."""
    behind = rank - array.ndim
    return all(size == 1 or place + behind in axes for place, size in enumerate(array.shape))


def _layer_norm(trace: Trace, op: Op, x: Value) -> Value:
    """Normalise vectors; where several axes are normalised, these are relabelled as one."""
    x, places = along(trace, x, _axes(op, x.rank), "must not normalise over the images")
    sizes, lead = x.shape[places[0] :], x.shape[: places[0]]
    size = math.prod(sizes)
    if size > FEATURES:
        raise ModelError(f"must normalise at most {FEATURES} values at a time, not {size}")
    gamma, beta = (_feature(trace, op, i, sizes, one) for i, one in ((1, 1.0), (2, 0.0)))
    return _normalised(trace, op, x, lead, gamma, beta)


def _normalised(trace: Trace, op: Op, x: Value, lead: Shape, gamma: Array, beta: Array) -> Value:
    """Normalise as many vectors as ``lead`` says, relabelled where they lie along several axes."""
    layer = LayerNorm(gamma, beta, float(op.get("epsilon", 1e-5)))
    vectors = (*lead, gamma.size)
    if vectors == x.shape:
        return trace.emit(op, layer, x)
    flat = trace.emit(op, Reshape(vectors), x, part=".vectors")
    return trace.emit(op, Reshape(x.shape), trace.emit(op, layer, flat), part=".shape")


def _rms_norm(trace: Trace, op: Op, x: Value) -> Value:
    """Normalise each vector beside its negative: their mean is 0, their variance that of squares.

    Of what comes out, the half that is the vector's is kept.
    """
    x, (first, *more) = along(trace, x, _axes(op, x.rank), "must not normalise over the images")
    if more:
        raise ModelError(f"must normalise one axis alone, not {1 + len(more)}")
    size = x.shape[first]
    if 2 * size > FEATURES:
        raise ModelError(f"must normalise at most {FEATURES // 2} values at a time, not {size}")
    gamma = _feature(trace, op, 1, (size,), 1.0)
    if op.get(SUMMED):
        op = replace(op, attributes={"epsilon": op.get("epsilon") / size})
        gamma = gamma / np.float32(math.sqrt(size))
    one = np.ones((1,) * len(x.shape))
    minus = trace.settle(trace.transform(op, replace(x, shared=True), -one, 0 * one))
    both = trace.emit(op, Concat(-1), x, minus, part=".both")
    y = _normalised(trace, op, both, x.shape[:-1], np.tile(gamma, 2), 0 * np.tile(gamma, 2))
    return trace.emit(op, Slice(len(x.shape) - 1, 0, size), y, part=".half")


def _instance_norm(trace: Trace, op: Op) -> Value:
    return _by_groups(trace, op, trace.pending(op).shape[0])


def _group_norm(trace: Trace, op: Op) -> Value:
    return _by_groups(trace, op, op.get("num_groups", 0))


def _by_groups(trace: Trace, op: Op, groups: int) -> Value:
    """Normalise groups of channels; the layer behind takes in each channel's scale, if it can."""
    x = trace.rows(trace.value(op))
    channels, places = x.shape[0], len(x.shape) - 1
    if not places or groups < 1 or channels % groups:
        raise ModelError(
            f"its groups must share the channels of maps, not be {groups} of {x.shape}"
        )
    size = math.prod(x.shape) // groups
    if size > FEATURES:
        raise ModelError(f"must normalise at most {FEATURES} values at a time, not {size}")
    each = groups if op.kind == "GroupNormalization" and op.opset < 21 else channels
    gain, offset = (floats_of(trace.constant(op, i)) for i in (1, 2))
    if {gain.shape, offset.shape} != {(each,)}:
        raise ModelError(
            f"its scale and bias must be ({each}), not {gain.shape} and {offset.shape}"
        )
    trace.spend(2 * (size + channels))
    ones, zeros = np.ones(size, np.float32), np.zeros(size, np.float32)
    y = _normalised(trace, op, x, (groups,), ones, zeros)
    gain, offset = (
        np.repeat(array, channels // each).reshape(-1, *(1,) * places).astype(np.float64)
        for array in (gain, offset)
    )
    return trace.transform(op, y, gain, offset)


def _axes(op: Op, rank: int) -> tuple[int, ...]:
    """Return the axes that are normalised, counted with the images'; ONNX's own are the last."""
    axes = op.get(AXES, (op.get("axis", -1),))
    if not all(-rank <= axis < rank for axis in axes):
        raise ModelError(f"axes must be inside the {rank} axes, not {[*axes]}")
    counted = sorted(axis % rank for axis in axes)
    return tuple(counted) if AXES in op.attributes else tuple(range(counted[0], rank))


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


HANDLERS: Mapping[str, Handler] = {
    "LayerNormalization": _on_last_axes(_layer_norm),
    "RMSNormalization": _on_last_axes(_rms_norm),
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
}
