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
from fxpnn.onnx.read.axes import along, inside, landing, of_image, together
from fxpnn.onnx.read.trace import Handler, Result, Trace
from fxpnn.onnx.read.value import Value, of_one

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
    y = replace(y, shape=y.held, maps=False).like(x)
    return replace(y, affine=trace.moved(x, len(y.shape), move))


def transposed(trace: Trace, op: Op, x: Value, order: Shape, part: str) -> Value:
    """Reorder an image's axes, unless they are in this order."""
    if order == tuple(range(len(order))):
        return x
    return moved(trace, op, x, Transpose(order), lambda array: array.transpose(order), part)


def relabelled(trace: Trace, op: Op, x: Value, shape: Shape, part: str) -> Value:
    """Give an image another shape, unless it has it."""
    if x.shape == shape:
        return x
    return moved(trace, op, x, Reshape(shape), lambda array: array.reshape(shape), part)


def taken(trace: Trace, op: Op, x: Value, axis: int, places: Array, part: str = "") -> Value:
    """Put places of an image's axis side by side, some maybe several times.

    Who asks has spent as many values as there are places, before they were made.
    """
    if np.array_equal(places, np.arange(x.shape[axis])):
        return x
    layer = Take(axis, tuple(places.tolist()))
    return moved(trace, op, x, layer, lambda array: array.take(places, axis), part)


def taken_along(trace: Trace, op: Op, x: Value, along: Mapping[int, Array]) -> Value:
    """Put places of several axes side by side, one axis behind the other.

    Axes that shrink go first. Of those that grow the last does: lines are repeated at the speed of
    memory, pixels one by one, and there are fewer while the lines are yet to be repeated.
    """
    changed = [
        axis
        for axis, places in along.items()
        if not np.array_equal(places, np.arange(x.shape[axis]))
    ]
    grow = {axis for axis in changed if len(along[axis]) > x.shape[axis]}
    changed = [axis for axis in changed if axis not in grow] + sorted(grow, reverse=True)
    for axis in changed:
        x = taken(
            trace, op, x, axis, along[axis], "" if axis == changed[-1] else f".axis{axis + 1}"
        )
    return x


