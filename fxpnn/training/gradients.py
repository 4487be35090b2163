"""Backpropagation: the derivative of a cost by every parameter and value of a network.

A *delta* is the derivative of the cost by a node's output, in the output's shape ``(N, ...)``. For
a dense or convolution node that is the textbook's delta, the derivative by the weighted sum z.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import singledispatch
from itertools import repeat
from math import inf, pi, prod, sqrt
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from fxpnn.network import layers
from fxpnn.network.curves import SELU_ALPHA, SELU_GAIN
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Layer, Window
from fxpnn.reference.formulas import (
    batch_axis,
    gelu_angle,
    kernel_matrix,
    normal_share,
    per_channel,
    sigmoid,
)
from fxpnn.reference.norms import standardised
from fxpnn.reference.windows import columns, counts, positions, slide
from fxpnn.training.parameters import parameter


class Gradients(NamedTuple):
    """Derivatives of a cost: by every parameter it depends on, and by every node's output."""

    parameters: dict[str, Array]
    deltas: dict[str, Array]


def backpropagate(
    network: Network,
    values: Mapping[str, Array],
    deltas: Mapping[str, Array],
    *,
    to_input: bool = False,
    followed: Mapping[str, Array] = MappingProxyType({}),
) -> Gradients:
    """Propagate the cost's derivative by some nodes' outputs back to all parameters.

    ``values`` holds every node's output and the input, as ``forward`` keeps them; ``deltas`` the
    derivatives to start from. Nodes with no parameter behind them get no delta, the input only if
    ``to_input``. ``followed`` is, by node, true where its output followed what the layer computes:
    a clamped one does not, and passes no derivative on.
    """
    found, gradients = dict(deltas), dict[str, Array]()
    wanted = _depending(network, to_input)
    for node in reversed(network.nodes):
        if node.name not in found:
            continue
        delta, inputs = found[node.name], [values[name] for name in node.inputs]
        if node.name in followed:
            delta = delta * followed[node.name]
        for field, gradient in parameter_gradients(node.layer, delta, *inputs).items():
            name = parameter(node, field)
            gradients[name] = gradients[name] + gradient if name in gradients else gradient
        if wanted.isdisjoint(node.inputs):
            continue
        parts = input_deltas(node.layer, delta, values[node.name], *inputs)
        for name, part in zip(node.inputs, parts, strict=True):
            if name in wanted:
                found[name] = found[name] + part if name in found else part
    return Gradients(gradients, found)


def _depending(network: Network, to_input: bool) -> set[str]:
    names = {it.name for it in network.inputs} if to_input else set[str]()
    for node in network.nodes:
        if node.layer.arrays() or not names.isdisjoint(node.inputs):
            names.add(node.name)
    return names


@singledispatch
def parameter_gradients(layer: Layer, delta: Array, *inputs: Array) -> dict[str, Array]:
    """Give the derivative by each array of the layer, summed over the batch."""
    return {}


@parameter_gradients.register
def _dense_parameters(layer: layers.Dense, delta: Array, x: Array) -> dict[str, Array]:
    return {"weight": delta.T @ x, "bias": delta.sum(axis=0)}


@parameter_gradients.register
def _conv_parameters(layer: layers.Conv2D, delta: Array, x: Array) -> dict[str, Array]:
    patches = columns(x, layer.window, layer.groups)
    deltas = _by_group(delta, layer.groups)
    if deltas.shape[3] < deltas.shape[2]:  # few positions: a matrix per image would be mostly sums
        products = np.einsum("ngop,ngkp->gok", deltas, patches, optimize=True)
    else:
        products = (patches @ deltas.swapaxes(2, 3)).sum(axis=0).swapaxes(1, 2)
    return {"weight": products.reshape(layer.weight.shape), "bias": delta.sum(axis=(0, 2, 3))}


@parameter_gradients.register
def _prelu_parameters(layer: layers.PRelu, delta: Array, x: Array) -> dict[str, Array]:
    others = (0, *range(2, x.ndim))
    return {"slope": (delta * np.minimum(x, 0)).sum(axis=others)}


@parameter_gradients.register
def _layer_norm_parameters(layer: layers.LayerNorm, delta: Array, x: Array) -> dict[str, Array]:
    others = tuple(range(x.ndim - 1))
    return {
        "gamma": (delta * standardised(layer, x)[0]).sum(axis=others),
        "beta": delta.sum(axis=others),
    }


