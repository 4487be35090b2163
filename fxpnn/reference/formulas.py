"""What each layer computes from a batch of floats, in the dtype of its inputs."""

import math
from functools import reduce, singledispatch

import numpy as np
import numpy.typing as npt

from fxpnn.network import curves, layers
from fxpnn.network.layers import Array, Layer
from fxpnn.reference.windows import blocks, counts, positions

WEIGHTS = 1 << 22
"""So many weights of a dense layer are turned into ``x``'s dtype at a time: 32 MB of float64."""


@singledispatch
def compute(layer: Layer, *inputs: Array) -> Array:
    """Compute one layer's output for a batch, in the dtype of its inputs."""
    raise NotImplementedError(type(layer).__name__)


@compute.register
def _dense(layer: layers.Dense, x: Array) -> Array:
    y = np.empty((len(x), len(layer.bias)), x.dtype)
    for part in layers.parts_of(layer.weight, WEIGHTS):
        y[:, part] = x @ layer.weight[part].T.astype(x.dtype, copy=False)
    y += layer.bias
    return y


@compute.register
def _conv(layer: layers.Conv2D, x: Array) -> Array:
    rows, width = layer.window.output(*x.shape[2:])
    y = np.empty((len(x), len(layer.bias), rows, width), x.dtype)
    matrix = kernel_matrix(layer, x.dtype)
    for part, patches in blocks(x, layer.window, layer.groups):
        here = y[:, :, *part]
        here[...] = multiply(matrix, patches).reshape(here.shape)
    y += per_channel(layer.bias, y)
    return y


@compute.register
def _max_pool(layer: layers.MaxPool2D, x: Array) -> Array:
    return reduce(np.maximum, positions(x, layer.window, -math.inf))


@compute.register
def _avg_pool(layer: layers.AvgPool2D, x: Array) -> Array:
    return reduce(np.add, positions(x, layer.window)) / counts(layer, x)


@compute.register
def _l2_pool(layer: layers.L2Pool2D, x: Array) -> Array:
    return np.sqrt(reduce(np.add, positions(np.square(x), layer.window)))


@compute.register
def _relu(layer: layers.Relu, x: Array) -> Array:
    return np.maximum(x, 0)


@compute.register
def _leaky_relu(layer: layers.LeakyRelu, x: Array) -> Array:
    return np.where(x >= 0, x, x * layer.slope)


@compute.register
def _prelu(layer: layers.PRelu, x: Array) -> Array:
    return np.where(x >= 0, x, x * per_channel(layer.slope, x))


@compute.register
def _clip(layer: layers.Clip, x: Array) -> Array:
    return np.clip(x, layer.low, layer.high)


@compute.register
def _sigmoid(layer: layers.Sigmoid, x: Array) -> Array:
    return sigmoid(x)


@compute.register
def _tanh(layer: layers.Tanh, x: Array) -> Array:
    return np.tanh(x)


@compute.register
def _silu(layer: layers.Silu, x: Array) -> Array:
    return x * sigmoid(x)


@compute.register
def _gelu(layer: layers.Gelu, x: Array) -> Array:
    y: Array = (x.astype(np.float64) * normal_share(x)).astype(x.dtype)
    return y


@compute.register
def _gelu_tanh(layer: layers.GeluTanh, x: Array) -> Array:
    return x * sigmoid(2 * gelu_angle(x))


@compute.register
def _mish(layer: layers.Mish, x: Array) -> Array:
    y: Array = x * np.tanh(np.logaddexp(x, 0))
    return y


@compute.register
def _selu(layer: layers.Selu, x: Array) -> Array:
    below = curves.SELU_ALPHA * np.expm1(np.minimum(x, 0))
    y: Array = np.where(x >= 0, x, below) * curves.SELU_GAIN
    return y


@compute.register
def _softsign(layer: layers.Softsign, x: Array) -> Array:
    y: Array = x / (1 + np.abs(x))
    return y


