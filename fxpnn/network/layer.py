"""What every layer is: a frozen value with parameters, traits, and the shape it makes of a shape.

Shapes leave the batch axis out: an image is ``(channels, height, width)``, a vector is
``(features,)``.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

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

    def range(self, *ranges: Range) -> Range:
        """Return a range that outputs cannot leave, for inputs in these ranges.

        Asked where a format is ``proved``, of layers that neither sum nor multiply.
        """
        lows, highs = zip(*ranges, strict=True)
        return min(lows), max(highs)

    def growth(self) -> float:
        """Return how many times as large as the largest input an output may be.

        Asked of layers that keep their input's format.
        """
        return 1.0


def layer_types() -> dict[str, type[Layer]]:
    """Give every layer class by its name, as files spell it."""
    pending, found = list(Layer.__subclasses__()), {}
    while pending:
        pending += (kind := pending.pop()).__subclasses__()
        if not kind.__name__.startswith("_"):
            found[kind.__name__] = kind
    return found


def products(layer: Layer, shape: Shape) -> int:
    """Count the products that one image needs for an output of ``shape``."""
    if not layer.traits.sums:
        return 0
    weight: Array = getattr(layer, str(layer.traits.weight))
    return math.prod(shape) * math.prod(weight.shape[1:])
