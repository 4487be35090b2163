"""Read the operators that resize maps, repeat tensors, or move depth and space into each other."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.graph import MAX_VALUES
from fxpnn.network.layers import Array, Reshape, Transpose
from fxpnn.onnx.graph.fold import sizes
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import MAX_RANK
from fxpnn.onnx.read.relabel import moved, taken_along
from fxpnn.onnx.read.trace import Handler, Trace, Value


class Axis(NamedTuple):
    """An axis that is resized: its size before and after, the scale, and the part that is kept.

    ``scale`` is float32, the one that ONNX Runtime divides by; ``roi`` is a start and an end,
    counted in whole axes.
    """

    size: int
    target: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)


Coordinates = Callable[[Axis], Array]


def _half_pixel(axis: Axis) -> Array:
    return (_turns(axis) + np.float32(0.5)) / _float(axis.scale) - np.float32(0.5)


def _half_pixel_symmetric(axis: Axis) -> Array:
    adjusted = _float(axis.target) / (_float(axis.scale) * _float(axis.size))
    return _float(axis.size) / 2 * (1 - adjusted) + _half_pixel(axis)


def _pytorch_half_pixel(axis: Axis) -> Array:
    return _half_pixel(axis) if axis.target > 1 else np.zeros(1, np.float32)


def _align_corners(axis: Axis) -> Array:
    return _turns(axis) * _float(axis.size - 1) / _float(max(axis.target - 1, 1))


def _crop(axis: Axis) -> Array:
    """Spread the places over a part of the axis; a part beyond its ends has no values to move."""
    start, end = map(_float, axis.roi)
    last = _float(axis.size - 1)
    if axis.target == 1:
        found = np.array([last * (start + end) / 2])
    else:
        found = start * last + _turns(axis) * (end - start) * last / _float(axis.target - 1)
    if found.min() < 0 or found.max() > last:
        raise ModelError("roi must lie inside the tensor")
    return found


def _turns(axis: Axis) -> Array:
    return np.arange(axis.target, dtype=np.float32)


def _float(number: float) -> np.float32:
    return np.float32(number)


COORDINATES: Mapping[str, Coordinates] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda axis: _turns(axis) / _float(axis.scale),
    "tf_half_pixel_for_nn": lambda axis: (_turns(axis) + np.float32(0.5)) / _float(axis.scale),
    "tf_crop_and_resize": _crop,
}
"""Where each value of a resized axis lies on the axis before, float32 as ONNX Runtime counts."""

NEAREST: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""Which neighbour is the nearest one."""


def _resize(trace: Trace, op: Op) -> Value:
    """Move the nearest neighbours; a place whose axis keeps its size is its own."""
    x = trace.rows(trace.pending(op))
    axes = _resized(trace, op, x)
    mode = op.get("mode", "nearest")
    if mode != "nearest":
        raise ModelError(f"mode must be nearest, not {mode}")
    trace.spend(sum(axis.target for axis in axes.values()))
    return taken_along(trace, op, x, {place: _nearest(op, axis) for place, axis in axes.items()})


def _nearest(op: Op, axis: Axis) -> Array:
    """Return the places of the nearest neighbours along an axis."""
    if (axis.size, axis.scale, axis.roi) == (axis.target, 1, (0, 1)):
        return np.arange(axis.size)
    if op.opset < 11 or op.kind == "Upsample":
        found = COORDINATES["asymmetric"](axis)
        if axis.scale < 1 and (found != np.floor(found)).any():
            raise ModelError(f"scales below 1 must be those of every so many, not {axis.scale:g}")
        places = np.floor(found)
    else:
        where = _named(op, "coordinate_transformation_mode", "half_pixel", COORDINATES)
        found = COORDINATES[where](axis)
        places = NEAREST[_named(op, "nearest_mode", "round_prefer_floor", NEAREST)](found)
    return places.clip(0, axis.size - 1).astype(np.int64)


def _named(op: Op, name: str, default: str, known: Mapping[str, object]) -> str:
    """Return the text of an attribute, one of those that are known."""
    text = op.get(name, default)
    if text not in known:
        raise ModelError(f"{name} must be one of {', '.join(known)}, not {text}")
    return str(text)


