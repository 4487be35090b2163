"""Read the operators that move or join values without computing, and those that do nothing."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import (
    Array,
    Concat,
    Flatten,
    Layer,
    Pad,
    Reshape,
    Shape,
    Take,
    Transpose,
)
from fxpnn.onnx.graph.fold import section, sizes
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import FLOATS, MAX_RANK
from fxpnn.onnx.read.trace import Handler, Trace, Value

MIRRORED: Mapping[str, Literal["edge", "reflect", "wrap"]] = {
    "edge": "edge",
    "reflect": "reflect",
    "wrap": "wrap",
}
"""The modes of padding that repeat values, and NumPy's names for them."""


def moved(
    trace: Trace,
    op: Op,
    x: Value,
    layer: Layer,
    move: Callable[[Array], Array],
    part: str = "",
) -> Value:
    """Emit a layer that moves ``x``; ``move`` does the same to what is left to fold of it."""
    return carried(trace, x, trace.emit(op, layer, x, part=part), move)


def carried(trace: Trace, x: Value, y: Value, move: Callable[[Array], Array]) -> Value:
    """Return ``y``, which layers made of ``x`` by moving its values, with what is left to fold."""
    y = replace(y, shape=y.held, maps=False)
    if x.affine is None:
        return y
    if x.affine.uniform:
        shape = (1,) * len(y.shape)
        gain, offset = x.affine.gain.reshape(shape), x.affine.offset.reshape(shape)
    else:
        trace.spend(2 * math.prod(x.shape))
        gain, offset = (
            move(np.broadcast_to(array, x.shape)) for array in (x.affine.gain, x.affine.offset)
        )
    return replace(y, affine=replace(x.affine, gain=gain, offset=offset))


def taken(trace: Trace, op: Op, x: Value, axis: int, places: Array, part: str = "") -> Value:
    """Put places of an axis of the model side by side, some maybe several times.

    Who asks has spent as many values as there are places, before they were made.
    """
    if np.array_equal(places, np.arange(x.shape[axis - 1])):
        return x
    layer = Take(axis - 1, tuple(places.tolist()))
    return moved(trace, op, x, layer, lambda array: array.take(places, axis - 1), part)


def taken_along(trace: Trace, op: Op, x: Value, along: Mapping[int, Array]) -> Value:
    """Put places of several axes side by side, one axis behind the other.

    Axes that shrink go first. Of those that grow the last does: lines are repeated at the speed of
    memory, pixels one by one, and there are fewer while the lines are yet to be repeated.
    """
    changed = [
        axis
        for axis, places in along.items()
        if not np.array_equal(places, np.arange(x.shape[axis - 1]))
    ]
    grow = {axis for axis in changed if len(along[axis]) > x.shape[axis - 1]}
    changed = [axis for axis in changed if axis not in grow] + sorted(grow, reverse=True)
    for axis in changed:
        x = taken(trace, op, x, axis, along[axis], "" if axis == changed[-1] else f".axis{axis}")
    return x


def reshaped(trace: Trace, op: Op, x: Value, full: Shape) -> Value:
    """Emit a reshape to ``full``, which has the batch as its first axis."""
    if full[:1] != (trace.batch,):
        raise ModelError(f"must keep the {trace.batch} images apart, not give {full}")
    target = full[1:]
    if not target and trace.ends(op):
        target = (1,)  # one number for each image; nothing behind it counts axes
    if not target:
        raise ModelError("must leave an axis beside the images'")
    return moved(trace, op, x, Reshape(target), lambda array: array.reshape(target))


