"""Own what a layer is: frozen values with their parameters and the shape they make of a shape.

Shapes leave the batch axis out: an image is ``(channels, height, width)``, a vector is
``(features,)``. One vocabulary serves both sides: a float network holds layers with float
parameters, a fixed network the same layers with raw integers.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.errors import ModelError
from fxpnn.network.window import Window as Window

Shape: TypeAlias = tuple[int, ...]
Array: TypeAlias = npt.NDArray[Any]
Number: TypeAlias = int | float
"""A scalar parameter: a float in a float network, a raw integer in a fixed one."""

MAX_PADDED = 1 << 27
"""The most values that padded maps of one image may hold."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Base of all layers; arrays given to one become read-only."""

    inputs: ClassVar[int | None] = 1
    """How many tensors the layer reads; ``None`` is two or more."""

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


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Multiply by a matrix and add a bias: ``y[o] = bias[o] + sum(weight[o, k] * x[k])``.

    ``weight`` is ``(out, in)``, ``bias`` ``(out,)``.
    """

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_parameters(self.weight, self.bias, "(out, in)")

    def shape(self, *shapes: Shape) -> Shape:
        """Take ``(in,)``, give ``(out,)``."""
        if shapes[0] != (self.weight.shape[1],):
            raise ModelError(f"input must be ({self.weight.shape[1]}), not {_text(shapes[0])}")
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False)
class Conv2D(Layer):
    """Correlate maps with kernels (they are not flipped) and add a bias per output map.

    ``weight`` is ``(out, in / groups, kernel height, kernel width)``, ``bias`` ``(out,)``; padding
    is zero.
    """

    weight: Array
    bias: Array
    window: Window
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_parameters(self.weight, self.bias, "(out, in / groups, height, width)")
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
        channels, *places = _slide(self.window, shapes[0])
        if channels != self.weight.shape[1] * self.groups:
            raise ModelError(
                f"input must have {self.weight.shape[1] * self.groups} maps "
                f"({self.weight.shape[1]} x {self.groups} groups), not {channels}"
            )
        return (self.weight.shape[0], *places)


@dataclass(frozen=True, eq=False)
class _Pool2D(Layer):
    window: Window

    def shape(self, *shapes: Shape) -> Shape:
        """Take ``(channels, height, width)``, give ``(channels, height', width')``."""
        shape = _slide(self.window, shapes[0])
        (top, left, bottom, right), (kh, kw) = self.window.padding, self.window.span
        if max(top, bottom) >= kh or max(left, right) >= kw:
            raise ModelError(
                f"padding must be smaller than the window {kh} x {kw}, not {self.window.padding}"
            )
        return shape


@dataclass(frozen=True, eq=False)
class MaxPool2D(_Pool2D):
    """Keep the largest value of each window; padding never wins."""


@dataclass(frozen=True, eq=False)
class AvgPool2D(_Pool2D):
    """Average each window; ``count_padding`` divides by the padded positions too."""

    count_padding: bool = False


@dataclass(frozen=True, eq=False)
class L2Pool2D(_Pool2D):
    """Take the root of the sum of squares of each window."""


@dataclass(frozen=True, eq=False)
class Relu(Layer):
    """``max(0, x)``."""


@dataclass(frozen=True, eq=False)
class LeakyRelu(Layer):
    """``x`` where it is not negative, else ``slope * x``."""

    slope: Number = 0.01


@dataclass(frozen=True, eq=False)
class PRelu(Layer):
    """``x`` where it is not negative, else ``slope * x``; ``slope`` is ``(channels,)``."""

    slope: Array

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape; its first axis is the channels."""
        if self.slope.shape != shapes[0][:1]:
            raise ModelError(f"slope must be ({shapes[0][0]}), not {_text(self.slope.shape)}")
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Clip(Layer):
    """Clamp to ``low..high``; ReLU6 is ``Clip(0, 6)``."""

    low: Number
    high: Number

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low <= self.high:
            raise ModelError(f"low must be at most high, not {self.low} and {self.high}")


@dataclass(frozen=True, eq=False)
class Sigmoid(Layer):
    """``1 / (1 + exp(-x))``."""


@dataclass(frozen=True, eq=False)
class Tanh(Layer):
    """``tanh(x)``."""


@dataclass(frozen=True, eq=False)
class Silu(Layer):
    """``x * sigmoid(x)``, also called swish."""


@dataclass(frozen=True, eq=False)
class HardSigmoid(Layer):
    """``clip(alpha * x + beta, 0, 1)``."""

    alpha: Number = 0.2
    beta: Number = 0.5


@dataclass(frozen=True, eq=False)
class HardSwish(Layer):
    """``x * clip(x + 3, 0, 6) / 6``."""


