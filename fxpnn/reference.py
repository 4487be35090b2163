"""Own the float forward pass: what accuracy is measured against, and what training descends.

Every array has the batch as its first axis: ``(N, *shape)`` with the shapes of ``layers``.
"""

import math
from collections.abc import Iterable, Iterator
from functools import reduce, singledispatch

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from fxpnn.errors import DataError
from fxpnn.layers import (
    Add,
    Array,
    AvgPool2D,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    HardSigmoid,
    HardSwish,
    L2Pool2D,
    Layer,
    LeakyRelu,
    MaxPool2D,
    Pad,
    PRelu,
    Relu,
    Reshape,
    Sigmoid,
    Silu,
    Softmax,
    Step,
    Tanh,
    Transpose,
    Window,
)
from fxpnn.network import INPUT, Network, Scaling

BLOCK = 256
"""How many images ``predict`` runs at once: LeNet's largest temporary is then 20 MB."""


def scale(x: Array, scaling: Scaling, dtype: npt.DTypeLike = np.float32) -> Array:
    """Turn uint8 pixels into floats of ``dtype``; floats are scaled already and pass.

    Raises:
        DataError: the array holds neither.
    """
    if x.dtype.kind == "f":
        return x.astype(dtype, copy=False)
    if x.dtype != np.uint8:
        raise DataError(f"images must be uint8 pixels or scaled floats, not {x.dtype}")
    scaled = np.multiply(x, scaling.scale, dtype=dtype)
    if any(scaling.mean):
        scaled -= per_channel(np.array(scaling.mean), scaled)
    if any(std != 1 for std in scaling.std):
        scaled /= per_channel(np.array(scaling.std), scaled)
    return scaled


