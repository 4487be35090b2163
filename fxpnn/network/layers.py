"""The layers: frozen values with their parameters and traits.

One vocabulary serves both sides: a float network holds layers with float parameters, a fixed
network the same layers with raw integers.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.curves import Elu as Elu
from fxpnn.network.curves import Gelu as Gelu
from fxpnn.network.curves import GeluTanh as GeluTanh
from fxpnn.network.curves import Mish as Mish
from fxpnn.network.curves import Selu as Selu
from fxpnn.network.curves import Sigmoid as Sigmoid
from fxpnn.network.curves import Silu as Silu
from fxpnn.network.curves import Softplus as Softplus
from fxpnn.network.curves import Softsign as Softsign
from fxpnn.network.curves import Tanh as Tanh
from fxpnn.network.layer import Array as Array
from fxpnn.network.layer import Layer as Layer
from fxpnn.network.layer import Number as Number
from fxpnn.network.layer import Range as Range
from fxpnn.network.layer import Shape as Shape
from fxpnn.network.layer import layer_types as layer_types
from fxpnn.network.layer import parts_of as parts_of
from fxpnn.network.layer import products as products
from fxpnn.network.matmul import MatMul as MatMul
from fxpnn.network.moves import SELECTS
from fxpnn.network.moves import Concat as Concat
from fxpnn.network.moves import Flatten as Flatten
from fxpnn.network.moves import Pad as Pad
from fxpnn.network.moves import Reshape as Reshape
from fxpnn.network.moves import Slice as Slice
from fxpnn.network.moves import Take as Take
from fxpnn.network.moves import Transpose as Transpose
from fxpnn.network.norms import LayerNorm as LayerNorm
from fxpnn.network.shapes import check_parameters, slide, text
from fxpnn.network.softmax import MaskedSoftmax as MaskedSoftmax
from fxpnn.network.softmax import Softmax as Softmax
from fxpnn.network.traits import Output, Traits
from fxpnn.network.window import Window as Window

ABSORBED = replace(SELECTS, absorbed=True)

SUMS = Traits(sums=True, weight="weight", bias="bias")


@dataclass(frozen=True, eq=False, repr=False)
class Dense(Layer):
    """Multiply by a matrix and add a bias: ``y[o] = bias[o] + sum(weight[o, k] * x[k])``.

    ``weight`` is ``(out, in)``, ``bias`` ``(out,)``.
    """

    traits: ClassVar[Traits] = SUMS

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        check_parameters(self.weight, self.bias, "(out, in)")

    def shape(self, *shapes: Shape) -> Shape:
        """Take ``(in,)``, give ``(out,)``."""
        if shapes[0] != (self.weight.shape[1],):
            raise ModelError(f"input must be ({self.weight.shape[1]}), not {text(shapes[0])}")
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False, repr=False)
class Conv2D(Layer):
    """Correlate maps with kernels (they are not flipped) and add a bias per output map.

    ``weight`` is ``(out, in / groups, kernel height, kernel width)``, ``bias`` ``(out,)``; padding
    is zero.
    """

    traits: ClassVar[Traits] = SUMS

    weight: Array
    bias: Array
    window: Window
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_parameters(self.weight, self.bias, "(out, in / groups, height, width)")
        if self.weight.shape[2:] != self.window.kernel:
            raise ModelError(
                f"kernel must be as the weight's {self.weight.shape[2:]}, not {self.window.kernel}"
            )
        if self.window.ceil_mode:
            raise ModelError("a convolution must not have ceil_mode")
        if self.groups < 1 or self.weight.shape[0] % self.groups:
            raise ModelError(
                f"groups must divide the {self.weight.shape[0]} output maps, not {self.groups}"
            )

    def shape(self, *shapes: Shape) -> Shape:
        """Take ``(in, height, width)``, give ``(out, height', width')``."""
        channels, *places = slide(self.window, shapes[0])
        if channels != self.weight.shape[1] * self.groups:
            raise ModelError(
                f"input must have {self.weight.shape[1] * self.groups} maps "
                f"({self.weight.shape[1]} x {self.groups} groups), not {channels}"
            )
        return (self.weight.shape[0], *places)


@dataclass(frozen=True, eq=False, repr=False)
class _Pool2D(Layer):
    window: Window

    def shape(self, *shapes: Shape) -> Shape:
        """Take ``(channels, height, width)``, give ``(channels, height', width')``."""
        shape = slide(self.window, shapes[0])
        (top, left, bottom, right), (kh, kw) = self.window.padding, self.window.span
        if max(top, bottom) >= kh or max(left, right) >= kw:
            raise ModelError(
                f"padding must be smaller than the window {kh} x {kw}, not {self.window.padding}"
            )
        return shape


@dataclass(frozen=True, eq=False, repr=False)
class MaxPool2D(_Pool2D):
    """Keep the largest value of each window; padding never wins."""

    traits: ClassVar[Traits] = ABSORBED


@dataclass(frozen=True, eq=False, repr=False)
class AvgPool2D(_Pool2D):
    """Average each window; ``count_padding`` divides by the padded positions too."""

    traits: ClassVar[Traits] = Traits(output=Output.INHERITED, monotone=True)

    count_padding: bool = False

    def exact(self, magnitude: int, finer: int) -> int:
        """Return the largest sum at the output's scale, two bits for the rest of its division."""
        return 4 * math.prod(self.window.kernel) * magnitude << finer


