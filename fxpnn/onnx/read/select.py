"""Read the operators that take a part of a tensor along an axis: Slice, Split and Gather."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Slice
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import MAX_RANK
from fxpnn.onnx.read.relabel import moved, reshaped, taken
from fxpnn.onnx.read.trace import Handler, Result, Trace, Value

ENDLESS = 2**31 - 1
"""An end from which on no axis goes further; exporters write it, or 2**63 - 1, for the last."""


def _part(trace: Trace, op: Op, x: Value, axis: int, places: range, part: str = "") -> Value:
    """Emit what keeps ``places`` of an axis of the model, whose first is the images."""
    if places == range(x.shape[axis - 1]):
        return x
    if not places:
        raise ModelError(f"must keep one or more of the {x.shape[axis - 1]} along axis {axis}")
    if places.step < 0:
        return taken(trace, op, x, axis, np.array(places), part)
    layer = Slice(axis - 1, places.start, places[-1] + 1, places.step)
    where = layer.places(len(x.shape))
    return moved(trace, op, x, layer, lambda array: array[where], part)


def _axis(value: int, rank: int) -> int:
    """Count an axis from the first one, the images."""
    if not -rank <= value < rank:
        raise ModelError(f"axis must be inside the {rank} axes, not {value}")
    if value % rank == 0:
        raise ModelError("must not take images apart")
    return value % rank


def _slice(trace: Trace, op: Op) -> Value:
    x = trace.rows(trace.pending(op))
    starts, ends = (trace.integers(op, i, name) for i, name in ((1, "starts"), (2, "ends")))
    axes = trace.integers(op, 3, "axes", range(len(starts)))
    steps = trace.integers(op, 4, "steps") or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) <= MAX_RANK:
        raise ModelError("starts, ends, axes and steps must be as many")
    if 0 in steps:
        raise ModelError(f"steps must not be 0, not {steps}")
    rank = 1 + len(x.shape)
    cuts = list(zip(axes, starts, ends, steps, strict=True))
    for i, (axis, start, end, step) in enumerate(cuts):
        if axis % rank == 0 and (start, step) == (0, 1) and end >= ENDLESS:
            continue  # all images
        axis = _axis(axis, rank)
        places = range(*slice(start, end, step).indices(x.shape[axis - 1]))
        last = i == len(cuts) - 1
        x = _part(trace, op, x, axis, places, "" if last else f".axis{axis}")
    return x


def _split(trace: Trace, op: Op) -> tuple[Result | None, ...]:
    whole = trace.operand(op, 0)
    if not isinstance(whole, Value):
        return _split_constant(trace, op, whole)
    x = trace.rows(whole)
    axis = _axis(op.get("axis", 0), 1 + len(x.shape))
    parts, start = [], 0
    lengths = _lengths(trace, op, x.shape[axis - 1])
    for i, (name, length) in enumerate(zip(op.outputs, lengths, strict=True)):
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
    x = trace.rows(trace.pending(op))
    return _gathered(trace, op, x, _axis(op.get("axis", 0), 1 + len(x.shape)))


def _extract(trace: Trace, op: Op) -> Value:
    """Take features of vectors, as scikit-learn's column transformers do."""
    x = trace.pending(op)
    if len(x.shape) != 1:
        raise ModelError(f"must read a vector of features, not {x.shape}")
    return _gathered(trace, op, x, 1, flat=True)


def _gathered(trace: Trace, op: Op, x: Value, axis: int, *, flat: bool = False) -> Value:
    """Keep the places that an index names, in its order."""
    index, size = trace.constant(op, 1), x.shape[axis - 1]
    if index.dtype.kind not in "iu" or not index.size:
        raise ModelError(f"its index must be integers, not {index.size} {index.dtype}")
    trace.spend(index.size)
    if index.min() < -size or index.max() >= size:
        raise ModelError(f"its index must be inside the {size} along axis {axis}")
    places = index.reshape(-1).astype(np.int64) % size
    moves = not flat and index.ndim != 1
    if (run := _run(places.tolist())) is not None:
        y = _part(trace, op, x, axis, run, ".part" * moves)
    else:
        y = taken(trace, op, x, axis, places, ".part" * moves)
    full = (trace.batch, *x.shape)
    return reshaped(trace, op, y, full[:axis] + index.shape + full[axis + 1 :]) if moves else y


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
