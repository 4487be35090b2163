"""The product of two tensors' matrices, summed in an accumulator as a dense layer is."""

from dataclasses import dataclass
from typing import ClassVar

from fxpnn.errors import ModelError
from fxpnn.network.layer import Layer, Shape
from fxpnn.network.shapes import text
from fxpnn.network.traits import Traits


@dataclass(frozen=True, eq=False, repr=False)
class MatMul(Layer):
    """Multiply matrices: ``y[..., m, n] = sum(a[..., m, k] * b[..., k, n])``, k ascending.

    Leading axes hold matrices of their own, such as the heads of attention; where one side has
    size 1 along such an axis, its matrices repeat.
    """

    traits: ClassVar[Traits] = Traits(sums=True)

    inputs: ClassVar[int | None] = 2

    def shape(self, *shapes: Shape) -> Shape:
        """Take ``(..., m, k)`` and ``(..., k, n)``, give ``(..., m, n)``."""
        a, b = shapes
        if len(a) < 2 or len(a) != len(b) or a[-1] != b[-2]:
            raise ModelError(
                f"branches must be (..., m, k) and (..., k, n), not {text(a)} and {text(b)}"
            )
        leading = [*zip(a[:-2], b[:-2], strict=True)]
        if any(m != n and 1 not in (m, n) for m, n in leading):
            raise ModelError(
                f"leading axes of branches must be the same, or 1, not {text(a)} and {text(b)}"
            )
        return (*(max(pair) for pair in leading), a[-2], b[-1])

    def terms(self, source: Shape) -> int:
        """Count the products of one sum."""
        return source[-1]
