"""Fold ``gain * x + offset`` into the weighted layer before it or behind it, in float64."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from fxpnn.network.layers import Array, Conv2D, Dense, Layer, Shape, Window
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import narrow


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
    def changes(self) -> bool:
        """Tell the map from the one that gives back what it takes."""
        return bool((self.gain != 1).any() or self.offset.any())

    def after(self, before: Self | None) -> Self:
        """Return the one map that equals ``before``, then this."""
        if before is None:
            return self
        offset = before.offset * self.gain + self.offset
        return replace(self, gain=before.gain * self.gain, offset=offset)


def as_maps(affine: Affine, shape: Shape) -> Shape:
    """Return the maps on which the map is one for each channel.

    They are those of ``shape`` or its first axis; else one of all elements, or one of each.
    """
    if len(shape) != 3 and affine.uniform:
        return 1, 1, math.prod(shape)
    if any(per_channel(array, shape) is None for array in (affine.gain, affine.offset)):
        return math.prod(shape), 1, 1
    return shape if len(shape) == 3 else (shape[0], 1, math.prod(shape[1:]))


def as_layer(affine: Affine, shape: Shape, channels: int) -> Conv2D:
    """Return the map as a layer of its own, a 1 x 1 convolution of each of ``as_maps``."""
    gain, offset = (_by_map(array, shape, channels) for array in (affine.gain, affine.offset))
    weight = narrow(gain.reshape(-1, 1, 1, 1))
    return Conv2D(weight, narrow(offset), Window((1, 1)), groups=channels)


def _by_map(array: Array, shape: Shape, channels: int) -> Array:
    if array.size == 1:
        return np.broadcast_to(array.reshape(1), (channels,))
    values = per_channel(array, shape)
    if values is None or len(values) != channels:
        values = np.broadcast_to(array, shape).reshape(-1)
    return values


def fold_back(layer: Layer, affine: Affine, shape: Shape) -> Layer | None:
    """Return the layer with the map of its output, of ``shape``, folded in, or ``None``.

    ``y = gain * (W x + b) + offset`` is ``(gain * W) x + (gain * b + offset)``.
    """
    if not isinstance(layer, Dense | Conv2D):
        return None
    gain, offset = (per_channel(array, shape) for array in (affine.gain, affine.offset))
    if gain is None or offset is None:
        return None
    weight = layer.weight * gain.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    return replace(layer, weight=narrow(weight), bias=narrow(layer.bias * gain + offset))


def fold_ahead(layer: Dense | Conv2D, affine: Affine, shape: Shape) -> Layer | None:
    """Return the layer with the map of its input, of ``shape``, folded in, or ``None``.

    ``y = W (gain * x + offset) + b`` is ``(W * gain) x + (W offset + b)``; where a convolution
    pads with zeros, these lie behind the map, and only an offset of 0 can be folded.
    """
    if isinstance(layer, Dense):
        gain, offset = (np.broadcast_to(array, shape) for array in (affine.gain, affine.offset))
        bias = layer.weight.astype(np.float64) @ offset + layer.bias
        return replace(layer, weight=narrow(layer.weight * gain), bias=narrow(bias))
    gains, offsets = (per_channel(array, shape) for array in (affine.gain, affine.offset))
    if gains is None or offsets is None or (offsets.any() and any(layer.window.padding)):
        return None
    weight = layer.weight * _by_group(gains, layer)
    bias = (layer.weight * _by_group(offsets, layer)).sum(axis=(1, 2, 3)) + layer.bias
    return replace(layer, weight=narrow(weight), bias=narrow(bias))


def _by_group(values: Array, layer: Conv2D) -> Array:
    """Lay one value per input map out for the weight: ``(out, in / groups, 1, 1)``."""
    rows = values.reshape(layer.groups, -1)
    return np.repeat(rows, len(layer.weight) // layer.groups, axis=0)[:, :, None, None]


def per_channel(array: Array, shape: Shape) -> Array | None:
    """Return the one value per channel of an array that broadcasts to ``shape``, or ``None``."""
    rows = array.reshape(len(array), -1)
    if (rows != rows[:, :1]).any():
        return None
    return np.broadcast_to(rows[:, 0], shape[:1])