@compute.register
def _elu(layer: layers.Elu, x: Array) -> Array:
    return np.where(x >= 0, x, np.expm1(np.minimum(x, 0)))


@compute.register
def _softplus(layer: layers.Softplus, x: Array) -> Array:
    return np.logaddexp(x, 0)


@compute.register
def _abs(layer: layers.Abs, x: Array) -> Array:
    return np.abs(x)


@compute.register
def _hard_sigmoid(layer: layers.HardSigmoid, x: Array) -> Array:
    return np.clip(layer.alpha * x + layer.beta, 0, 1)


@compute.register
def _hard_swish(layer: layers.HardSwish, x: Array) -> Array:
    gate: Array = np.clip(x + 3, 0, 6) / 6
    return x * gate


@compute.register
def _step(layer: layers.Step, x: Array) -> Array:
    return (x >= layer.threshold).astype(x.dtype)


@compute.register
def _softmax(layer: layers.Softmax, x: Array) -> Array:
    axis = batch_axis(layer.axis)
    if isinstance(layer, layers.MaskedSoftmax):
        x = np.where(layer.visible(x.shape[1:]), x, -np.inf)
    powers: Array = np.exp(x - x.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True)
    return powers


@compute.register
def _add(layer: layers.Add, x: Array, y: Array) -> Array:
    return x + y


@compute.register
def _mul(layer: layers.Mul, x: Array, y: Array) -> Array:
    return x * y


@compute.register
def _matmul(layer: layers.MatMul, x: Array, y: Array) -> Array:
    return x @ y


@compute.register
def _concat(layer: layers.Concat, *inputs: Array) -> Array:
    return np.concatenate(inputs, axis=batch_axis(layer.axis))


@compute.register
def _quantize(layer: layers.Quantize, x: Array) -> Array:
    return x


@compute.register
def _pad(layer: layers.Pad, x: Array) -> Array:
    return np.pad(x, [(0, 0), *layer.pads], constant_values=layer.value)


@compute.register
def _slice(layer: layers.Slice, x: Array) -> Array:
    return x[(slice(None), *layer.places(x.ndim - 1))]


@compute.register
def _take(layer: layers.Take, x: Array) -> Array:
    return x.take(layer.places, batch_axis(layer.axis))


@compute.register
def _flatten(layer: layers.Flatten, x: Array) -> Array:
    return x.reshape(len(x), -1)


@compute.register
def _reshape(layer: layers.Reshape, x: Array) -> Array:
    return x.reshape(len(x), *layer.target)


@compute.register
def _transpose(layer: layers.Transpose, x: Array) -> Array:
    return x.transpose(0, *(axis + 1 for axis in layer.order))


def sigmoid(x: Array) -> Array:
    """Compute ``1 / (1 + exp(-x))`` without overflow, to full relative precision."""
    power = np.exp(-np.abs(x))
    share: Array = np.where(x >= 0, 1, power) / (1 + power)
    return share


_erfc = np.frompyfunc(math.erfc, 1, 1)


def normal_share(x: Array) -> Array:
    """Compute the share of a normal distribution below x, float64; NumPy has no such function."""
    doubled: Array = np.asarray(_erfc(x.astype(np.float64) * -math.sqrt(0.5)), np.float64)
    return doubled / 2


def gelu_angle(x: Array) -> Array:
    """Compute ``sqrt(2 / pi) * (x + 0.044715 * x**3)``."""
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


def batch_axis(axis: int) -> int:
    """Turn an axis of the shape without the batch into one of the array with it."""
    return axis + 1 if axis >= 0 else axis


def per_channel(values: Array, x: Array) -> Array:
    """Shape one value per channel, or one for all, to broadcast over ``(N, channels, ...)``."""
    return values.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 2))


def kernel_matrix(layer: layers.Conv2D, dtype: npt.DTypeLike) -> Array:
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
