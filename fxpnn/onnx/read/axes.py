"""Which axis of each image an axis of the model is, and where the images lie in what is made."""

import math
from collections.abc import Sequence
from dataclasses import replace

from fxpnn.errors import ModelError
from fxpnn.network.layers import Shape
from fxpnn.onnx.read.trace import Trace
from fxpnn.onnx.read.value import Value


def inside(axis: int, rank: int) -> int:
    """Count an axis from the first one."""
    if not -rank <= axis < rank:
        raise ModelError(f"axis must be inside the {rank} axes, not {axis}")
    return axis % rank


def of_image(x: Value, axis: int) -> int:
    """Return which axis of each image an axis of the model is, counted from the first one.

    The images' own is the one that begins where they lie.
    """
    return axis - (axis > x.axis and not x.outer)


def along(
    trace: Trace, x: Value, axes: Sequence[int], refusal: str
) -> tuple[Value, tuple[int, ...]]:
    """Return the image's axes that axes of the model are, and the value that has them.

    The images' own is refused, as ``refusal`` says; but where there is a single image, its axis is
    one like others: nothing else could be mixed with it.
    """
    if x.axis in axes:
        if trace.batch > 1:
            raise ModelError(refusal)
        x = whole(trace, x)
    return x, tuple(of_image(x, axis) for axis in axes)


def whole(trace: Trace, x: Value) -> Value:
    """Return a single image with all axes of the model."""
    return x if x.outer else trace.relabelled(x, x.full(1), x.axis, 1)


def together(trace: Trace, values: Sequence[Value]) -> list[Value]:
    """Return values whose images lie alike; a single image's axis is one like others."""
    places = {(value.axis, value.outer) for value in values}
    if len(places) == 1:
        return [*values]
    if trace.batch > 1:
        told = " and ".join(str(1 + value.axis) for value in values)
        raise ModelError(f"must have the images along one axis of all branches, not {told}")
    return [replace(whole(trace, value), axis=values[0].axis) for value in values]


def landing(trace: Trace, x: Value, target: Shape) -> tuple[int, int]:
    """Return the axis along which the images lie in a value of another shape, and ``outer`` there.

    The places before the images are as many on both sides, so that these can only lie in the one
    axis of the target behind the last that ends before them. A single image has one place, which is
    before or behind any other; it takes an axis of size 1, the first whose places before fit.
    """
    batch = trace.batch
    lead = math.prod(x.full(batch)[: x.axis]) * max(x.outer, 1)
    before = [math.prod(target[:axis]) for axis in range(len(target))]
    fits = [
        axis
        for axis, size in enumerate(target)
        if before[axis] * size and lead % before[axis] == 0 == before[axis] * size % (lead * batch)
    ]
    if batch == 1 and (alone := [axis for axis, size in enumerate(target) if size == 1]):
        return min(alone, key=lambda axis: (axis not in fits, axis)), 0
    if fits:
        axis = fits[0]
        return axis, 0 if target[axis] == batch else lead // before[axis]
    if batch == 1:
        return 0, 1
    raise ModelError(f"must keep the images apart, not give {trace.spelled(target)}")