def reshaped(
    trace: Trace,
    op: Op,
    x: Value,
    full: Shape,
    place: tuple[int, int] | None = None,
    part: str = "",
) -> Value:
    """Emit a reshape to ``full``, the shape in the model.

    ``place`` is the axis along which the images lie there, and ``outer``; else the sizes tell.
    """
    if not full and trace.batch == 1:
        full = (1,)
    axis, outer = place or landing(trace, x, full)
    target = (*full[:axis], *((full[axis] // trace.batch,) if outer else ()), *full[axis + 1 :])
    if not target and trace.ends(op):
        target = (1,)  # one number for each image; nothing behind it counts axes
    if not target:
        raise ModelError("must leave an axis beside the images'")
    if target == x.shape and (axis, outer) != (x.axis, x.outer):
        return replace(trace.rows(x), axis=axis, outer=outer)
    y = moved(trace, op, x, Reshape(target), lambda array: array.reshape(target), part)
    return replace(y, axis=axis, outer=outer)


def _reshape(trace: Trace, op: Op) -> Value:
    x = trace.pending(op, any_axis=True)
    full, wanted = x.full(trace.batch), sizes(trace.constant(op, 1))
    if not op.flag("allowzero"):
        if any(size == 0 and axis >= len(full) for axis, size in enumerate(wanted)):
            raise ModelError(f"shape must copy axes that are there, not {wanted}")
        wanted = [size or full[axis] for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = math.prod(full) // rest if rest else 0
    return reshaped(trace, op, x, tuple(wanted))


def _flatten(trace: Trace, op: Op) -> Value:
    x = trace.pending(op, any_axis=True)
    full, axis = x.full(trace.batch), op.get("axis", 1)
    if not -len(full) <= axis <= len(full):
        raise ModelError(f"axis must be inside the {len(full)} axes, not {axis}")
    axis = axis + len(full) if axis < 0 else axis
    if axis == 1 and x.ahead:
        return moved(trace, op, x, Flatten(), lambda array: array.reshape(-1))
    return reshaped(trace, op, x, (math.prod(full[:axis]), math.prod(full[axis:])))


def _transpose(trace: Trace, op: Op) -> Value:
    x = trace.pending(op, any_axis=True)
    return permuted(trace, op, x, tuple(op.get("perm", range(x.rank)[::-1])))


def turned(trace: Trace, op: Op, x: Value, order: Shape, part: str) -> Value:
    """Reorder the model's axes of a value, unless they are in this order."""
    return x if order == tuple(range(x.rank)) else permuted(trace, op, x, order, part)


def permuted(trace: Trace, op: Op, x: Value, order: Shape, part: str = "") -> Value:
    """Reorder the model's axes of a value, and with them the images' own."""
    x = trace.rows(x)
    if sorted(order) != list(range(x.rank)):
        raise ModelError(f"perm must be an order of the {x.rank} axes, not {order}")
    kept = tuple(of_image(x, axis) for axis in order if x.outer or axis != x.axis)
    axis = order.index(x.axis)
    if axis == x.axis or kept != tuple(range(len(kept))):
        x = moved(trace, op, x, Transpose(kept), lambda array: array.transpose(kept), part)
    return replace(x, axis=axis)


def _squeeze(trace: Trace, op: Op) -> Value:
    x = trace.pending(op, any_axis=True)
    full = x.full(trace.batch)
    default = [axis for axis, size in enumerate(full) if size == 1]
    axes = _axes(trace.integers(op, 1, "axes") or default, len(full))
    if x.axis in axes:
        x, _ = along(trace, x, axes, "must not take the images' axis away")
    if any(full[axis] != 1 for axis in axes):
        raise ModelError(f"axes must have size 1, not be {axes} of {trace.spelled(full)}")
    left = [axis for axis in range(len(full)) if axis not in axes]
    place = (left.index(x.axis), x.outer) if x.axis in left else None
    return reshaped(trace, op, x, tuple(full[axis] for axis in left), place)


def _unsqueeze(trace: Trace, op: Op) -> Value:
    x = trace.pending(op, any_axis=True)
    full, wanted = list(x.full(trace.batch)), trace.integers(op, 1, "axes")
    rank = len(full) + len(wanted)
    added = _axes(wanted, rank)
    for axis in sorted(added):
        full.insert(axis, 1)
    kept = [axis for axis in range(rank) if axis not in added]
    return reshaped(trace, op, x, tuple(full), (kept[x.axis], x.outer))


def _shape(trace: Trace, op: Op) -> Array:
    return section(op, trace.pending(op, any_axis=True).full(trace.batch))


def _axes(values: Sequence[int], rank: int) -> list[int]:
    """Return axes counted from 0, each once."""
    if len(values) > MAX_RANK:
        raise ModelError(f"axes must be at most {MAX_RANK}, not {len(values)}")
    axes = [inside(axis, rank) for axis in values]
    if len({*axes}) < len(axes):
        raise ModelError(f"axes must each be named once, not {list(values)}")
    return axes


def _pad(trace: Trace, op: Op) -> Value:
    x = trace.rows(trace.pending(op, any_axis=True))
    mode = op.get("mode", "constant")
    if mode != "constant" and mode not in MIRRORED:
        raise ModelError(f"mode must be constant, {', '.join(MIRRORED)}, not {mode}")
    pads, axes = trace.integers(op, 1, "pads"), trace.integers(op, 3, "axes", range(x.rank))
    if len(pads) != 2 * len(axes):
        raise ModelError(f"pads must be {2 * len(axes)} counts, not {len(pads)}")
    ends = zip(_axes(axes, x.rank), pads[: len(axes)], pads[len(axes) :], strict=True)
    given = {axis: (before, after) for axis, before, after in ends if before or after}
    x, places = along(trace, x, tuple(given), "pads must not add images")
    pairs = dict.fromkeys(range(len(x.shape)), (0, 0)) | dict(
        zip(places, given.values(), strict=True)
    )
    if mode != "constant":
        trace.spend(sum(size + sum(map(abs, pairs[axis])) for axis, size in enumerate(x.shape)))
        return taken_along(trace, op, x, _mirrored(x.shape, pairs, mode))
    x = trace.settle(x)
    return trace.emit(op, Pad(tuple(pairs.values()), trace.number(op, 2, "value")), x)


def _mirrored(shape: Shape, pairs: Mapping[int, tuple[int, int]], mode: str) -> dict[int, Array]:
    """Return the places of padded axes, where an edge goes on as the mode says."""
    found = {}
    for axis, size in enumerate(shape):
        before, after = pairs[axis]
        if min(before, after) < 0 or (mode == "reflect" and max(before, after) >= size):
            raise ModelError(f"pads must be 0 to {size - 1} for {size} places, not {pairs[axis]}")
        found[axis] = np.pad(np.arange(size), (before, after), mode=MIRRORED[mode])
    return found


def _concat(trace: Trace, op: Op) -> Value:
    """Join tensors; constants among them are added to zeros that pad the one beside them."""
    given = [trace.operand(op, i, any_axis=True) for i in range(len(op.inputs))]
    values = [trace.rows(part) for part in given if isinstance(part, Value)]
    values = together(trace, [trace.settle(value) for value in values])
    axis, rank = op.get("axis", 0), values[0].rank
    refusal = "must join along another axis than the images'"
    along_it = [along(trace, value, (inside(axis, rank),), refusal) for value in values]
    parts, place = [value for value, _ in along_it], along_it[0][1][0]
    x = parts[0]
    if len(parts) > 1:
        part = ".values" if len(parts) < len(given) else ""
        joined = place - (len(x.shape) if axis < 0 else 0)
        x = trace.emit(op, Concat(joined), *parts, part=part)
    return x if len(parts) == len(given) else _beside(trace, op, x, place, given)


def _beside(trace: Trace, op: Op, x: Value, axis: int, given: Sequence[Result]) -> Value:
    """Put constants before and behind values that stand side by side along an image's axis."""
    kinds = [isinstance(part, Value) for part in given]
    first, last = kinds.index(True), len(kinds) - kinds[::-1].index(True)
    if not all(kinds[first:last]):
        raise ModelError("must have its constants before or behind all others, not between them")
    arrays = [[_of_each(trace, x, part) for part in side] for side in (given[:first], given[last:])]
    for array in (array for side in arrays for array in side):
        if _but(array.shape, axis) != _but(x.shape, axis):
            raise ModelError(
                f"must join constants of the same sizes along all other axes, not {array.shape} to "
                f"{x.shape}"
            )
    counts = [sum(array.shape[axis] for array in side) for side in arrays]
    pads = [(0, 0)] * len(x.shape)
    pads[axis] = (counts[0], counts[1])
    padded = trace.emit(op, Pad(tuple(pads)), x, part=".pad")
    trace.spend(2 * math.prod(padded.shape))
    offset = np.concatenate([*arrays[0], np.zeros(x.shape), *arrays[1]], axis)
    return trace.transform(op, padded, np.ones((1,) * len(x.shape)), offset)


def _but(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _of_each(trace: Trace, x: Value, part: Result) -> Array:
    """Return what a constant beside a value is for each image."""
    array = np.asarray(part)
    if array.ndim != x.rank:
        raise ModelError(f"its constants must have {x.rank} axes, not {array.ndim}")
    return of_one(array, x, trace.batch).astype(np.float64)


def _identity(trace: Trace, op: Op) -> Value:
    return trace.pending(op, any_axis=True)


def _dropout(trace: Trace, op: Op) -> Value:
    if op.has(2) and trace.constant(op, 2).any():
        raise ModelError("training_mode must be false")
    return trace.pending(op, any_axis=True)


def _cast(trace: Trace, op: Op) -> Value:
    if op.get("to") not in FLOATS:
        raise ModelError("must cast to a float type")
    return trace.pending(op, any_axis=True)


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
