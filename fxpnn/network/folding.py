"""Fold ``gain * x + offset`` into the weighted layers that read it, in float64."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from fxpnn.network.graph import Network, Node, read_from
from fxpnn.network.layers import (
    Array,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    Reshape,
    Shape,
    Slice,
    Take,
    Transpose,
    Window,
)

MOST = 1 << 24
"""So many values of maps are moved with the inputs to which they are to be applied."""


@np.errstate(all="ignore")  # Network names what is not finite
def without_normalisation(network: Network) -> Network:
    """Return the network with its normalisation as its layers' part, which takes bare inputs.

    It is folded into the weights that read it. What cannot take it in reads a layer that computes
    it, the network's ``normaliser``.

    Raises:
        ModelError: a folded weight would not be finite.
    """
    if network.normalisation is None:
        return network
    made = _Unfolded(network, network.normalisation.arrays(network.input_shape))
    for node in network.nodes:
        made.add(node)
    return read_from(network.sha256, replace(network, nodes=tuple(made.nodes), normalisation=None))


class _Unfolded:
    """The nodes so far, and the map that is still to be applied to tensors of moved inputs."""

    def __init__(self, network: Network, begin: tuple[Array, Array]) -> None:
        self.network, self.nodes = network, list[Node]()
        self._pending = {network.input_name: begin}
        self._settled: dict[str, str] = {}
        self._taken = set(network.shapes)
        self._budget = MOST

    def add(self, node: Node) -> None:
        """Append a node that moves inputs, takes in the map of what it reads, or finds it done."""
        sources = [self._pending[name] for name in node.inputs if name in self._pending]
        if len(sources) == len(node.inputs) and self._moves(node):
            shapes = [self.network.shapes[name] for name in node.inputs]
            self._pending[node.name] = _moved(node.layer, sources, shapes)
            self.nodes.append(node)
            return
        if sources and isinstance(node.layer, Dense | Conv2D):
            shape = self.network.shapes[node.inputs[0]]
            if (folded := fold_ahead(node.layer, *sources[0], shape)) is not None:
                self.nodes.append(replace(node, layer=folded))
                return
        self.nodes.append(replace(node, inputs=tuple(map(self._bare, node.inputs))))

    def _moves(self, node: Node) -> bool:
        """Tell whether a node only moves values, so that a map can be applied behind it."""
        if not isinstance(node.layer, Flatten | Reshape | Transpose | Slice | Take | Concat):
            return False
        self._budget -= math.prod(self.network.shapes[node.name])
        return self._budget >= 0 and node.name not in self.network.outputs

    def _bare(self, name: str) -> str:
        """Return the tensor with nothing left to apply that stands for one; a layer makes it."""
        if name not in self._pending:
            return name
        if name not in self._settled:
            (gain, offset), shape = self._pending[name], self.network.shapes[name]
            maps = as_maps(gain, offset, shape)
            layer = as_layer(gain, offset, shape, maps[0])
            source = name if maps == shape else self._append(".maps", Reshape(maps), name)
            source = self._append("", layer, source)
            if maps != shape:
                source = self._append(".shape", Reshape(shape), source)
            self._settled[name] = source
        return self._settled[name]

    def _append(self, part: str, layer: Layer, source: str) -> str:
        name = wanted = self.network.normaliser + part
        count = 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        self.nodes.append(Node(name, layer, (source,)))
        return name


def _moved(
    layer: Layer, maps: Sequence[tuple[Array, Array]], shapes: Sequence[Shape]
) -> tuple[Array, Array]:
    """Return the map of what a layer moves, by those of what it reads."""
    target = layer.shape(*shapes)
    if len(maps) == 1 and maps[0][0].size == maps[0][1].size == 1:
        gain, offset = (array.reshape((1,) * len(target)) for array in maps[0])
        return gain, offset

    def move(arrays: Iterable[Array]) -> Array:
        whole = [np.broadcast_to(array, shape) for array, shape in zip(arrays, shapes, strict=True)]
        match layer:
            case Concat():
                return np.concatenate(whole, layer.axis)
            case Transpose():
                return whole[0].transpose(layer.order)
            case Slice():
                return whole[0][layer.places(len(shapes[0]))]
            case Take():
                return whole[0].take(layer.places, layer.axis)
            case _:
                return whole[0].reshape(target)

    gains, offsets = zip(*maps, strict=True)
    return move(gains), move(offsets)


def fold_ahead(layer: Dense | Conv2D, gain: Array, offset: Array, shape: Shape) -> Layer | None:
    """Return the layer with the map of its input, of ``shape``, folded in, or ``None``.

    ``y = W (gain * x + offset) + b`` is ``(W * gain) x + (W offset + b)``; where a convolution
    pads with zeros, these lie behind the map, and only an offset of 0 can be folded.
    """
    if isinstance(layer, Dense):
        gain, offset = (np.broadcast_to(array, shape) for array in (gain, offset))
        bias = layer.weight.astype(np.float64) @ offset + layer.bias
        return replace(layer, weight=narrow(layer.weight * gain), bias=narrow(bias))
    gains, offsets = (per_channel(array, shape) for array in (gain, offset))
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


def narrow(array: Array) -> Array:
    """Return the array as float32 where that loses nothing, else as float64."""
    small = array.astype(np.float32)
    return small if np.array_equal(small, array) else array.astype(np.float64)


def as_maps(gain: Array, offset: Array, shape: Shape) -> Shape:
    """Return the maps on which ``gain * x + offset`` is one map for each channel.

    They are those of ``shape`` or its first axis; else one of all elements, or one of each.
    """
    if len(shape) != 3 and gain.size == offset.size == 1:
        return 1, 1, math.prod(shape)
    if any(per_channel(array, shape) is None for array in (gain, offset)):
        return math.prod(shape), 1, 1
    return shape if len(shape) == 3 else (shape[0], 1, math.prod(shape[1:]))


def as_layer(gain: Array, offset: Array, shape: Shape, channels: int) -> Conv2D:
    """Return ``gain * x + offset`` as a layer, a 1 x 1 convolution of each of ``as_maps``."""
    gain, offset = (_by_map(array, shape, channels) for array in (gain, offset))
    weight = narrow(gain.reshape(-1, 1, 1, 1))
    return Conv2D(weight, narrow(offset), Window((1, 1)), groups=channels)


def _by_map(array: Array, shape: Shape, channels: int) -> Array:
    if array.size == 1:
        return np.broadcast_to(array.reshape(1), (channels,))
    values = per_channel(array, shape)
    if values is None or len(values) != channels:
        values = np.broadcast_to(array, shape).reshape(-1)
    return values
