"""Interpolation at any fractions: the pixels beside each place, weighed by its own distances.

Along one axis after the other, the pixels that a place lies between stand side by side, and a
convolution of one pixel with a group for each place adds them up: two products for linear
interpolation, four for cubic. Each axis casts once.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Conv2D, Window
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.relabel import relabelled, taken, transposed
from fxpnn.onnx.read.resized import Axis, coordinates, way
from fxpnn.onnx.read.trace import Trace, Value


class Taps(NamedTuple):
    """The pixels of an axis that make each place, and their weights, ``(places, taps)``."""

    pixels: Array
    weights: Array


def weighed(trace: Trace, op: Op, x: Value, axes: Mapping[int, Axis]) -> Value:
    """Emit the layers that resize ``x`` along axes of the model, counted from the images'."""
    if op.flag("antialias"):
        raise ModelError("antialias must be 0 where mode is linear or cubic")
    if way(op) == "tf_crop_and_resize":
        raise ModelError("a part that is cropped must be resized to nearest neighbours")
    changed = [axis for axis, it in axes.items() if (it.size, it.scale) != (it.target, 1)]
    for axis in changed:
        x = _along(trace, op, x, axis, _taps(op, axes[axis]), last=axis == changed[-1])
    return x


def _taps(op: Op, axis: Axis) -> Taps:
    """Return what makes each place; a pixel beyond an edge is the edge's."""
    if way(op) == "align_corners" and round(axis.size * axis.scale, 3) != axis.target:
        raise ModelError(
            f"scales must give whole sizes where corners are aligned, not {axis.size} times "
            f"{axis.scale:g}; give the sizes"
        )
    at = coordinates(op, axis)
    mode = op.get("mode")
    if mode == "linear":
        at = at.clip(0, axis.size - 1)
        pixels = np.floor(at)[:, None] + np.arange(2)
        weights = 1 - np.abs(at[:, None] - pixels)
    elif mode == "cubic":
        pixels = np.floor(at)[:, None] + np.arange(-1, 3)
        weights = _cubic(np.abs(at[:, None] - pixels), op.get("cubic_coeff_a", -0.75))
    else:
        raise ModelError(f"mode must be nearest, linear or cubic, not {mode}")
    if op.flag("exclude_outside"):
        weights = np.where((pixels < 0) | (pixels >= axis.size), 0, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    inside = pixels.clip(0, axis.size - 1).astype(np.int64)
    return Taps(inside[:, used], weights[:, used].astype(np.float32))


def _cubic(distance: Array, a: float) -> Array:
    """Return Keys's kernel of distances below 2."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)


def _along(trace: Trace, op: Op, x: Value, axis: int, taps: Taps, *, last: bool) -> Value:
    """Weigh the pixels of an axis, which become channels for it."""
    part = "" if last else f".axis{axis}"
    places, count = taps.weights.shape
    trace.spend(2 * taps.pixels.size + places)
    if count == 1 and (taps.weights == 1).all():
        return taken(trace, op, x, axis - 1, taps.pixels[:, 0], part)
    order = (axis - 1, *(i for i in range(len(x.shape)) if i != axis - 1))
    x = transposed(trace, op, x, order, f"{part}.turned")
    x = taken(trace, op, x, 0, taps.pixels.reshape(-1), f"{part}.pixels")
    rest = x.shape[1:]
    x = relabelled(trace, op, x, (places * count, 1, math.prod(rest)), f"{part}.maps")
    weight, bias = taps.weights.reshape(places, count, 1, 1), np.zeros(places, np.float32)
    x = trace.emit(op, Conv2D(weight, bias, Window((1, 1)), places), x, part=part)
    x = relabelled(trace, op, x, (places, *rest), f"{part}.places")
    return transposed(trace, op, x, tuple(np.argsort(order).tolist()), f"{part}.back")