def _reshape(trace: Trace, op: Op) -> Value:
    x = trace.pending(op)
    full = x.shape if x.merged else (trace.batch, *x.shape)
    wanted = sizes(trace.constant(op, 1))
    if not op.flag("allowzero"):
        if any(size == 0 and axis >= len(full) for axis, size in enumerate(wanted)):
            raise ModelError(f"shape must copy axes that are there, not {wanted}")
        wanted = [size or full[axis] for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = math.prod(full) // rest if rest else 0
    target = tuple(wanted)
    if target and target[0] != 1 and trace.may_merge(op):
        y = trace.rows(x)
        if target != y.shape:
            y = moved(trace, op, x, Reshape(target), lambda array: array.reshape(target))
        return replace(y, merged=True)
    return reshaped(trace, op, x, target)


def _flatten(trace: Trace, op: Op) -> Value:
    x = trace.pending(op)
    full = (trace.batch, *x.shape)
    axis = op.get("axis", 1)
    if not -len(full) <= axis <= len(full):
        raise ModelError(f"axis must be inside the {len(full)} axes, not {axis}")
    axis = axis + len(full) if axis < 0 else axis
    if axis == 1:
        return moved(trace, op, x, Flatten(), lambda array: array.reshape(-1))
    return reshaped(trace, op, x, (math.prod(full[:axis]), math.prod(full[axis:])))


def _transpose(trace: Trace, op: Op) -> Value:
    x = trace.rows(trace.pending(op, any_axis=True))
    rank = len(x.shape) + (not x.merged)
    order = tuple(op.get("perm", range(rank)[::-1]))
    if x.merged and order[:1] == (0,) and trace.may_merge(op):
        y = moved(trace, op, x, Transpose(order), lambda array: array.transpose(order))
        return replace(y, merged=True)
    if x.merged:
        raise ModelError(
            f"must keep the images as the first axis, not reorder to {order}: each is computed for "
            "itself"
        )
    if sorted(order) != list(range(rank)):
        raise ModelError(f"perm must be an order of the {rank} axes, not {order}")
    kept = tuple(axis - (axis > x.axis) for axis in order if axis != x.axis)
    axis = order.index(x.axis)
    if axis == x.axis or kept != tuple(range(rank - 1)):
        layer = Transpose(kept)
        x = moved(trace, op, x, layer, lambda array: array.transpose(layer.order))
    return replace(x, axis=axis)


def _squeeze(trace: Trace, op: Op) -> Value:
    x = trace.pending(op)
    full = (trace.batch, *x.shape)
    default = [axis for axis, size in enumerate(full) if axis and size == 1]
    axes = _axes(trace.integers(op, 1, "axes") or default, len(full))
    if any(full[axis] != 1 for axis in axes):
        raise ModelError(f"axes must have size 1, not be {axes} of {full}")
    return reshaped(trace, op, x, tuple(s for axis, s in enumerate(full) if axis not in axes))


def _unsqueeze(trace: Trace, op: Op) -> Value:
    x = trace.pending(op)
    full = [trace.batch, *x.shape]
    wanted = trace.integers(op, 1, "axes")
    for axis in sorted(_axes(wanted, len(full) + len(wanted))):
        full.insert(axis, 1)
    return reshaped(trace, op, x, tuple(full))


def _shape(trace: Trace, op: Op) -> Array:
    return section(op, (trace.batch, *trace.pending(op).shape))


def _axes(values: Sequence[int], rank: int) -> list[int]:
    """Return axes counted from 0; the images' own must not be among them."""
    if len(values) > MAX_RANK:
        raise ModelError(f"axes must be at most {MAX_RANK}, not {len(values)}")
    axes = [axis + rank if axis < 0 else axis for axis in values]
    if not all(1 <= axis < rank for axis in axes):
        raise ModelError(f"axes must be 1 to {rank - 1}, not {list(values)}")
    return axes


def _pad(trace: Trace, op: Op) -> Value:
    x = trace.rows(trace.pending(op))
    rank = 1 + len(x.shape)
    mode = op.get("mode", "constant")
    if mode != "constant" and mode not in MIRRORED:
        raise ModelError(f"mode must be constant, {', '.join(MIRRORED)}, not {mode}")
    pads, axes = trace.integers(op, 1, "pads"), trace.integers(op, 3, "axes", range(rank))
    if len(pads) != 2 * len(axes):
        raise ModelError(f"pads must be {2 * len(axes)} counts, not {len(pads)}")
    pairs = dict.fromkeys(range(rank), (0, 0))
    if not all(-rank <= axis < rank for axis in axes):
        raise ModelError(f"axes must be inside the {rank} axes, not {axes}")
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        pairs[axis % rank] = (before, after)
    if pairs.pop(0) != (0, 0):
        raise ModelError("pads must not add images")
    if mode != "constant":
        trace.spend(sum(size + sum(map(abs, pairs[axis])) for axis, size in enumerate(x.shape, 1)))
        return taken_along(trace, op, x, _mirrored(x.shape, pairs, mode))
    x = trace.settle(x)
    return trace.emit(op, Pad(tuple(pairs.values()), trace.number(op, 2, "value")), x)


def _mirrored(shape: Shape, pairs: Mapping[int, tuple[int, int]], mode: str) -> dict[int, Array]:
    """Return the places of padded axes, where an edge goes on as the mode says."""
    found = {}
    for axis, size in enumerate(shape, 1):
        before, after = pairs[axis]
        if min(before, after) < 0 or (mode == "reflect" and max(before, after) >= size):
            raise ModelError(f"pads must be 0 to {size - 1} for {size} places, not {pairs[axis]}")
        found[axis] = np.pad(np.arange(size), (before, after), mode=MIRRORED[mode])
    return found


def _concat(trace: Trace, op: Op) -> Value:
    values = [trace.rows(trace.value(op, i)) for i in range(len(op.inputs))]
    axis = op.get("axis", 0)
    rank = 1 + len(values[0].shape)
    if axis % rank == 0:
        raise ModelError("must join along another axis than the images'")
    if len(values) == 1:
        return values[0]
    return trace.emit(op, Concat(axis - 1 if axis > 0 else axis), *values)


def _identity(trace: Trace, op: Op) -> Value:
    return trace.pending(op)


def _dropout(trace: Trace, op: Op) -> Value:
    if op.has(2) and trace.constant(op, 2).any():
        raise ModelError("training_mode must be false")
    return trace.pending(op)


def _cast(trace: Trace, op: Op) -> Value:
    if op.get("to") not in FLOATS:
        raise ModelError("must cast to a float type")
    return trace.pending(op)


HANDLERS: Mapping[str, Handler] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Shape": _shape,
    "Pad": _pad,
    "Concat": _concat,
    "Identity": _identity,
    "Dropout": _dropout,
    "ai.onnx.ml.ZipMap": _identity,
    "Cast": _cast,
}
