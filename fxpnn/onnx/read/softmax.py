"""Read softmax, and the masks that hide places from it: constants added to what it reads."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, MaskedSoftmax, Reshape, Softmax
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.axes import along, inside
from fxpnn.onnx.read.relabel import relabelled
from fxpnn.onnx.read.trace import Handler, Trace
from fxpnn.onnx.read.value import Value

Spans = tuple[tuple[int, int], ...]


def _softmax(trace: Trace, op: Op) -> Value:
    """Emit a softmax; before opset 13 it treats all axes from ``axis`` on as one."""
    x = trace.rows(trace.pending(op, any_axis=True))
    axis = op.get("axis", 1 if op.opset < 13 else -1)
    refusal = f"axis must be one of the {x.rank} axes but the images', not {axis}"
    first = inside(axis, x.rank)
    axes = range(first, x.rank if op.opset < 13 else first + 1)
    x, places = along(trace, x, axes, refusal)
    place, sizes = places[0], [x.shape[place] for place in places]
    if math.prod(sizes[1:]) == 1:
        last = place - len(x.shape) if op.opset >= 13 and axis < 0 else place
        return _of_vectors(trace, op, x, last)
    flat = relabelled(trace, op, x, (*x.shape[:place], math.prod(sizes)), ".flat")
    return trace.emit(op, Reshape(x.shape), _of_vectors(trace, op, flat, -1), part=".shape")


def _of_vectors(trace: Trace, op: Op, x: Value, axis: int) -> Value:
    """Emit a softmax along an axis of each image, of the places that nothing hides."""
    x, spans = _unmasked(trace, x, axis)
    return trace.emit(op, MaskedSoftmax(axis, spans) if spans else Softmax(axis), trace.settle(x))


def _unmasked(trace: Trace, x: Value, axis: int) -> tuple[Value, Spans]:
    """Take a mask out of what is left to fold of a value: the run of places that it shows."""
    if x.affine is None:
        return x, ()
    trace.spend(3 * math.prod(x.shape))
    hidden = x.affine.hidden(x.shape, axis)
    if not hidden.any():
        return x, ()
    spans = _spans(np.moveaxis(~hidden, axis, -1).reshape(-1, x.shape[axis]))
    if spans is None and not x.affine.hides:
        return x, ()  # what is added stays added
    if spans is None:
        raise ModelError("its mask of -inf must leave one run of places of each vector")
    gain, offset = (_shown(array, hidden) for array in (x.affine.gain, x.affine.offset))
    left = replace(x.affine, gain=gain, offset=offset)
    return replace(x, affine=left if left.changes else None), spans


def _spans(visible: Array) -> Spans | None:
    """Return the start and end of each vector's run, of a period of vectors, if all have one."""
    starts, counts = visible.argmax(axis=1), visible.sum(axis=1)
    ends = starts + counts
    places = np.arange(visible.shape[1])
    runs = (places >= starts[:, None]) & (places < ends[:, None])
    if not counts.all() or (runs != visible).any():
        return None
    pairs = np.stack([starts, ends], axis=1)
    divisors = (n for n in range(1, len(pairs) + 1) if len(pairs) % n == 0)
    period = next(n for n in divisors if (pairs.reshape(-1, n, 2) == pairs[:n]).all())
    return tuple((int(start), int(end)) for start, end in pairs[:period])


def _shown(array: Array, hidden: Array) -> Array:
    """Return a map's part of places that are shown, one number if it is one for all of them."""
    full = np.broadcast_to(array, hidden.shape)
    shown = full[~hidden]
    if (shown == shown[0]).all():
        return np.full((1,) * full.ndim, shown[0])
    return np.where(hidden, shown[0], full)


HANDLERS: Mapping[str, Handler] = {"Softmax": _softmax}