def predict(
    network: Network,
    x: Array,
    *,
    keep: Iterable[str] | None = None,
    dtype: npt.DTypeLike = np.float32,
    block: int = BLOCK,
) -> dict[str, Array]:
    """Scale images and run them in blocks, so that only the kept results grow with their number.

    ``x``, ``(N, *input_shape)``, is as ``scale`` takes it. Give the nodes in ``keep``, by default
    the outputs.

    Raises:
        DataError: the images are none, or not of the network's shape or of a known dtype.
    """
    names = tuple(network.outputs if keep is None else keep)
    check_images(network, x)
    starts = range(0, len(x), block)
    parts = [
        forward(network, scale(x[i : i + block], network.scaling, dtype), dtype, names)
        for i in starts
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def classify(network: Network, x: Array, *, block: int = BLOCK) -> npt.NDArray[np.int64]:
    """Predict the class of each image: the first maximum of its logits, ``(N,)``."""
    name = logits(network)
    classes: npt.NDArray[np.int64] = predict(network, x, keep=[name], block=block)[name].argmax(-1)
    return classes


def logits(network: Network) -> str:
    """Name the node whose maximum is the class: the softmax's input, else the output itself."""
    node = network[network.outputs[0]]
    return node.inputs[0] if isinstance(node.layer, Softmax) else node.name


def check_images(network: Network, x: Array) -> None:
    """Raise ``DataError`` unless ``x`` holds one or more inputs of the network."""
    if x.shape[1:] != network.input_shape or not len(x):
        wanted = ", ".join(map(str, ("N", *network.input_shape)))
        raise DataError(f"images must be ({wanted}) with N of 1 or more, not {x.shape}")


def forward(
    network: Network,
    x: Array,
    dtype: npt.DTypeLike = np.float32,
    keep: Iterable[str] | None = None,
) -> dict[str, Array]:
    """Run a batch of scaled floats, ``(N, *input_shape)``, and give the nodes in ``keep``.

    By default these are the outputs; ``network.shapes`` keeps every node and the input. A value is
    freed after the last node that reads it.
    """
    wanted = set(network.outputs if keep is None else keep)
    last_reader = {name: node.name for node in network.nodes for name in node.inputs}
    values = {INPUT: np.asarray(x, dtype)}
    for node in network.nodes:
        output = compute(node.layer, *(values[name] for name in node.inputs))
        values[node.name] = output.astype(dtype, copy=False)
        for name in {node.name, *node.inputs} - wanted:
            if last_reader.get(name, name) == node.name:
                del values[name]
    return {name: values[name] for name in values if name in wanted}


@singledispatch
def compute(layer: Layer, *inputs: Array) -> Array:
    """Compute one layer's output for a batch, in the dtype of its inputs."""
    raise NotImplementedError(type(layer).__name__)


@compute.register
def _dense(layer: Dense, x: Array) -> Array:
    y: Array = x @ layer.weight.T.astype(x.dtype, copy=False)
    y += layer.bias
    return y


@compute.register
def _conv(layer: Conv2D, x: Array) -> Array:
    rows, width = layer.window.output(*x.shape[2:])
    patches = columns(x, layer.window, layer.groups)
    y = multiply(kernel_matrix(layer, x.dtype), patches)
    y = y.reshape(len(x), len(layer.bias), rows, width)
    y += per_channel(layer.bias, y)
    return y


@compute.register
def _max_pool(layer: MaxPool2D, x: Array) -> Array:
    return reduce(np.maximum, positions(x, layer.window, -math.inf))


@compute.register
def _avg_pool(layer: AvgPool2D, x: Array) -> Array:
    return reduce(np.add, positions(x, layer.window)) / counts(layer, x)


@compute.register
def _l2_pool(layer: L2Pool2D, x: Array) -> Array:
    return np.sqrt(reduce(np.add, positions(np.square(x), layer.window)))


@compute.register
def _relu(layer: Relu, x: Array) -> Array:
    return np.maximum(x, 0)


@compute.register
def _leaky_relu(layer: LeakyRelu, x: Array) -> Array:
    return np.where(x >= 0, x, x * layer.slope)


@compute.register
def _prelu(layer: PRelu, x: Array) -> Array:
    return np.where(x >= 0, x, x * per_channel(layer.slope, x))


@compute.register
def _clip(layer: Clip, x: Array) -> Array:
    return np.clip(x, layer.low, layer.high)


@compute.register
def _sigmoid(layer: Sigmoid, x: Array) -> Array:
    return sigmoid(x)


@compute.register
def _tanh(layer: Tanh, x: Array) -> Array:
    return np.tanh(x)


@compute.register
def _silu(layer: Silu, x: Array) -> Array:
    return x * sigmoid(x)


@compute.register
def _hard_sigmoid(layer: HardSigmoid, x: Array) -> Array:
    return np.clip(layer.alpha * x + layer.beta, 0, 1)


@compute.register
def _hard_swish(layer: HardSwish, x: Array) -> Array:
    gate: Array = np.clip(x + 3, 0, 6) / 6
    return x * gate


@compute.register
def _step(layer: Step, x: Array) -> Array:
    return (x >= layer.threshold).astype(x.dtype)


@compute.register
def _softmax(layer: Softmax, x: Array) -> Array:
    axis = batch_axis(layer.axis)
    powers: Array = np.exp(x - x.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True)
    return powers


@compute.register
def _add(layer: Add, x: Array, y: Array) -> Array:
    return x + y


@compute.register
def _concat(layer: Concat, *inputs: Array) -> Array:
    return np.concatenate(inputs, axis=batch_axis(layer.axis))


@compute.register
def _pad(layer: Pad, x: Array) -> Array:
    return np.pad(x, [(0, 0), *layer.pads], constant_values=layer.value)


@compute.register
def _flatten(layer: Flatten, x: Array) -> Array:
    return x.reshape(len(x), -1)


@compute.register
def _reshape(layer: Reshape, x: Array) -> Array:
    return x.reshape(len(x), *layer.target)


@compute.register
def _transpose(layer: Transpose, x: Array) -> Array:
    return x.transpose(0, *(axis + 1 for axis in layer.order))


def sigmoid(x: Array) -> Array:
    """Compute ``1 / (1 + exp(-x))`` without overflow, to full relative precision."""
    power = np.exp(-np.abs(x))
    share: Array = np.where(x >= 0, 1, power) / (1 + power)
    return share


def batch_axis(axis: int) -> int:
    """Turn an axis of the shape without the batch into one of the array with it."""
    return axis + 1 if axis >= 0 else axis


def kernel_matrix(layer: Conv2D, dtype: npt.DTypeLike) -> Array:
    """Lay kernels out as ``(groups, out / groups, in / groups * height * width)``."""
    matrix = layer.weight.reshape(layer.groups, len(layer.weight) // layer.groups, -1)
    return matrix.astype(dtype, copy=False)


def multiply(kernels: Array, patches: Array) -> Array:
    """Multiply ``(groups, out, in)`` by each image's ``(N, groups, in, P)``: one matrix per image.

    Where that would be a thin one (a kernel as large as its map has P = 1), all images make one.
    """
    images, groups, inputs, places = patches.shape
    if places >= kernels.shape[1]:
        return kernels @ patches
    rows = patches.transpose(1, 0, 3, 2).reshape(groups, images * places, inputs)
    product: Array = rows @ kernels.swapaxes(1, 2)
    return product.reshape(groups, images, places, -1).transpose(1, 0, 3, 2)


def columns(x: Array, window: Window, groups: int = 1) -> Array:
    """Copy the patch under each window position into a column of a matrix.

    A convolution is then ``kernel_matrix @ columns``. Maps ``(N, C, H, W)`` give
    ``(N, groups, C / groups * kernel height * kernel width, H' * W')``.
    """
    (sh, sw), (dh, dw) = window.stride, window.dilation
    seen = sliding_window_view(padded(x, window), window.span, axis=(2, 3))
    seen = seen[:, :, ::sh, ::sw, ::dh, ::dw].transpose(0, 1, 4, 5, 2, 3)
    return seen.reshape(len(x), groups, -1, math.prod(seen.shape[4:]))


def positions(x: Array, window: Window, padding: float = 0.0) -> Iterator[Array]:
    """Give, for each place in the window, rows first, what it sees as the window slides.

    Each is a strided view ``(N, C, H', W')`` of the padded maps ``(N, C, H, W)``.
    """
    return slide(padded(x, window, padding), window, window.output(*x.shape[2:]))


def slide(maps: Array, window: Window, size: tuple[int, int]) -> Iterator[Array]:
    """Give the views of ``positions`` into maps that are padded already."""
    (rows, width), (sh, sw), (dh, dw) = size, window.stride, window.dilation
    for top in range(0, window.span[0], dh):
        for left in range(0, window.span[1], dw):
            bottom, right = top + (rows - 1) * sh + 1, left + (width - 1) * sw + 1
            yield maps[:, :, top:bottom:sh, left:right:sw]


def padded(x: Array, window: Window, value: float = 0.0) -> Array:
    """Surround maps ``(N, C, H, W)`` so that every window position lies inside."""
    top, left, bottom, right = reach(window, *x.shape[2:])
    if not any((top, left, bottom, right)):
        return x
    height, width = x.shape[2:]
    maps = np.full((*x.shape[:2], top + height + bottom, left + width + right), value, x.dtype)
    maps[:, :, top : top + height, left : left + width] = x
    return maps


def reach(window: Window, height: int, width: int) -> tuple[int, int, int, int]:
    """Extend the padding (top, left, bottom, right) by what a ceil-mode window hangs over."""
    top, left, bottom, right = window.padding
    rows, places = window.output(height, width)
    below = (rows - 1) * window.stride[0] + window.span[0] - (top + height)
    beside = (places - 1) * window.stride[1] + window.span[1] - (left + width)
    return top, left, max(bottom, below), max(right, beside)


def counts(layer: AvgPool2D, x: Array) -> Array:
    """Count what each window position averages over: ``(1, 1, H', W')``, in ``x``'s dtype.

    Padding counts with ``count_padding``; what hangs over the padded edge never does. A window
    that sees nothing counts 1: its average is then 0.
    """
    height, width = x.shape[2:]
    top, left, bottom, right = layer.window.padding if layer.count_padding else (0, 0, 0, 0)
    counted = np.ones((1, 1, top + height + bottom, left + width + right), x.dtype)
    outer = np.subtract(reach(layer.window, height, width), (top, left, bottom, right))
    maps = np.pad(counted, [(0, 0), (0, 0), (outer[0], outer[2]), (outer[1], outer[3])])
    size = layer.window.output(height, width)
    return np.maximum(reduce(np.add, slide(maps, layer.window, size)), 1)


def per_channel(values: Array, x: Array) -> Array:
    """Shape one value per channel, or one for all, to broadcast over ``(N, channels, ...)``."""
    return values.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 2))
