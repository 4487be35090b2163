"""Read the operators that resize maps, repeat tensors, or move depth and space into each other."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.graph import MAX_VALUES
from fxpnn.network.layers import Array, Reshape, Transpose
from fxpnn.onnx.graph.fold import sizes
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.axes import along
from fxpnn.onnx.read.interpolate import dyadic, interpolated
from fxpnn.onnx.read.relabel import moved, taken_along
from fxpnn.onnx.read.resized import Axis, coordinates, named, resized
from fxpnn.onnx.read.trace import Handler, Trace, Value
from fxpnn.onnx.read.weighed import weighed

NEAREST: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""Which neighbour is the nearest one."""


def _resize(trace: Trace, op: Op) -> Value:
    """Move the nearest neighbours, or weigh two of each axis."""
    x = trace.rows(trace.pending(op))
    axes, mode = resized(trace, op, x), op.get("mode", "nearest")
    if mode == "linear" and dyadic(op, axes.values()):
        return _linear(trace, op, trace.settle(x), axes)
    if mode != "nearest":
        return weighed(trace, op, trace.settle(x), axes)
    trace.spend(sum(axis.target for axis in axes.values()))
    return taken_along(
        trace, op, x, {place - 1: _nearest(op, axis) for place, axis in axes.items()}
    )


def _linear(trace: Trace, op: Op, x: Value, axes: Mapping[int, Axis]) -> Value:
    """Convolve maps, one channel for each place between pixels, and move those there."""
    channels, *size = x.shape
    if len(size) not in (1, 2) or (1 in axes and axes[1].scale != 1):
        raise ModelError("mode linear must resize maps or rows, not their channels")
    rows = Axis(1, 1, 1.0) if len(size) == 1 else None
    sides = [axes.get(place, Axis(n, n, 1.0)) for place, n in enumerate(size, 2)]
    height, width = sides if rows is None else (rows, *sides)
    if rows is not None:
        x = trace.emit(op, Reshape((channels, 1, *size)), x, part=".maps")
    target = (channels, *(side.target for side in sides))
    made = interpolated(trace, op, x, (height, width))
    if made.phases == (1, 1):
        return trace.emit(op, Reshape(target), made.maps) if rows else made.maps
    split = (channels, *made.phases, *made.maps.shape[1:])
    return _turned(trace, op, made.maps, split, (0, 3, 1, 4, 2), target)


def _nearest(op: Op, axis: Axis) -> Array:
    """Return the places of the nearest neighbours along an axis."""
    if (axis.size, axis.scale, axis.roi) == (axis.target, 1, (0, 1)):
        return np.arange(axis.size)
    found = coordinates(op, axis)
    if op.opset < 11 or op.kind == "Upsample":
        if axis.scale < 1 and (found != np.floor(found)).any():
            raise ModelError(f"scales below 1 must be those of every so many, not {axis.scale:g}")
        places = np.floor(found)
    else:
        places = NEAREST[named(op, "nearest_mode", "round_prefer_floor", NEAREST)](found)
    return places.clip(0, axis.size - 1).astype(np.int64)


ORDERS: Mapping[str, bool] = {"DCR": True, "CRD": False}
"""Whether the channels of one place in its block lie side by side, or those of one map."""


def _depth_to_space(trace: Trace, op: Op) -> Value:
    """Move channels to where they lie between the pixels: depth first (DCR) or column first."""
    x, b = _maps(trace, op)
    channels, height, width = x.shape
    if channels % b**2:
        raise ModelError(f"its channels must be a multiple of {b**2}, not {channels}")
    kept = channels // b**2
    depth_first = ORDERS[named(op, "mode", "DCR", ORDERS)]
    split = (b, b, kept) if depth_first else (kept, b, b)
    order = (2, 3, 0, 4, 1) if depth_first else (0, 3, 1, 4, 2)
    return _turned(trace, op, x, (*split, height, width), order, (kept, height * b, width * b))


def _space_to_depth(trace: Trace, op: Op) -> Value:
    """Move the pixels of blocks to channels: those of one place (DCR) or one map (CRD) in a row."""
    x, b = _maps(trace, op)
    channels, height, width = x.shape
    if height % b or width % b:
        raise ModelError(f"its maps must be multiples of {b}, not {height} x {width}")
    split = (channels, height // b, b, width // b, b)
    target = (channels * b**2, height // b, width // b)
    order = (2, 4, 0, 1, 3) if ORDERS[named(op, "mode", "DCR", ORDERS)] else (0, 2, 4, 1, 3)
    return _turned(trace, op, x, split, order, target)


def _maps(trace: Trace, op: Op) -> tuple[Value, int]:
    x, b = trace.rows(trace.pending(op)), op.get("blocksize", 0)
    if len(x.shape) != 3:
        raise ModelError(f"must read maps, not {x.shape}")
    if not 1 <= b <= MAX_VALUES:
        raise ModelError(f"blocksize must be 1 or more, not {b}")
    return x, b


def _turned(
    trace: Trace,
    op: Op,
    x: Value,
    split: tuple[int, ...],
    order: tuple[int, ...],
    target: tuple[int, ...],
) -> Value:
    """Cut axes in two, reorder them, and join them again."""
    x = moved(trace, op, x, Reshape(split), lambda array: array.reshape(split), ".split")
    x = moved(trace, op, x, Transpose(order), lambda array: array.transpose(order), ".turn")
    return moved(trace, op, x, Reshape(target), lambda array: array.reshape(target))


def _tile(trace: Trace, op: Op) -> Value:
    """Repeat the whole tensor along its axes."""
    x = trace.rows(trace.pending(op, any_axis=True))
    repeats = trace.integers(op, 1, "repeats")
    if len(repeats) != x.rank or min(repeats) < 1:
        raise ModelError(f"repeats must be {x.rank} counts of 1 or more, not {repeats}")
    return _repeated(trace, op, x, repeats)


def _repeated(trace: Trace, op: Op, x: Value, counts: Sequence[int]) -> Value:
    """Repeat a tensor so many times along each axis of the model."""
    grown = [axis for axis, count in enumerate(counts) if count > 1]
    x, axes = along(trace, x, grown, "must not repeat images")
    trace.spend(sum(counts[axis] * x.shape[place] for axis, place in zip(grown, axes, strict=True)))
    places = {
        place: np.tile(np.arange(x.shape[place]), counts[axis])
        for axis, place in zip(grown, axes, strict=True)
    }
    return taken_along(trace, op, x, places)


def _expand(trace: Trace, op: Op) -> Value:
    """Repeat the one value along axes of size 1."""
    x = trace.rows(trace.pending(op, any_axis=True))
    full, wanted = x.full(trace.batch), sizes(trace.constant(op, 1))
    wanted = [1] * (len(full) - len(wanted)) + wanted
    pairs = list(zip(full, wanted, strict=False))
    if len(wanted) == x.rank and wanted[x.axis] not in (1, full[x.axis]) and full[x.axis] > 1:
        raise ModelError("must not repeat images")
    if (
        len(wanted) != len(full)
        or min(wanted) < 1
        or any(1 not in pair and len({*pair}) > 1 for pair in pairs)
    ):
        raise ModelError(f"its shape must fit one image's {x.shape}, not be {wanted}")
    return _repeated(trace, op, x, [new if old == 1 else 1 for old, new in pairs])


HANDLERS: Mapping[str, Handler] = {
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Tile": _tile,
    "Expand": _expand,
}
