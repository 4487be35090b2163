"""Fold ``gain * x + offset`` into the weighted layer before it or behind it, in float64."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from fxpnn.network.folding import narrow, per_channel
from fxpnn.network.layers import Array, Conv2D, Dense, Layer, Shape
from fxpnn.network.normalisation import Normalisation
from fxpnn.onnx.graph.normal import Op

HIDDEN = 1e4
"""What is put so far below another place is hidden from a softmax: its power is 0 in float32, too.
Exporters write -1e4, -65504, -1e9, the least float32 or minus infinity."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``gain * x + offset``, not yet folded; both are float64 and broadcast to one image.

    ``op`` is the operator that brought it last.
    """

    gain: Array
    offset: Array
    op: Op

    @property
    def uniform(self) -> bool:
        """Tell whether the map is one for all elements."""
        return bool(self.gain.size == 1 and self.offset.size == 1)

    @property
    def hides(self) -> bool:
        """Tell whether it is a mask of minus infinity, which only a softmax can take in."""
        return bool(np.isneginf(self.offset).any())

    @property
    def masks(self) -> bool:
        """Tell whether it puts some places so far below others that a softmax might hide them."""
        return bool(self.offset.min() <= self.offset.max() - HIDDEN)

    def hidden(self, shape: Shape, axis: int) -> Array:
        """Tell which places of a tensor of a shape a softmax along an axis gives nothing."""
        offset = np.broadcast_to(self.offset, shape)
        return np.asarray(offset <= offset.max(axis=axis, keepdims=True) - HIDDEN)

    @property
    def changes(self) -> bool:
        """Tell the map from the one that gives back what it takes."""
        return bool((self.gain != 1).any() or self.offset.any())

    def normalisation(self, shape: Shape) -> Normalisation:
        """Give the map of inputs of a shape as what a network begins with."""
        gain, offset = (_values(array, shape) for array in (self.gain, self.offset))
        return Normalisation(gain, offset)

    def moved(self, shape: Shape, rank: int, move: Callable[[Array], Array]) -> Self:
        """Return the map of what ``move`` makes of a tensor of a shape; the result has a rank."""
        if self.uniform:
            ones = (1,) * rank
            return replace(self, gain=self.gain.reshape(ones), offset=self.offset.reshape(ones))
        gain, offset = (move(np.broadcast_to(array, shape)) for array in (self.gain, self.offset))
        return replace(self, gain=gain, offset=offset)

    def after(self, before: Self | None) -> Self:
        """Return the one map that equals ``before``, then this."""
        if before is None:
            return self
        offset = before.offset * self.gain + self.offset
        return replace(self, gain=before.gain * self.gain, offset=offset)


def _values(array: Array, shape: Shape) -> tuple[float, ...]:
    """Return one value, one for each channel, or all; none is -0."""
    if array.size > 1:
        whole = np.broadcast_to(array, shape)
        channels = per_channel(whole, shape)
        array = whole if channels is None else channels
    return tuple((array.reshape(-1) + 0.0).tolist())


def fold_back(layer: Layer, affine: Affine) -> Layer | None:
    """Return the layer with the map of its output folded in, or ``None``.

    ``y = gain * (W x + b) + offset`` is ``(gain * W) x + (gain * b + offset)``.
    """
    if not isinstance(layer, Dense | Conv2D):
        return None
    gain, offset = (per_channel(array, layer.bias.shape) for array in (affine.gain, affine.offset))
    if gain is None or offset is None:
        return None
    weight = layer.weight * gain.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    return replace(layer, weight=narrow(weight), bias=narrow(layer.bias * gain + offset))
