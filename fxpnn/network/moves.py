"""Layers that move or join values without computing any."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layer import Array, Layer, Number, Shape
from fxpnn.network.shapes import AXES, check_axis, text
from fxpnn.network.traits import Output, Traits

SELECTS = Traits(output=Output.KEPT, exact=True, monotone=True)
"""The traits of a layer whose outputs are inputs, chosen by their order or place."""


@dataclass(frozen=True, eq=False, repr=False)
class Concat(Layer):
    """Join tensors along ``axis`` of the shape without the batch."""

    traits: ClassVar[Traits] = Traits(exact=True, monotone=True)

    inputs: ClassVar[int | None] = None
    axis: int = 0

    def shape(self, *shapes: Shape) -> Shape:
        """Add up the sizes along the axis; all others must agree."""
        axis = check_axis(self.axis, shapes[0])
        rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
            texts = ", ".join(map(text, shapes))
            raise ModelError(f"branches must agree but for axis {self.axis}, not {texts}")
        joined = list(shapes[0])
        joined[axis] = sum(shape[axis] for shape in shapes)
        return tuple(joined)


@dataclass(frozen=True, eq=False, repr=False)
class Pad(Layer):
    """Surround each axis with a constant: ``pads`` holds (before, after) per axis but the batch."""

    traits: ClassVar[Traits] = Traits(
        output=Output.KEPT, exact=True, monotone=True, limits=("value",)
    )

    pads: tuple[tuple[int, int], ...]
    value: Number = 0.0

    def shape(self, *shapes: Shape) -> Shape:
        """Grow every axis by its padding."""
        if len(self.pads) != len(shapes[0]) or min(map(min, self.pads)) < 0:
            raise ModelError(
                f"pads must be {len(shapes[0])} pairs of counts of 0 or more, not {self.pads}"
            )
        return tuple(b + size + a for size, (b, a) in zip(shapes[0], self.pads, strict=True))

    def places(self, shape: Shape) -> tuple[slice, ...]:
        """Return where an input of ``shape`` lies in the output, as an index without the batch."""
        sides = zip(self.pads, shape, strict=True)
        return tuple(slice(before, before + size) for (before, _), size in sides)


@dataclass(frozen=True, eq=False, repr=False)
class Slice(Layer):
    """Keep the places ``start``, ``start + step``, ... before ``stop`` of an axis.

    ``axis`` is one of the shape without the batch; ``0 <= start < stop``, at most its size.
    """

    traits: ClassVar[Traits] = SELECTS

    axis: int
    start: int
    stop: int
    step: int = 1

    def shape(self, *shapes: Shape) -> Shape:
        """Count the places that are kept along the axis."""
        axis = check_axis(self.axis, shapes[0])
        if not 0 <= self.start < self.stop <= shapes[0][axis] or self.step < 1:
            raise ModelError(
                f"start, stop and step must be places in order, inside {shapes[0][axis]}, and 1 or "
                f"more, not {self.start}, {self.stop} and {self.step}"
            )
        kept = len(range(self.start, self.stop, self.step))
        return (*shapes[0][:axis], kept, *shapes[0][axis + 1 :])

    def places(self, rank: int) -> tuple[slice, ...]:
        """Return what is kept, as an index into an array with ``rank`` axes, none the batch."""
        where = [slice(None)] * rank
        where[self.axis] = slice(self.start, self.stop, self.step)
        return tuple(where)


@dataclass(frozen=True, eq=False, repr=False)
class Take(Layer):
    """Put places of an axis side by side: ``y[i] = x[places[i]]``, one maybe several times.

    ``axis`` is one of the shape without the batch, and each place lies inside its size. Nearest
    neighbours of a larger map, copies of a whole tensor, mirrored edges: all are such places.
    """

    traits: ClassVar[Traits] = SELECTS

    axis: int
    places: tuple[int, ...]

    def shape(self, *shapes: Shape) -> Shape:
        """Count the places along the axis."""
        axis = check_axis(self.axis, shapes[0])
        size = shapes[0][axis]
        if not self.places or min(self.places) < 0 or max(self.places) >= size:
            ends = f"{min(self.places)} to {max(self.places)}" if self.places else "none"
            raise ModelError(f"places must be some of 0 to {size - 1}, not {ends}")
        return (*shapes[0][:axis], len(self.places), *shapes[0][axis + 1 :])

    def loops(self) -> tuple[tuple[int, int], ...] | None:
        """Return the places behind the first as loops, or ``None`` where no loops give them.

        The outermost is first, each with its length and how much further its turns go:

        >>> Take(0, (0, 0, 1, 1, 2, 2)).loops()
        ((3, 1), (2, 0))
        """
        found, places = list[tuple[int, int]](), np.array(self.places)
        while places.size > 1:
            length, step = _even(places)
            if places.size % length:
                return None
            rows = places.reshape(-1, length)
            if (rows != rows[:, :1] + np.arange(length) * step).any():
                return None
            found.append((length, step))
            places = rows[:, 0]
        return tuple(reversed(found))

    def runs(self) -> tuple[tuple[int, int, int], ...]:
        """Return the places in runs of even steps, each with its first, its length and its step.

        >>> Take(0, (0, 0, 1, 2, 3, 3)).runs()
        ((0, 2, 0), (1, 3, 1), (3, 1, 0))
        """
        found, places = list[tuple[int, int, int]](), np.array(self.places)
        while places.size:
            length, step = _even(places)
            found.append((int(places[0]), length, step))
            places = places[length:]
        return tuple(found)


def _even(places: Array) -> tuple[int, int]:
    """Count the places from the first on that lie in even steps, and return the step."""
    if places.size == 1:
        return 1, 0
    steps = np.diff(places)
    return int(np.append(steps != steps[0], True).argmax()) + 1, int(steps[0])


@dataclass(frozen=True, eq=False, repr=False)
class Flatten(Layer):
    """Relabel a tensor as a vector, last axis fastest."""

    traits: ClassVar[Traits] = SELECTS

    def shape(self, *shapes: Shape) -> Shape:
        """Multiply the sizes."""
        return (math.prod(shapes[0]),)


@dataclass(frozen=True, eq=False, repr=False)
class Reshape(Layer):
    """Relabel a tensor as ``target``, last axis fastest."""

    traits: ClassVar[Traits] = SELECTS

    target: tuple[int, ...]

    def shape(self, *shapes: Shape) -> Shape:
        """Give the target; it must hold as many values."""
        if len(self.target) > AXES:  # before the product of so many sizes, which may be large
            raise ModelError(f"shape must have at most {AXES} axes, not {len(self.target)}")
        if math.prod(self.target) != math.prod(shapes[0]) or min(self.target, default=1) < 1:
            raise ModelError(f"shape must hold {math.prod(shapes[0])} values, not {self.target}")
        return self.target


@dataclass(frozen=True, eq=False, repr=False)
class Transpose(Layer):
    """Reorder axes: output axis ``i`` is input axis ``order[i]``, the batch not counted."""

    traits: ClassVar[Traits] = SELECTS

    order: tuple[int, ...]

    def shape(self, *shapes: Shape) -> Shape:
        """Reorder the sizes."""
        if sorted(self.order) != list(range(len(shapes[0]))):
            raise ModelError(f"order must permute {len(shapes[0])} axes, not be {self.order}")
        return tuple(shapes[0][axis] for axis in self.order)
