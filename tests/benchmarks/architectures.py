"""Networks that people bring, built in code with random weights: the shapes count, not the classes.

Weights are drawn so that no map grows or fades (He et al., 2015); batch norms are folded into the
convolutions before them, but for DenseNet's, which stand behind a concatenation and are
convolutions of one place and one channel.
"""

from collections.abc import Callable, Mapping
from itertools import count

import numpy as np

from fxpnn.network import layers
from fxpnn.network.graph import INPUT, Network, Node
from fxpnn.network.layers import Array, Layer, Shape
from fxpnn.network.window import Window

CLASSES = 1000
PHOTO: Shape = (3, 224, 224)
EXPANDED = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""MobileNetV2's stages: expansion, channels, blocks, stride of the first."""


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
        self, x: str, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: str = ""
    ) -> str:
        """Add a convolution that keeps the map's size but for its stride, and what follows it."""
        inputs = self.channels[x] // groups
        weight = self.drawn(outputs, inputs, kernel, kernel, inputs=inputs * kernel * kernel)
        window = Window((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
        made = layers.Conv2D(weight, self.bias(outputs), window, groups)
        return self.follow(self.add(made, x, channels=outputs), act)

    def follow(self, x: str, act: str) -> str:
        """Add an activation: ``relu``, ``relu6`` or none."""
        if act == "relu":
            return self.add(layers.Relu(), x)
        return self.add(layers.Clip(0.0, 6.0), x) if act else x

    def norm(self, x: str) -> str:
        """Add a batch norm that no convolution stands before, and a ReLU."""
        channels = self.channels[x]
        scale = self.random.uniform(0.8, 1.2, (channels, 1, 1, 1)).astype(np.float32)
        made = layers.Conv2D(scale, self.bias(channels), Window((1, 1)), channels)
        return self.follow(self.add(made, x), "relu")

    def max_pool(self, x: str, kernel: int, stride: int, padding: int = 0) -> str:
        """Add a max pool."""
        window = Window((kernel, kernel), (stride, stride), (padding,) * 4)
        return self.add(layers.MaxPool2D(window), x)

    def mean(self, x: str, size: int, stride: int = 1) -> str:
        """Add an average pool; of a whole map by default."""
        return self.add(layers.AvgPool2D(Window((size, size), (stride, stride))), x)

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


def resnet18() -> Network:
    """Build ResNet-18 (He et al., 2016)."""
    b = Builder("resnet-18", PHOTO)
    x = b.max_pool(b.conv(INPUT, 64, 7, 2, act="relu"), 3, 2, 1)
    for channels, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = _basic(b, _basic(b, x, channels, first), channels, 1)
    x = b.add(layers.Flatten(), b.mean(x, 7))
    b.dense(x, 512, CLASSES)
    return b.network()


def resnet8() -> Network:
    """Build the ResNet of MLPerf Tiny (Banbury et al., 2021)."""
    b = Builder("resnet-8", (3, 32, 32))
    x = b.conv(INPUT, 16, 3, act="relu")
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        x = _basic(b, x, channels, stride)
    x = b.add(layers.Flatten(), b.mean(x, 8))
    b.dense(x, 64, 10)
    return b.network()


def _basic(b: Builder, x: str, channels: int, stride: int) -> str:
    inner = b.conv(b.conv(x, channels, 3, stride, act="relu"), channels, 3)
    past = x if b.channels[x] == channels and stride == 1 else b.conv(x, channels, 1, stride)
    return b.follow(b.add(layers.Add(), inner, past), "relu")


def mobilenet_v2() -> Network:
    """Build MobileNetV2 (Sandler et al., 2018)."""
    b = Builder("mobilenet-v2", PHOTO)
    x = b.conv(INPUT, 32, 3, 2, act="relu6")
    for factor, channels, blocks, first in EXPANDED:
        for i in range(blocks):
            x = _inverted(b, x, factor, channels, 1 if i else first)
    x = b.add(layers.Flatten(), b.mean(b.conv(x, 1280, act="relu6"), 7))
    b.dense(x, 1280, CLASSES)
    return b.network()


def _inverted(b: Builder, x: str, factor: int, channels: int, stride: int) -> str:
    inner, wide = x, b.channels[x] * factor
    if factor > 1:
        inner = b.conv(inner, wide, act="relu6")
    inner = b.conv(b.conv(inner, wide, 3, stride, wide, act="relu6"), channels)
    keeps = stride == 1 and b.channels[x] == channels
    return b.add(layers.Add(), inner, x) if keeps else inner


def densenet121() -> Network:
    """Build DenseNet-121 (Huang et al., 2017)."""
    b = Builder("densenet-121", PHOTO)
    x = b.max_pool(b.conv(INPUT, 64, 7, 2, act="relu"), 3, 2, 1)
    for blocks in (6, 12, 24, 16):
        for _ in range(blocks):
            x = b.concat(x, b.conv(b.norm(b.conv(b.norm(x), 128)), 32, 3))
        if blocks != 16:
            x = b.mean(b.conv(b.norm(x), b.channels[x] // 2), 2, 2)
    x = b.add(layers.Flatten(), b.mean(b.norm(x), 7))
    b.dense(x, 1024, CLASSES)
    return b.network()


def vgg11() -> Network:
    """Build VGG-11 (Simonyan and Zisserman, 2015): 133 million weights."""
    b = Builder("vgg-11", PHOTO)
    x = INPUT
    for channels, convolutions in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(convolutions):
            x = b.conv(x, channels, 3, act="relu")
        x = b.max_pool(x, 2, 2)
    x = b.add(layers.Flatten(), x)
    x = b.dense(b.dense(x, 25088, 4096, "relu"), 4096, 4096, "relu")
    b.dense(x, 4096, CLASSES)
    return b.network()


def ds_cnn() -> Network:
    """Build the keyword spotter of MLPerf Tiny: depthwise separable convolutions."""
    b = Builder("ds-cnn", (1, 49, 10))
    window = Window((10, 4), (2, 2), (4, 1, 5, 1))
    first = layers.Conv2D(b.drawn(64, 1, 10, 4, inputs=40), b.bias(64), window)
    x = b.add(first, INPUT, channels=64)
    x = b.follow(x, "relu")
    for _ in range(4):
        x = b.conv(b.conv(x, 64, 3, groups=64, act="relu"), 64, act="relu")
    x = b.add(layers.Flatten(), b.add(layers.AvgPool2D(Window((25, 5))), x))
    b.dense(x, 64, 12)
    return b.network()


ZOO: Mapping[str, Callable[[], Network]] = {
    "mobilenet-v2": mobilenet_v2,
    "resnet-18": resnet18,
    "densenet-121": densenet121,
    "vgg-11": vgg11,
    "resnet-8": resnet8,
    "ds-cnn": ds_cnn,
}
SMALL = ("resnet-8", "ds-cnn")
"""Those of small images."""
