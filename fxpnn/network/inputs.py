"""What a network reads: its inputs, and arrays of several laid side by side as rows.

One array holds the images of a network everywhere: ``(N, *shape)`` where it has one input, and rows
``(N, values)`` where it has several: the values of each, flat, in the order of the inputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layer import Array, Shape

INPUT = "input"
"""The name by which nodes refer to the input of a network that has one."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input: the name by which nodes refer to it, and its shape without the batch."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        """Count the values of one image."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class FixedInput(Input):
    """An input of a fixed network: what its raw words mean, too."""

    format: QFormat


_Input = TypeVar("_Input", bound=Input)


def image_shape(inputs: Sequence[Input]) -> Shape:
    """Return the shape in which one image stands in an array: a row where inputs are several.

    >>> image_shape([Input("a", (1, 2, 2)), Input("b", (3,))])
    (7,)
    """
    return inputs[0].shape if len(inputs) == 1 else (sum(it.size for it in inputs),)


def split(inputs: Sequence[_Input], images: Array) -> dict[str, Array]:
    """Return each input's part of images, ``(N, *shape)``: views where there are several."""
    if len(inputs) == 1:
        return {inputs[0].name: images}
    ends = np.cumsum([it.size for it in inputs])[:-1]
    parts = np.split(images, ends, axis=1)
    return {
        it.name: part.reshape(len(images), *it.shape)
        for it, part in zip(inputs, parts, strict=True)
    }


def entrance(inputs: Sequence[Input]) -> dict[str, Any]:
    """Return the fields by which a network is given its inputs."""
    first, *further = inputs
    found = {"input_name": first.name, "input_shape": first.shape, "further": tuple(further)}
    return found | ({"input_format": first.format} if isinstance(first, FixedInput) else {})


def check_one(inputs: Sequence[Input], what: str) -> None:
    """Raise ``ModelError`` where a network has several inputs, which ``what`` cannot take yet."""
    if len(inputs) > 1:
        names = ", ".join(it.name for it in inputs)
        raise ModelError(f"{what} takes networks of one input, not of {len(inputs)}: {names}")
