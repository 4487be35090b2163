"""Networks that people bring, built in code with random weights: the shapes count, not the classes.

Shapes are those of torchvision, and of MLPerf Tiny (Banbury et al., 2021). DenseNet's batch norms,
which stand behind concatenations, are convolutions of one place and one channel.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fxpnn.network import layers
from fxpnn.network.graph import INPUT, Network
from fxpnn.network.layers import Shape
from fxpnn.network.window import Window
from tests.benchmarks.builder import Builder

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
FIRES = (
    (16, 64),
    (16, 64),
    (),
    (32, 128),
    (32, 128),
    (),
    (48, 192),
    (48, 192),
    (64, 256),
    (64, 256),
)
"""SqueezeNet's fires: squeezed channels, and those of each half; a pool where there are none."""


class Bneck(NamedTuple):
    """A block of MobileNetV3, and the size of its map behind the stride."""

    kernel: int
    wide: int
    channels: int
    gated: bool
    act: str
    stride: int
    size: int


BNECKS = (
    Bneck(3, 16, 16, True, "relu", 2, 56),
    Bneck(3, 72, 24, False, "relu", 2, 28),
    Bneck(3, 88, 24, False, "relu", 1, 28),
    Bneck(5, 96, 40, True, "hard-swish", 2, 14),
    Bneck(5, 240, 40, True, "hard-swish", 1, 14),
    Bneck(5, 240, 40, True, "hard-swish", 1, 14),
    Bneck(5, 120, 48, True, "hard-swish", 1, 14),
    Bneck(5, 144, 48, True, "hard-swish", 1, 14),
    Bneck(5, 288, 96, True, "hard-swish", 2, 7),
    Bneck(5, 576, 96, True, "hard-swish", 1, 7),
    Bneck(5, 576, 96, True, "hard-swish", 1, 7),
)


class Stage(NamedTuple):
    """Blocks of EfficientNet-B0, and the size of their maps."""

    factor: int
    kernel: int
    stride: int
    channels: int
    blocks: int
    size: int


STAGES = (
    Stage(1, 3, 1, 16, 1, 112),
    Stage(6, 3, 2, 24, 2, 56),
    Stage(6, 5, 2, 40, 2, 28),
    Stage(6, 3, 2, 80, 3, 14),
    Stage(6, 5, 1, 112, 3, 14),
    Stage(6, 5, 2, 192, 4, 7),
    Stage(6, 3, 1, 320, 1, 7),
)
INCEPTIONS = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""GoogLeNet's blocks between pools: channels of 1x1; before and of the two 3x3; behind the pool."""


def resnet18() -> Network:
    """Build ResNet-18 (He et al., 2016)."""
    b = Builder("resnet-18", PHOTO)
    x = b.max_pool(b.conv(INPUT, 64, 7, 2, act="relu"), 3, 2, 1, 1)
    for channels, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = _basic(b, _basic(b, x, channels, first), channels, 1)
    x = b.add(layers.Flatten(), b.mean(x, 7))
    b.dense(x, 512, CLASSES)
    return b.network()


def resnet50() -> Network:
    """Build ResNet-50 (He et al., 2016), with the strides of its second version."""
    b = Builder("resnet-50", PHOTO)
    x = b.max_pool(b.conv(INPUT, 64, 7, 2, act="relu"), 3, 2, 1, 1)
    for channels, blocks, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(blocks):
            stride = 1 if i else first
            inner = b.conv(b.conv(x, channels, act="relu"), channels, 3, stride, act="relu")
            past = x if i else b.conv(x, 4 * channels, 1, stride)
            x = b.follow(b.add(layers.Add(), b.conv(inner, 4 * channels), past), "relu")
    x = b.add(layers.Flatten(), b.mean(x, 7))
    b.dense(x, 2048, CLASSES)
    return b.network()


def resnet8() -> Network:
    """Build the ResNet of MLPerf Tiny."""
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