@dataclass(frozen=True, eq=False, repr=False)
class L2Pool2D(_Pool2D):
    """Take the root of the sum of squares of each window."""

    traits: ClassVar[Traits] = Traits(output=Output.INHERITED)

    def exact(self, magnitude: int, finer: int) -> int:
        """Return the largest sum of squares at the square of the output's scale."""
        return math.prod(self.window.kernel) * magnitude**2 << 2 * finer

    def growth(self) -> float:
        """Return the root of the window's size: that of the sum of so many equal squares."""
        return math.sqrt(math.prod(self.window.kernel))


@dataclass(frozen=True, eq=False, repr=False)
class Relu(Layer):
    """``max(0, x)``."""

    traits: ClassVar[Traits] = replace(ABSORBED, elementwise=True, floor=0)


@dataclass(frozen=True, eq=False, repr=False)
class LeakyRelu(Layer):
    """``x`` where it is not negative, else ``slope * x``."""

    traits: ClassVar[Traits] = Traits(elementwise=True, output=Output.KEPT, weight="slope")

    slope: Number = 0.01

    def growth(self) -> float:
        """Return the slope where it is steeper than 1."""
        return max(1.0, abs(self.slope))


@dataclass(frozen=True, eq=False, repr=False)
class PRelu(Layer):
    """``x`` where it is not negative, else ``slope * x``; ``slope`` is ``(channels,)``."""

    traits: ClassVar[Traits] = Traits(elementwise=True, output=Output.KEPT, weight="slope")

    slope: Array

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape; its first axis is the channels."""
        if self.slope.shape != shapes[0][:1]:
            raise ModelError(f"slope must be ({shapes[0][0]}), not {text(self.slope.shape)}")
        return shapes[0]

    def growth(self) -> float:
        """Return the steepest slope where it is steeper than 1."""
        return max(1.0, float(np.abs(self.slope).max()))


@dataclass(frozen=True, eq=False, repr=False)
class Clip(Layer):
    """Clamp to ``low..high``; ReLU6 is ``Clip(0, 6)``."""

    traits: ClassVar[Traits] = replace(
        ABSORBED,
        elementwise=True,
        limits=("low", "high"),
        floor="low",
        ceiling="high",
        endless=True,
    )

    low: Number
    high: Number

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low <= self.high:
            raise ModelError(f"low must be at most high, not {self.low} and {self.high}")


@dataclass(frozen=True, eq=False, repr=False)
class Abs(Layer):
    """``x`` where it is not negative, else ``-x``: only the least word can overflow."""

    traits: ClassVar[Traits] = Traits(elementwise=True, output=Output.KEPT)


@dataclass(frozen=True, eq=False, repr=False)
class HardSigmoid(Layer):
    """``clip(alpha * x + beta, 0, 1)``."""

    traits: ClassVar[Traits] = Traits(
        elementwise=True,
        integer=0,
        open_range=(0, 1),
        weight="alpha",
        bias="beta",
        product_fracs=(0, 46),  # with fewer the products could not hold 1
    )

    alpha: Number = 0.2
    beta: Number = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class HardSwish(Layer):
    """``x * clip(x + 3, 0, 6) / 6``."""

    traits: ClassVar[Traits] = Traits(elementwise=True, approximate=True, input_fracs=(-16, 24))

    def range(self, *ranges: Range) -> Range:
        """Return 0 to the largest input, and what lies below 0: at least -0.375."""
        return -0.375, max(ranges[0][1], 0.0)


@dataclass(frozen=True, eq=False, repr=False)
class Step(Layer):
    """1 where ``x >= threshold``, else 0."""

    traits: ClassVar[Traits] = Traits(
        elementwise=True, integer=1, monotone=True, limits=("threshold",)
    )

    threshold: Number = 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Add(Layer):
    """Add two tensors of the same shape."""

    traits: ClassVar[Traits] = Traits(elementwise=True, monotone=True, apart=44)

    inputs: ClassVar[int | None] = 2

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape that both sides have."""
        if shapes[0] != shapes[1]:
            raise ModelError(
                f"branches must have one shape, not {text(shapes[0])} and {text(shapes[1])}"
            )
        return shapes[0]

    def range(self, *ranges: Range) -> Range:
        """Add up the ends."""
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)


@dataclass(frozen=True, eq=False, repr=False)
class Mul(Layer):
    """Multiply two tensors; where the second has size 1 along an axis, its values repeat."""

    traits: ClassVar[Traits] = Traits(elementwise=True)

    inputs: ClassVar[int | None] = 2

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the first shape; the second is the same, or 1 along some axes."""
        x, y = shapes
        if len(x) != len(y) or any(n not in (1, m) for m, n in zip(x, y, strict=True)):
            raise ModelError(f"second branch must be {text(x)}, or 1 along axes, not {text(y)}")
        return x


@dataclass(frozen=True, eq=False, repr=False)
class Quantize(Layer):
    """Change nothing but the number format: a fixed network casts here."""

    traits: ClassVar[Traits] = Traits(elementwise=True, exact=True, monotone=True)