@singledispatch
def input_deltas(layer: Layer, delta: Array, output: Array, *inputs: Array) -> tuple[Array, ...]:
    """Give the derivative by each input of a layer from the derivative by its output."""
    raise NotImplementedError(type(layer).__name__)


@input_deltas.register
def _dense(layer: layers.Dense, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta @ layer.weight.astype(delta.dtype, copy=False),)


@input_deltas.register
def _conv(layer: layers.Conv2D, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    kernels = kernel_matrix(layer, delta.dtype).swapaxes(1, 2)
    # The batch becomes the last axis: rows of a place are short, those of all images are not.
    deltas = np.moveaxis(_by_group(delta, layer.groups), 0, -1)
    patches = kernels @ deltas.reshape(*deltas.shape[:2], -1)
    places = patches.reshape(x.shape[1], -1, *output.shape[2:], len(x))
    maps = _fold(np.moveaxis(places, 1, 0), layer.window, np.moveaxis(x, 0, -1)[np.newaxis])
    return (np.ascontiguousarray(np.moveaxis(maps[0], -1, 0)),)


@input_deltas.register
def _max_pool(layer: layers.MaxPool2D, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (_fold(_to_first_maximum(layer, delta, output, x), layer.window, x),)


def _to_first_maximum(
    layer: layers.MaxPool2D, delta: Array, output: Array, x: Array
) -> Iterator[Array]:
    """Give each window's delta to the first place that holds its maximum, once."""
    rest = delta
    for place in positions(x, layer.window, -inf):
        part = rest * (place == output)
        rest = rest - part
        yield part


@input_deltas.register
def _avg_pool(layer: layers.AvgPool2D, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    share = delta / counts(layer, x)
    return (_fold(repeat(share, prod(layer.window.kernel)), layer.window, x),)


@input_deltas.register
def _l2_pool(layer: layers.L2Pool2D, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    share = np.divide(delta, output, out=np.zeros_like(delta), where=output > 0)
    return (_fold(repeat(share, prod(layer.window.kernel)), layer.window, x) * x,)


@input_deltas.register
def _relu(layer: layers.Relu, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta * (x > 0),)


@input_deltas.register
def _leaky_relu(
    layer: layers.LeakyRelu, delta: Array, output: Array, x: Array
) -> tuple[Array, ...]:
    return (np.where(x >= 0, delta, delta * layer.slope),)


@input_deltas.register
def _prelu(layer: layers.PRelu, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (np.where(x >= 0, delta, delta * per_channel(layer.slope, x)),)


@input_deltas.register
def _clip(layer: layers.Clip, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta * ((x >= layer.low) & (x <= layer.high)),)


@input_deltas.register
def _sigmoid(layer: layers.Sigmoid, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta * output * (1 - output),)


@input_deltas.register
def _tanh(layer: layers.Tanh, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta * (1 - output * output),)


@input_deltas.register
def _silu(layer: layers.Silu, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    gate = sigmoid(x)
    return (delta * (gate + output * (1 - gate)),)


@input_deltas.register
def _gelu(layer: layers.Gelu, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    density = np.exp(x * x / -2) / sqrt(2 * pi)
    return (delta * (normal_share(x) + x * density).astype(x.dtype),)


@input_deltas.register
def _gelu_tanh(layer: layers.GeluTanh, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    gate, rise = sigmoid(2 * gelu_angle(x)), sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x)
    return (delta * (gate + 2 * output * (1 - gate) * rise),)


@input_deltas.register
def _mish(layer: layers.Mish, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    gate = np.tanh(np.logaddexp(x, 0))
    return (delta * (gate + x * (1 - gate * gate) * sigmoid(x)),)


@input_deltas.register
def _selu(layer: layers.Selu, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    end = SELU_GAIN * SELU_ALPHA
    return (delta * np.where(x >= 0, SELU_GAIN, output + end).astype(x.dtype),)


@input_deltas.register
def _softsign(layer: layers.Softsign, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta * np.square(1 - np.abs(output)),)


@input_deltas.register
def _elu(layer: layers.Elu, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (np.where(x >= 0, delta, delta * (output + 1)),)


@input_deltas.register
def _softplus(layer: layers.Softplus, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta * sigmoid(x),)


@input_deltas.register
def _abs(layer: layers.Abs, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta * np.sign(x),)


@input_deltas.register
def _hard_sigmoid(
    layer: layers.HardSigmoid, delta: Array, output: Array, x: Array
) -> tuple[Array, ...]:
    return (delta * layer.alpha * ((output > 0) & (output < 1)),)


@input_deltas.register
def _hard_swish(
    layer: layers.HardSwish, delta: Array, output: Array, x: Array
) -> tuple[Array, ...]:
    return (delta * np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0),)


@input_deltas.register
def _step(layer: layers.Step, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (np.zeros_like(delta),)


@input_deltas.register
def _softmax(layer: layers.Softmax, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    mean = (delta * output).sum(axis=batch_axis(layer.axis), keepdims=True)
    return (output * (delta - mean),)


@input_deltas.register
def _layer_norm(
    layer: layers.LayerNorm, delta: Array, output: Array, x: Array
) -> tuple[Array, ...]:
    normal, root = standardised(layer, x)
    scaled = delta * layer.gamma.astype(delta.dtype, copy=False)
    along = (scaled * normal).mean(axis=-1, keepdims=True)
    return ((scaled - scaled.mean(axis=-1, keepdims=True) - normal * along) / root,)


@input_deltas.register
def _add(layer: layers.Add, delta: Array, output: Array, x: Array, y: Array) -> tuple[Array, ...]:
    return delta, delta


@input_deltas.register
def _mul(layer: layers.Mul, delta: Array, output: Array, x: Array, y: Array) -> tuple[Array, ...]:
    return delta * y, _unrepeated(delta * x, y)


@input_deltas.register
def _matmul(
    layer: layers.MatMul, delta: Array, output: Array, x: Array, y: Array
) -> tuple[Array, ...]:
    sides = delta @ y.swapaxes(-1, -2), x.swapaxes(-1, -2) @ delta
    return tuple(_unrepeated(side, of) for side, of in zip(sides, (x, y), strict=True))


def _unrepeated(delta: Array, x: Array) -> Array:
    """Add up the deltas of what repeats along axes of size 1."""
    axes = tuple(axis for axis, size in enumerate(x.shape) if size != delta.shape[axis])
    summed: Array = delta.sum(axis=axes, keepdims=True)
    return summed


@input_deltas.register
def _quantize(layer: layers.Quantize, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta,)


@input_deltas.register
def _concat(layer: layers.Concat, delta: Array, output: Array, *inputs: Array) -> tuple[Array, ...]:
    axis = batch_axis(layer.axis)
    ends = np.cumsum([x.shape[axis] for x in inputs])[:-1]
    return tuple(np.split(delta, ends, axis=axis))


@input_deltas.register
def _pad(layer: layers.Pad, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta[(slice(None), *layer.places(x.shape[1:]))],)


@input_deltas.register
def _slice(layer: layers.Slice, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    whole = np.zeros_like(x)
    whole[(slice(None), *layer.places(x.ndim - 1))] = delta
    return (whole,)


@input_deltas.register
def _take(layer: layers.Take, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    whole, axis = np.zeros_like(x), batch_axis(layer.axis)
    np.add.at(np.moveaxis(whole, axis, 0), list(layer.places), np.moveaxis(delta, axis, 0))
    return (whole,)


@input_deltas.register(layers.Flatten)
@input_deltas.register(layers.Reshape)
def _relabelled(layer: Layer, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta.reshape(x.shape),)


@input_deltas.register
def _transpose(layer: layers.Transpose, delta: Array, output: Array, x: Array) -> tuple[Array, ...]:
    return (delta.transpose(0, *(np.argsort(layer.order) + 1)),)


def _by_group(delta: Array, groups: int) -> Array:
    """Lay maps ``(N, C, H, W)`` out as ``(N, groups, C / groups, H * W)``."""
    return delta.reshape(len(delta), groups, delta.shape[1] // groups, -1)


def _fold(parts: Iterable[Array], window: Window, x: Array) -> Array:
    """Add up, for each element of ``x``, the parts of all window places that saw it.

    The window slides over the third and the fourth axis of ``x``.
    """
    outer, (height, width), inner = x.shape[:2], x.shape[2:4], x.shape[4:]
    top, left, bottom, right = window.reach(height, width)
    maps = np.zeros((*outer, top + height + bottom, left + width + right, *inner), x.dtype)
    places = slide(maps, window, window.output(height, width))
    for place, part in zip(places, parts, strict=True):
        place += part
    return maps[:, :, top : top + height, left : left + width]
