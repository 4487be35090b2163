"""Builds a network of known shapes with random weights, node by node.

Weights are drawn so that no map grows or fades (He et al., 2015); batch norms are folded into the
convolutions before them.
"""

from collections.abc import Mapping
from itertools import count
from types import MappingProxyType

import numpy as np

from fxpnn.network import layers
from fxpnn.network.graph import INPUT, Network, Node
from fxpnn.network.layers import Array, Layer, Shape
from fxpnn.network.window import Window

ACTIVATIONS: Mapping[str, Layer] = MappingProxyType(
    {
        "relu": layers.Relu(),
        "relu6": layers.Clip(0.0, 6.0),
        "silu": layers.Silu(),
        "hard-swish": layers.HardSwish(),
        "sigmoid": layers.Sigmoid(),
        "hard-sigmoid": layers.HardSigmoid(1 / 6, 0.5),
    }
)


class Builder:
    """Nodes that grow one by one; each call returns the name of what it added."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.name, self.shape = name, shape
        self.nodes: list[Node] = []
        self.channels = {INPUT: shape[0]}
        self.random = np.random.default_rng(len(name))
        self.numbers = count()

    def add(self, layer: Layer, *sources: str, channels: int = 0) -> str:
        """Add a layer; it has the channels of what it reads unless it says otherwise."""
        name = f"{type(layer).__name__.lower()}{next(self.numbers)}"
        self.nodes.append(Node(name, layer, sources))
        self.channels[name] = channels or self.channels[sources[0]]
        return name

    def drawn(self, *shape: int, inputs: int) -> Array:
        """Draw weights as a file holds them: float32."""
        scale = np.float32((2 / inputs) ** 0.5)
        return self.random.standard_normal(shape, np.float32) * scale

    def bias(self, outputs: int) -> Array:
        """Draw small biases."""
        return self.random.normal(0, 0.1, outputs).astype(np.float32)

    def conv(
        self,
        x: str,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: str = "",
        padding: int | None = None,
    ) -> str:
        """Add a convolution, and what follows it.

        It keeps the map's size but for its stride, unless ``padding`` is another.
        """
        inputs = self.channels[x] // groups
        weight = self.drawn(outputs, inputs, kernel, kernel, inputs=inputs * kernel * kernel)
        sides = (kernel // 2 if padding is None else padding,) * 4
        window = Window((kernel, kernel), (stride, stride), sides)
        made = layers.Conv2D(weight, self.bias(outputs), window, groups)
        return self.follow(self.add(made, x, channels=outputs), act)

    def follow(self, x: str, act: str) -> str:
        """Add an activation by its name, or none."""
        return self.add(ACTIVATIONS[act], x) if act else x

    def norm(self, x: str) -> str:
        """Add a batch norm that no convolution stands before, and a ReLU."""
        channels = self.channels[x]
        scale = self.random.uniform(0.8, 1.2, (channels, 1, 1, 1)).astype(np.float32)
        made = layers.Conv2D(scale, self.bias(channels), Window((1, 1)), channels)
        return self.follow(self.add(made, x), "relu")

    def max_pool(self, x: str, kernel: int, stride: int, before: int = 0, after: int = 0) -> str:
        """Add a max pool with so much padding before and after each row and column."""
        window = Window((kernel, kernel), (stride, stride), (before, before, after, after))
        return self.add(layers.MaxPool2D(window), x)

    def mean(self, x: str, size: int, stride: int = 1) -> str:
        """Add an average pool; of a whole map by default."""
        return self.add(layers.AvgPool2D(Window((size, size), (stride, stride))), x)

    def gate(self, x: str, size: int, squeezed: int, act: str, opens: str) -> str:
        """Multiply each channel by what is made of the means of all (Hu et al., 2018)."""
        inner = self.conv(self.mean(x, size), squeezed, act=act)
        gate = self.conv(inner, self.channels[x], act=opens)
        return self.add(layers.Mul(), x, gate)

    def concat(self, *sources: str) -> str:
        """Join maps along their channels."""
        channels = sum(self.channels[name] for name in sources)
        return self.add(layers.Concat(0), *sources, channels=channels)

    def dense(self, x: str, inputs: int, outputs: int, act: str = "") -> str:
        """Add a dense layer."""
        made = layers.Dense(self.drawn(outputs, inputs, inputs=inputs), self.bias(outputs))
        return self.follow(self.add(made, x, channels=outputs), act)

    def network(self) -> Network:
        """Return what was built."""
        return Network(self.name, self.shape, tuple(self.nodes))
