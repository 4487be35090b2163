"""What a Resize or Upsample asks of each axis: sizes, scales and the part that is kept."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.graph import MAX_VALUES
from fxpnn.network.layers import Array
from fxpnn.onnx.graph.fold import sizes
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import MAX_RANK
from fxpnn.onnx.read.trace import Trace, Value


class Axis(NamedTuple):
    """An axis that is resized: its size before and after, the scale, and the part that is kept.

    ``scale`` is float32, the one that ONNX Runtime divides by; ``roi`` is a start and an end,
    counted in whole axes.
    """

    size: int
    target: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)


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


COORDINATES: Mapping[str, Callable[[Axis], Array]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda axis: _turns(axis) / _float(axis.scale),
    "tf_half_pixel_for_nn": lambda axis: (_turns(axis) + np.float32(0.5)) / _float(axis.scale),
    "tf_crop_and_resize": _crop,
}
"""Where each value of a resized axis lies on the axis before, float32 as ONNX Runtime counts."""


def way(op: Op) -> str:
    """Return how the operator counts where a value lies; those before opset 11 know one way."""
    if op.opset < 11 or op.kind == "Upsample":
        return "asymmetric"
    return named(op, "coordinate_transformation_mode", "half_pixel", COORDINATES)


def coordinates(op: Op, axis: Axis) -> Array:
    """Return where each value of a resized axis lies on the axis before, float32."""
    return COORDINATES[way(op)](axis)


def named(op: Op, name: str, default: str, known: Mapping[str, object]) -> str:
    """Return the text of an attribute, one of those that are known."""
    text = op.get(name, default)
    if text not in known:
        raise ModelError(f"{name} must be one of {', '.join(known)}, not {text}")
    return str(text)


def resized(trace: Trace, op: Op, x: Value) -> dict[int, Axis]:
    """Return the axes that a Resize or Upsample names, each resized as it says."""
    full = (trace.batch, *x.shape)
    roi, scales, wanted = _arguments(trace, op)
    axes = list(op.get("axes", range(len(full))))
    along = [axis % len(full) for axis in axes]
    if len({*along}) < len(axes) or not all(-len(full) <= axis < len(full) for axis in axes):
        raise ModelError(f"axes must be some of the {len(full)}, each once, not {axes}")
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
