"""What layers check of shapes, and the errors that name what is wrong with one."""

import math

from fxpnn.errors import ModelError
from fxpnn.network.layer import Array, Shape
from fxpnn.network.window import Window

AXES = 32
"""The most axes of a tensor."""
MAX_PADDED = 1 << 27
"""The most values that padded maps of one image may hold."""


def slide(window: Window, shape: Shape) -> Shape:
    """Return the channels of maps and the window's positions on them."""
    if len(shape) != 3:
        raise ModelError(f"input must be (channels, height, width), not {text(shape)}")
    channels, height, width = shape
    positions = window.output(height, width)
    top, left, bottom, right = window.reach(height, width)
    padded = (channels, top + height + bottom, left + width + right)
    if math.prod(padded) > MAX_PADDED:
        raise ModelError(f"padded input must hold at most 2**27 values, not be {text(padded)}")
    return (channels, *positions)


def check_parameters(weight: Array, bias: Array, axes: str) -> None:
    """Raise ``ModelError`` unless a weight has these axes, and a bias one value for the first."""
    if weight.ndim != 1 + axes.count(",") or 0 in weight.shape:
        raise ModelError(f"weight must be {axes}, not {text(weight.shape)}")
    if bias.shape != weight.shape[:1]:
        raise ModelError(f"bias must be {text(weight.shape[:1])}, not {text(bias.shape)}")


def check_axis(axis: int, shape: Shape) -> int:
    """Return an axis counted from the first, or raise ``ModelError`` if there is none."""
    if not -len(shape) <= axis < len(shape):
        raise ModelError(f"axis must be inside the {len(shape)} axes of {text(shape)}, not {axis}")
    return axis % len(shape)


def text(shape: Shape) -> str:
    """Spell a shape as errors do."""
    return "(" + ", ".join(map(str, shape)) + ")"
