"""What a tensor of a model is so far, and where the images lie in it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Self

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Shape
from fxpnn.onnx.graph.normal import Graph
from fxpnn.onnx.graph.proto import MAX_RANK
from fxpnn.onnx.read.affine import Affine


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor that depends on the input: node ``source``'s output, then ``affine``.

    ``shape`` leaves the batch out, and ``axis`` is the one along which its images lie in the model.
    Where ``outer`` is 0 they have that axis for themselves, and ``shape`` lacks it; else others'
    axes are joined with it, ``outer`` places before the images and the rest behind them, and
    ``shape`` has those places there: heads of attention that are computed as so many images.

    ``shared`` tells that more than one operator reads it, so that nothing may be folded into its
    source. ``maps`` tells that the node holds ``(channels, length)`` as maps of height 1, which is
    how one-dimensional convolutions and pools are computed. ``chosen`` tells that the model goes on
    with the class, or the logarithms, for which its logits stand.
    """

    source: str
    shape: Shape
    shared: bool = False
    affine: Affine | None = None
    axis: int = 0
    outer: int = 0
    maps: bool = False
    chosen: bool = False

    @property
    def held(self) -> Shape:
        """Give the shape that the node's output has."""
        return (self.shape[0], 1, self.shape[1]) if self.maps else self.shape

    @property
    def rank(self) -> int:
        """Count the axes of the tensor in the model."""
        return len(self.shape) + (not self.outer)

    @property
    def ahead(self) -> bool:
        """Tell whether the images have the first axis for themselves."""
        return not self.axis and not self.outer

    def full(self, batch: int) -> Shape:
        """Give the shape of the tensor in the model, which has so many images."""
        before, behind = self.shape[: self.axis], self.shape[self.axis :]
        if self.outer:
            return (*before, behind[0] * batch, *behind[1:])
        return (*before, batch, *behind)

    def like(self, other: Self) -> Self:
        """Return the value with its images where those of another one lie."""
        return replace(self, axis=other.axis, outer=other.outer)


def elsewhere(value: Value) -> str:
    """Say that a value's images do not have the first axis for themselves."""
    place = f"{'a part of ' * bool(value.outer)}axis {1 + value.axis} of {value.rank}"
    return f"must have the images as the first axis, each computed for itself, not as {place}"


def image_array(array: Array, x: Value, batch: int) -> Array:
    """Return a constant that broadcasts to a value as what broadcasts to one image, float64."""
    full = (1,) * (x.rank - array.ndim) + array.shape
    wanted = x.full(batch)
    if len(full) != len(wanted) or any(a not in (1, b) for a, b in zip(full, wanted, strict=True)):
        raise ModelError(f"its constant must fit one image's {x.shape}, not be {array.shape}")
    return of_one(array.reshape(full), x, batch).astype(np.float64)


def of_one(array: Array, x: Value, batch: int) -> Array:
    """Return the part of each image, which must be the same, of what has the axes of a value."""
    axis, size = x.axis, array.shape[x.axis]
    places = (x.outer, batch, x.shape[axis] // x.outer) if x.outer else (1, batch, 1)
    apart = (1, 1, 1) if size == 1 else places
    if size != math.prod(apart):
        raise ModelError(f"its constant must be the same for all images, not of {size} parts")
    split = array.reshape(*array.shape[:axis], *apart, *array.shape[axis + 1 :])
    images = np.moveaxis(split, axis + 1, 0)
    if (images[1:] != images[:1]).any():
        raise ModelError("its constant must be the same for all images")
    before, behind = array.shape[:axis], array.shape[axis + 1 :]
    joined = (apart[0] * apart[2],) if x.outer else ()
    return np.reshape(images[0], (*before, *joined, *behind))


def distinctive(graph: Graph, values: Iterable[Value]) -> int:
    """Return a prime of images that divides no size in a graph, so that none passes for theirs.

    Where the number of images is open, an operator that would mix them is known by that.
    """
    arrays = [array for array in graph.constants.values() if array.size <= MAX_RANK]
    held = {int(n) for array in arrays if array.dtype.kind in "iu" for n in array.flat}
    held.update(size for array in graph.constants.values() for size in array.shape)
    held.update(size for value in values for size in value.shape)
    for op in graph.ops:
        for attribute in op.attributes.values():
            numbers = attribute if isinstance(attribute, Sequence) else [attribute]
            held.update(number for number in numbers if isinstance(number, int))
    held -= {0}
    primes = (n for n in count(41) if all(n % m for m in range(2, math.isqrt(n) + 1)))
    return next(prime for prime in primes if all(size % prime for size in held))
