"""Softmax of whole vectors, and of a run of places of each, as masks of attention leave it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import tables
from fxpnn.network.layer import Array, Layer, Shape
from fxpnn.network.shapes import check_axis, text
from fxpnn.network.traits import Traits


@dataclass(frozen=True, eq=False, repr=False)
class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along ``axis`` of the shape without the batch."""

    traits: ClassVar[Traits] = Traits(
        format=QFormat(16, 15), modes=False, table=tables.SOFTMAX, approximate=True, subtracts=True
    )

    axis: int = -1

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape."""
        check_axis(self.axis, shapes[0])
        return shapes[0]

    def spans_of(self, shape: Shape) -> Iterator[tuple[int, int]]:
        """Give the first place that counts, and the end, of each vector; the last axis is fastest.

        >>> list(Softmax().spans_of((2, 5)))
        [(0, 5), (0, 5)]
        """
        size = shape[self.axis]
        return iter([(0, size)] * (math.prod(shape) // size))


@dataclass(frozen=True, eq=False, repr=False)
class MaskedSoftmax(Softmax):
    """A softmax of the places from a start up to an end alone; the outputs of the others are 0.

    Vectors take ``spans``, pairs of start and end, in turn. A token of causal attention sees itself
    and those before it:

    >>> MaskedSoftmax(-1, ((0, 1), (0, 2), (0, 3))).visible((3, 3)).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """

    spans: tuple[tuple[int, int], ...] = ()

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape, of which spans name places."""
        axis = check_axis(self.axis, shapes[0])
        size = shapes[0][axis]
        vectors = math.prod(shapes[0]) // size
        if not self.spans or vectors % len(self.spans):
            raise ModelError(
                f"spans must be as many as {text(shapes[0])} has vectors, {vectors}, or a divisor "
                f"of that, not {len(self.spans)}"
            )
        for start, end in self.spans:
            if not 0 <= start < end <= size:
                raise ModelError(f"spans must lie inside the {size} places, not {start} to {end}")
        return shapes[0]

    def spans_of(self, shape: Shape) -> Iterator[tuple[int, int]]:
        """Give the span of each vector."""
        return iter(self.spans * (math.prod(shape) // shape[self.axis] // len(self.spans)))

    def visible(self, shape: Shape) -> Array:
        """Tell which values of an image's shape count."""
        places = np.arange(shape[self.axis])
        starts, ends = np.array(list(self.spans_of(shape))).T[:, :, None]
        vectors = np.moveaxis(np.empty(shape, np.bool_), self.axis, -1)
        counts = ((places >= starts) & (places < ends)).reshape(vectors.shape)
        return np.moveaxis(counts, -1, self.axis)