def _resized(trace: Trace, op: Op, x: Value) -> dict[int, Axis]:
    """Return the axes that a Resize or Upsample names, each resized as it says."""
    full = (trace.batch, *x.shape)
    roi, scales, wanted = _arguments(trace, op)
    along = [axis % len(full) for axis in op.get("axes", range(len(full)))]
    if bool(scales) == bool(wanted) or len(scales or wanted) != len(along):
        raise ModelError(f"must have {len(along)} scales or sizes")
    if roi and len(roi) != 2 * len(along):
        raise ModelError(f"roi must be {2 * len(along)} numbers, not {len(roi)}")
    if wanted:
        scales, wanted = _by_policy(op, [full[axis] for axis in along], wanted)
    else:
        grown = [full[axis] * scale for axis, scale in zip(along, scales, strict=True)]
        if not all(0 < size <= MAX_VALUES for size in grown):
            raise ModelError(f"scales must be above 0 and give at most {MAX_VALUES} values each")
        wanted = [math.floor(size) for size in grown]
    found = {}
    for i, (axis, scale, size) in enumerate(zip(along, scales, wanted, strict=True)):
        kept = (roi[i], roi[i + len(along)]) if roi else (0.0, 1.0)
        found[axis] = Axis(full[axis], size, scale, kept)
    if min(wanted) < 1:
        raise ModelError(f"sizes must be 1 or more, not {wanted}")
    if 0 in found and found.pop(0)[:2] != (trace.batch, trace.batch):
        raise ModelError("must not resize the images' axis")
    return found


def _arguments(trace: Trace, op: Op) -> tuple[list[float], list[float], list[int]]:
    """Return the part that is kept, the scales and the sizes, empty where they are left out."""
    if op.kind == "Upsample" or op.opset < 11:
        scales = _floats(trace, op, 1) if op.has(1) else [float(s) for s in op.get("scales", ())]
        return [], scales, []
    wanted = sizes(trace.constant(op, 3)) if op.has(3) else []
    crops = op.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    roi = _floats(trace, op, 1) if crops and op.has(1) else []
    return roi, _floats(trace, op, 2) if op.has(2) else [], wanted


def _floats(trace: Trace, op: Op, index: int) -> list[float]:
    array = trace.constant(op, index)
    if array.dtype.kind != "f" or array.size > 2 * MAX_RANK:
        raise ModelError(f"input {index + 1} must be a few floats, not {array.size} {array.dtype}")
    return [float(value) for value in array.reshape(-1)]


def _by_policy(
    op: Op, before: Sequence[int], wanted: Sequence[int]
) -> tuple[list[float], list[int]]:
    """Return scales and sizes: those that are wanted, or of one scale for all axes."""
    policy = op.get("keep_aspect_ratio_policy", "stretch")
    scales = [float(np.float32(n) / np.float32(m)) for n, m in zip(wanted, before, strict=True)]
    if policy == "stretch":
        return scales, list(wanted)
    if policy not in ("not_larger", "not_smaller"):
        raise ModelError(
            f"keep_aspect_ratio_policy must be stretch, not_larger or not_smaller, not {policy}"
        )
    one = min(scales) if policy == "not_larger" else max(scales)
    return [one] * len(scales), [math.floor(one * size + 0.5) for size in before]


ORDERS: Mapping[str, bool] = {"DCR": True, "CRD": False}
"""Whether the channels of one place in its block lie side by side, or those of one map."""


def _depth_to_space(trace: Trace, op: Op) -> Value:
    """Move channels to where they lie between the pixels: depth first (DCR) or column first."""
    x, b = _maps(trace, op)
    channels, height, width = x.shape
    if channels % b**2:
        raise ModelError(f"its channels must be a multiple of {b**2}, not {channels}")
    kept = channels // b**2
    depth_first = ORDERS[_named(op, "mode", "DCR", ORDERS)]
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
    order = (2, 4, 0, 1, 3) if ORDERS[_named(op, "mode", "DCR", ORDERS)] else (0, 2, 4, 1, 3)
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
    x = trace.rows(trace.pending(op))
    repeats = trace.integers(op, 1, "repeats")
    if len(repeats) != 1 + len(x.shape) or min(repeats) < 1:
        raise ModelError(f"repeats must be {1 + len(x.shape)} counts of 1 or more, not {repeats}")
    if repeats[0] != 1:
        raise ModelError("must not repeat images")
    trace.spend(sum(n * size for n, size in zip(repeats[1:], x.shape, strict=True)))
    places = {
        axis: np.tile(np.arange(x.shape[axis - 1]), count)
        for axis, count in enumerate(repeats)
        if axis
    }
    return taken_along(trace, op, x, places)


def _expand(trace: Trace, op: Op) -> Value:
    """Repeat the one value along axes of size 1."""
    x = trace.rows(trace.pending(op))
    full, wanted = (trace.batch, *x.shape), sizes(trace.constant(op, 1))
    wanted = [1] * (len(full) - len(wanted)) + wanted
    pairs = list(zip(full, wanted, strict=False))
    if (
        len(wanted) != len(full)
        or min(wanted) < 1
        or any(1 not in pair and len({*pair}) > 1 for pair in pairs)
    ):
        raise ModelError(f"its shape must fit one image's {x.shape}, not be {wanted}")
    if wanted[0] not in (1, trace.batch):
        raise ModelError("must not repeat images")
    trace.spend(sum(wanted))
    places = {
        axis: np.zeros(size, np.int64)
        for axis, size in enumerate(wanted)
        if axis and size > full[axis]
    }
    return taken_along(trace, op, x, places)


HANDLERS: Mapping[str, Handler] = {
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Tile": _tile,
    "Expand": _expand,
}