@dataclass(frozen=True, eq=False)
class Step(Layer):
    """1 where ``x >= threshold``, else 0."""

    threshold: Number = 0.0


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along ``axis`` of the shape without the batch."""

    axis: int = -1

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape."""
        _check_axis(self.axis, shapes[0])
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """Add two tensors of the same shape."""

    inputs: ClassVar[int | None] = 2

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape that both sides have."""
        if shapes[0] != shapes[1]:
            raise ModelError(
                f"branches must have one shape, not {_text(shapes[0])} and {_text(shapes[1])}"
            )
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Mul(Layer):
    """Multiply two tensors; where the second has size 1 along an axis, its values repeat."""

    inputs: ClassVar[int | None] = 2

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the first shape; the second is the same, or 1 along some axes."""
        x, y = shapes
        if len(x) != len(y) or any(n not in (1, m) for m, n in zip(x, y, strict=True)):
            raise ModelError(f"second branch must be {_text(x)}, or 1 along axes, not {_text(y)}")
        return x


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """Join tensors along ``axis`` of the shape without the batch."""

    inputs: ClassVar[int | None] = None
    axis: int = 0

    def shape(self, *shapes: Shape) -> Shape:
        """Add up the sizes along the axis; all others must agree."""
        axis = _check_axis(self.axis, shapes[0])
        rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
            texts = ", ".join(map(_text, shapes))
            raise ModelError(f"branches must agree but for axis {self.axis}, not {texts}")
        joined = list(shapes[0])
        joined[axis] = sum(shape[axis] for shape in shapes)
        return tuple(joined)


@dataclass(frozen=True, eq=False)
class Quantize(Layer):
    """Change nothing but the number format: a fixed network casts here."""


@dataclass(frozen=True, eq=False)
class Pad(Layer):
    """Surround each axis with a constant: ``pads`` holds (before, after) per axis but the batch."""

    pads: tuple[tuple[int, int], ...]
    value: Number = 0.0

    def shape(self, *shapes: Shape) -> Shape:
        """Grow every axis by its padding."""
        if len(self.pads) != len(shapes[0]) or min(map(min, self.pads)) < 0:
            raise ModelError(
                f"pads must be {len(shapes[0])} pairs of counts of 0 or more, not {self.pads}"
            )
        return tuple(b + size + a for size, (b, a) in zip(shapes[0], self.pads, strict=True))


@dataclass(frozen=True, eq=False)
class Flatten(Layer):
    """Relabel a tensor as a vector, last axis fastest."""

    def shape(self, *shapes: Shape) -> Shape:
        """Multiply the sizes."""
        return (math.prod(shapes[0]),)


@dataclass(frozen=True, eq=False)
class Reshape(Layer):
    """Relabel a tensor as ``target``, last axis fastest."""

    target: tuple[int, ...]

    def shape(self, *shapes: Shape) -> Shape:
        """Give the target; it must hold as many values."""
        if math.prod(self.target) != math.prod(shapes[0]) or min(self.target, default=1) < 1:
            raise ModelError(f"shape must hold {math.prod(shapes[0])} values, not {self.target}")
        return self.target


@dataclass(frozen=True, eq=False)
class Transpose(Layer):
    """Reorder axes: output axis ``i`` is input axis ``order[i]``, the batch not counted."""

    order: tuple[int, ...]

    def shape(self, *shapes: Shape) -> Shape:
        """Reorder the sizes."""
        if sorted(self.order) != list(range(len(shapes[0]))):
            raise ModelError(f"order must permute {len(shapes[0])} axes, not be {self.order}")
        return tuple(shapes[0][axis] for axis in self.order)


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
    if isinstance(layer, Dense | Conv2D):
        return math.prod(shape) * math.prod(layer.weight.shape[1:])
    return 0


def _slide(window: Window, shape: Shape) -> Shape:
    """Return the channels of maps and the window's positions on them."""
    if len(shape) != 3:
        raise ModelError(f"input must be (channels, height, width), not {_text(shape)}")
    channels, height, width = shape
    positions = window.output(height, width)
    top, left, bottom, right = window.reach(height, width)
    padded = (channels, top + height + bottom, left + width + right)
    if math.prod(padded) > MAX_PADDED:
        raise ModelError(f"padded input must hold at most 2**27 values, not be {_text(padded)}")
    return (channels, *positions)


def _check_parameters(weight: Array, bias: Array, axes: str) -> None:
    if weight.ndim != 1 + axes.count(",") or 0 in weight.shape:
        raise ModelError(f"weight must be {axes}, not {_text(weight.shape)}")
    if bias.shape != weight.shape[:1]:
        raise ModelError(f"bias must be {_text(weight.shape[:1])}, not {_text(bias.shape)}")


def _check_axis(axis: int, shape: Shape) -> int:
    if not -len(shape) <= axis < len(shape):
        raise ModelError(f"axis must be inside the {len(shape)} axes of {_text(shape)}, not {axis}")
    return axis % len(shape)


def _text(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