def mobilenet_v3_small() -> Network:
    """Build MobileNetV3-small (Howard et al., 2019)."""
    b = Builder("mobilenet-v3-small", PHOTO)
    x = b.conv(INPUT, 16, 3, 2, act="hard-swish")
    for block in BNECKS:
        past, inner = x, x
        if block.wide != b.channels[x]:
            inner = b.conv(inner, block.wide, act=block.act)
        inner = b.conv(inner, block.wide, block.kernel, block.stride, block.wide, block.act)
        if block.gated:
            squeezed = _eights(block.wide // 4)
            inner = b.gate(inner, block.size, squeezed, "relu", "hard-sigmoid")
        x = b.conv(inner, block.channels)
        if block.stride == 1 and b.channels[past] == block.channels:
            x = b.add(layers.Add(), x, past)
    x = b.add(layers.Flatten(), b.mean(b.conv(x, 576, act="hard-swish"), 7))
    b.dense(b.dense(x, 576, 1024, "hard-swish"), 1024, CLASSES)
    return b.network()


def _eights(channels: int) -> int:
    """Round to a multiple of 8, at least 8 and nine tenths of what it was."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def efficientnet_b0() -> Network:
    """Build EfficientNet-B0 (Tan and Le, 2019)."""
    b = Builder("efficientnet-b0", PHOTO)
    x = b.conv(INPUT, 32, 3, 2, act="silu")
    for stage in STAGES:
        for i in range(stage.blocks):
            x = _gated(b, x, stage, 1 if i else stage.stride)
    x = b.add(layers.Flatten(), b.mean(b.conv(x, 1280, act="silu"), 7))
    b.dense(x, 1280, CLASSES)
    return b.network()


def _gated(b: Builder, x: str, stage: Stage, stride: int) -> str:
    inner, wide = x, b.channels[x] * stage.factor
    if stage.factor > 1:
        inner = b.conv(inner, wide, act="silu")
    inner = b.conv(inner, wide, stage.kernel, stride, wide, "silu")
    inner = b.gate(inner, stage.size, b.channels[x] // 4, "silu", "sigmoid")
    inner = b.conv(inner, stage.channels)
    keeps = stride == 1 and b.channels[x] == stage.channels
    return b.add(layers.Add(), inner, x) if keeps else inner


def squeezenet() -> Network:
    """Build SqueezeNet 1.1 (Iandola et al., 2016)."""
    b = Builder("squeezenet", PHOTO)
    x = b.max_pool(b.conv(INPUT, 64, 3, 2, act="relu", padding=0), 3, 2)
    for fire in FIRES:
        if not fire:
            x = b.max_pool(x, 3, 2)
            continue
        squeezed, half = fire
        x = b.conv(x, squeezed, act="relu")
        x = b.concat(b.conv(x, half, act="relu"), b.conv(x, half, 3, act="relu"))
    b.add(layers.Flatten(), b.mean(b.conv(x, CLASSES, act="relu"), 13))
    return b.network()


def googlenet() -> Network:
    """Build GoogLeNet (Szegedy et al., 2015) without its two further classifiers."""
    b = Builder("googlenet", PHOTO)
    x = b.max_pool(b.conv(INPUT, 64, 7, 2, act="relu"), 3, 2, 0, 1)
    x = b.max_pool(b.conv(b.conv(x, 64, act="relu"), 192, 3, act="relu"), 3, 2, 0, 1)
    for blocks in INCEPTIONS:
        if blocks != INCEPTIONS[0]:
            x = b.max_pool(x, 2, 2) if blocks == INCEPTIONS[-1] else b.max_pool(x, 3, 2, 0, 1)
        for one, before_3, three, before_5, five, pooled in blocks:
            x = b.concat(
                b.conv(x, one, act="relu"),
                b.conv(b.conv(x, before_3, act="relu"), three, 3, act="relu"),
                b.conv(b.conv(x, before_5, act="relu"), five, 3, act="relu"),
                b.conv(b.max_pool(x, 3, 1, 1, 1), pooled, act="relu"),
            )
    x = b.add(layers.Flatten(), b.mean(x, 7))
    b.dense(x, 1024, CLASSES)
    return b.network()


def densenet121() -> Network:
    """Build DenseNet-121 (Huang et al., 2017)."""
    b = Builder("densenet-121", PHOTO)
    x = b.max_pool(b.conv(INPUT, 64, 7, 2, act="relu"), 3, 2, 1, 1)
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


def mobilenet_v1() -> Network:
    """Build the finder of people of MLPerf Tiny: MobileNet with a quarter of its channels."""
    b = Builder("mobilenet-v1-0.25", (3, 96, 96))
    x = b.conv(INPUT, 8, 3, 2, act="relu")
    strides = {32: 2, 64: 2, 128: 2, 256: 2}
    for channels in (16, 32, 32, 64, 64, *(6 * (128,)), 256, 256):
        stride = strides.pop(channels, 1)
        x = b.conv(x, b.channels[x], 3, stride, b.channels[x], "relu")
        x = b.conv(x, channels, act="relu")
    x = b.add(layers.Flatten(), b.mean(x, 3))
    b.dense(x, 256, 2)
    return b.network()


def autoencoder() -> Network:
    """Build the finder of odd sounds of MLPerf Tiny: dense layers."""
    b = Builder("autoencoder", (640,))
    x, inputs = INPUT, 640
    for outputs in (*(4 * (128,)), 8, *(4 * (128,))):
        x, inputs = b.dense(x, inputs, outputs, "relu"), outputs
    b.dense(x, inputs, 640)
    return b.network()


ZOO: Mapping[str, Callable[[], Network]] = {
    "mobilenet-v2": mobilenet_v2,
    "mobilenet-v3-small": mobilenet_v3_small,
    "efficientnet-b0": efficientnet_b0,
    "resnet-18": resnet18,
    "resnet-50": resnet50,
    "densenet-121": densenet121,
    "squeezenet": squeezenet,
    "googlenet": googlenet,
    "vgg-11": vgg11,
    "resnet-8": resnet8,
    "ds-cnn": ds_cnn,
    "mobilenet-v1-0.25": mobilenet_v1,
    "autoencoder": autoencoder,
}
SMALL = ("resnet-8", "ds-cnn", "mobilenet-v1-0.25", "autoencoder")
"""Those of small images."""
