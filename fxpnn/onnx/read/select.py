"""Read the operators that take a part of a tensor along an axis: Slice, Split and Gather."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Slice
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import MAX_RANK
from fxpnn.onnx.read.axes import along, inside
from fxpnn.onnx.read.relabel import moved, reshaped, taken
from fxpnn.onnx.read.trace import Handler, Result, Trace, Value

ENDLESS = 2**31 - 1
"""An end from which on no axis goes further; exporters write it, or 2**63 - 1, for the last."""


def _part(trace: Trace, op: Op, x: Value, axis: int, places: range, part: str = "") -> Value:
    """Emit what keeps ``places`` of an image's axis."""
    if places == range(x.shape[axis]):
        return x
    if not places:
        raise ModelError(f"must keep one or more of the {x.shape[axis]} along axis {axis + 1}")
    if places.step < 0:
        return taken(trace, op, x, axis, np.array(places), part)
    layer = Slice(axis, places.start, places[-1] + 1, places.step)
    where = layer.places(len(x.shape))
    return moved(trace, op, x, layer, lambda array: array[where], part)


def _axis(trace: Trace, x: Value, axis: int) -> tuple[Value, int]:
    """Return the image's axis that one of the model is, and the value that has it."""
    x, (place,) = along(trace, x, (inside(axis, x.rank),), "must not take images apart")
    return x, place


def _slice(trace: Trace, op: Op) -> Value:
    x = trace.rows(trace.pending(op, any_axis=True))
    starts, ends = (trace.integers(op, i, name) for i, name in ((1, "starts"), (2, "ends")))
    axes = trace.integers(op, 3, "axes", range(len(starts)))
    steps = trace.integers(op, 4, "steps") or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) <= MAX_RANK:
        raise ModelError("starts, ends, axes and steps must be as many")
    if 0 in steps:
        raise ModelError(f"steps must not be 0, not {steps}")
    full = x.full(trace.batch)
    cuts = list(zip(axes, starts, ends, steps, strict=True))
    for i, (axis, start, end, step) in enumerate(cuts):
        count = full[inside(axis, x.rank)]
        if (start, step) == (0, 1) and (end >= ENDLESS or end == count):
            continue  # all, and maybe all images
        x, place = _axis(trace, x, axis)
        places = range(*slice(start, end, step).indices(x.shape[place]))
        last = i == len(cuts) - 1
        x = _part(trace, op, x, place, places, "" if last else f".axis{place + 1}")
    return x


def _split(trace: Trace, op: Op) -> tuple[Result | None, ...]:
    whole = trace.operand(op, 0, any_axis=True)
    if not isinstance(whole, Value):
        return _split_constant(trace, op, whole)
    x, axis = _axis(trace, trace.rows(whole), op.get("axis", 0))
    parts, start = [], 0
    for i, (name, length) in enumerate(
        zip(op.outputs, _lengths(trace, op, x.shape[axis]), strict=True)
    ):
        places = range(start, start + length)
        read = trace.reads(name)
        parts.append(_part(trace, op, x, axis, places, f".{i}") if read else None)
        start += length
    return tuple(parts)


def _split_constant(trace: Trace, op: Op, array: Array) -> tuple[Array, ...]:
    axis = op.get("axis", 0)
    if not -array.ndim <= axis < array.ndim:
        raise ModelError(f"axis must be inside the {array.ndim} axes, not {axis}")
    ends = np.cumsum(_lengths(trace, op, array.shape[axis]))
    return tuple(np.split(array, ends[:-1], axis))


def _lengths(trace: Trace, op: Op, size: int) -> list[int]:
    """Return how long each part is."""
    count = len(op.outputs)
    lengths = [int(n) for n in trace.constant(op, 1).flat] if op.has(1) else op.get("split")
    if not lengths:
        if size % count and op.opset < 18:
            raise ModelError(f"must split {size} into {count} parts of one size")
        each = math.ceil(size / count)
        lengths = [min(each, size - i * each) for i in range(count)]
    if len(lengths) != count or sum(lengths) != size or min(lengths) < 1:
        raise ModelError(f"must split {size} into {count} parts of 1 or more")
    return list(lengths)


def _gather(trace: Trace, op: Op) -> Value:
    x = trace.rows(trace.pending(op, any_axis=True))
    axis, index = inside(op.get("axis", 0), x.rank), trace.constant(op, 1)
    full = x.full(trace.batch)
    x, place = _axis(trace, x, axis)
    if index.ndim == 1:
        return _gathered(trace, op, x, place, index)
    y = _gathered(trace, op, x, place, index, ".part")
    made = (*full[:axis], *index.shape, *full[axis + 1 :])
    behind = x.axis + (index.ndim - 1) * (axis < x.axis)
    return reshaped(trace, op, y, made, None if axis == x.axis else (behind, x.outer))


def _extract(trace: Trace, op: Op) -> Value:
    """Take features of vectors, as scikit-learn's column transformers do."""
    x = trace.pending(op)
    if len(x.shape) != 1:
        raise ModelError(f"must read a vector of features, not {x.shape}")
    return _gathered(trace, op, x, 0, trace.constant(op, 1))


def _gathered(trace: Trace, op: Op, x: Value, axis: int, index: Array, part: str = "") -> Value:
    """Keep the places of an image's axis that an index names, in its order."""
    size = x.shape[axis]
    if index.dtype.kind not in "iu" or not index.size:
        raise ModelError(f"its index must be integers, not {index.size} {index.dtype}")
    trace.spend(index.size)
    if index.min() < -size or index.max() >= size:
        raise ModelError(f"its index must be inside the {size} along axis {axis + 1}")
    places = index.reshape(-1).astype(np.int64) % size
    if (run := _run(places.tolist())) is not None:
        return _part(trace, op, x, axis, run, part)
    return taken(trace, op, x, axis, places, part)


def _run(places: Sequence[int]) -> range | None:
    """Return places that rise in even steps as a range, others as ``None``."""
    if len(places) == 1:
        return range(places[0], places[0] + 1)
    step = places[1] - places[0]
    if step < 1:
        return None
    run = range(places[0], places[-1] + 1, step)
    return run if list(run) == places else None


HANDLERS: Mapping[str, Handler] = {
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "ai.onnx.ml.ArrayFeatureExtractor": _extract,
}
