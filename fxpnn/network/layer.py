"""What every layer is: a frozen value with parameters, traits, and the shape it makes of a shape.

Shapes leave the batch axis out: an image is ``(channels, height, width)``, a vector is
``(features,)``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.casting import is_array
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.traits import Traits
from fxpnn.network.value import Value

Shape: TypeAlias = tuple[int, ...]
Array: TypeAlias = npt.NDArray[Any]
Number: TypeAlias = int | float
"""A scalar parameter: a float in a float network, a raw integer in a fixed one."""
Range: TypeAlias = tuple[float, float]
"""The smallest and the largest value of a tensor."""


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Value):
    """Base of all layers; arrays given to one become read-only.

    A new kind of layer is a frozen dataclass derived from it, with its ``traits``. A function of
    one value needs beside it only its formulas: ``fxpnn.reference.compute.register`` in floats,
    ``fxpnn.golden.activate.register`` in Python integers and
    ``fxpnn.network.lookup.exact.register`` for all words at once.
    """

    inputs: ClassVar[int | None] = 1
    """How many tensors the layer reads; ``None`` is two or more."""

    traits: ClassVar[Traits] = Traits()
    """What else holds for every layer of the kind."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type is Array:
                _check_numbers(field.name, getattr(self, field.name))
        for name in self.arrays():
            array = np.ascontiguousarray(getattr(self, name))
            if array.flags.writeable:
                array = array.copy()
                array.setflags(write=False)
            object.__setattr__(self, name, array)

    def arrays(self) -> tuple[str, ...]:
        """Name the fields that hold arrays, in the order of their declaration."""
        return tuple(f.name for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray))

    def shape(self, *shapes: Shape) -> Shape:
        """Return the output's shape for the inputs' shapes.

        Raises:
            ModelError: the layer cannot take inputs of these shapes.
        """
        return shapes[0]

    def check_fits(self, source: QFormat, weights: Sequence[QFormat], made: QFormat) -> None:
        """Raise ``ModelError`` unless the exact values of raw parameters fit 62 bits.

        ``source``, ``weights`` and ``made`` are the formats of input, weight and output.
        """

    def range(self, *ranges: Range) -> Range:
        """Return a range that outputs cannot leave, for inputs in these ranges.

        Asked where a format is ``proved``, of layers that neither sum nor multiply.
        """
        lows, highs = zip(*ranges, strict=True)
        return min(lows), max(highs)

    def rectifies(self) -> bool:
        """Return whether what is below 0 gives what 0 gives, and no output is below 0."""
        least, _ = self.ends()
        return least is not None and least >= 0

    def ends(self) -> tuple[Number | None, Number | None]:
        """Return what replaces all that is less, and all that is more, where something does."""
        ends = self.traits.floor, self.traits.ceiling
        least, most = (getattr(self, end) if isinstance(end, str) else end for end in ends)
        return least, most

    def growth(self) -> float:
        """Return how many times as large as the largest input an output may be.

        Asked of layers that have their input's format.
        """
        return 1.0

    def terms(self, source: Shape) -> int:
        """Count the products of one sum, for a first input of this shape.

        Asked of layers that sum products; those that have weights have one for each product.
        """
        weight: Array = getattr(self, str(self.traits.weight))
        return math.prod(weight.shape[1:])

    def exact(self, magnitude: int, finer: int) -> int:
        """Return the largest integer of which the layer makes an output.

        Asked of layers that have their input's format unless another is given. Inputs are at most
        ``magnitude``; the output has ``finer`` fraction bits more, 0 or more.
        """
        return magnitude << finer


def _check_numbers(name: str, values: object) -> None:
    """Raise ``ModelError`` unless a parameter holds real numbers, of no more bits than a double."""
    if not is_array(values):
        raise ModelError(f"{name} must be a NumPy array, not a {type(values).__name__}")
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        raise ModelError(f"{name} must be real numbers of at most 64 bits, not {values.dtype}")


def parts_of(array: Array, most: int) -> list[slice]:
    """Cut an array's first axis into parts of at most so many values, or of one place each.

    >>> parts_of(np.zeros((5, 10)), 20)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, most * len(array) // array.size)
    return [slice(i, min(i + step, len(array))) for i in range(0, len(array), step)]


def layer_types() -> dict[str, type[Layer]]:
    """Give every layer class by its name, as files spell it."""
    pending, found = list(Layer.__subclasses__()), {}
    while pending:
        pending += (kind := pending.pop()).__subclasses__()
        if not kind.__name__.startswith("_"):
            found[kind.__name__] = kind
    return found


def products(layer: Layer, shape: Shape, source: Shape) -> int:
    """Count the products that one image needs for an output of ``shape``.

    ``source`` is the shape of the first input.
    """
    return math.prod(shape) * layer.terms(source) if layer.traits.sums else 0
