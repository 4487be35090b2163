"""Run a network by numpy: plainly, and as fxpnn's float reference does.

Plainly, a convolution copies the patches of all images into the rows of one matrix, multiplies it
once, and a window's maximum or mean is taken over reshaped axes.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fxpnn.network.layers import (
    Array,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    Relu,
    Softmax,
    Tanh,
    Window,
)
from fxpnn.reference import forward
from tests.benchmarks.work import Floats, Run, Work

ELEMENTWISE: Mapping[type[Layer], Callable[[Array], Array]] = {
    Flatten: lambda x: x.reshape(len(x), -1),
    Relu: lambda x: np.maximum(x, 0),
    Tanh: np.tanh,
}


def plain(work: Work, threads: int) -> Run:
    """Write the layers out in numpy; its BLAS has threads of its own."""
    layers = [node.layer for node in work.network.nodes]

    def run(x: Floats) -> Array:
        for layer in layers:
            x = _compute(layer, x)
        return x

    return run


def reference(work: Work, threads: int) -> Run:
    """Take the float reference, which multiplies a matrix per image; its BLAS has threads too."""
    (output,) = work.network.outputs
    return lambda x: forward(work.network, x)[output]


def _compute(layer: Layer, x: Array) -> Array:
    y: Array
    match layer:
        case Dense():
            y = x @ layer.weight.T + layer.bias
        case Conv2D():
            y = _convolve(layer, x)
        case MaxPool2D():
            y = _windows(x, layer.window).max(axis=(3, 5))
        case AvgPool2D():
            y = _windows(x, layer.window).mean(axis=(3, 5))
        case Softmax():
            powers = np.exp(x - x.max(axis=1, keepdims=True))
            y = powers / powers.sum(axis=1, keepdims=True)
        case _:
            y = ELEMENTWISE[type(layer)](x)
    return y


def _convolve(layer: Conv2D, x: Array) -> Array:
    top, left, bottom, right = layer.window.padding
    if any(layer.window.padding):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    patches = sliding_window_view(x, layer.window.kernel, axis=(2, 3))
    places = len(x), *patches.shape[2:4]
    rows = patches.transpose(0, 2, 3, 1, 4, 5).reshape(math.prod(places), -1)
    y: Array = rows @ layer.weight.reshape(len(layer.weight), -1).T + layer.bias
    return y.reshape(*places, -1).transpose(0, 3, 1, 2)


def _windows(x: Array, window: Window) -> Array:
    """Split maps ``(N, C, H, W)`` into windows that touch: ``(N, C, H', h, W', w)``."""
    images, channels, height, width = x.shape
    down, across = window.kernel
    return x.reshape(images, channels, height // down, down, width // across, across)
