"""What layers send back in training, and the sums behind gradients, in Python integers."""

from collections.abc import Iterator
from functools import singledispatch
from itertools import product
from typing import NamedTuple

import numpy as np

from fxpnn.golden.sums import Ints
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Layer, Window

Index = tuple[int, ...]


class Passed(NamedTuple):
    """What a node is given to send back for one image: the ``delta @ frac`` of its output ``y``.

    ``x`` is the input.
    """

    node: FixedNode
    frac: int
    delta: Ints
    x: Ints
    y: Ints


class Sent(NamedTuple):
    """What a layer sends back to its input for one image: ``sums / divisor @ frac``."""

    sums: Ints
    frac: int
    divisor: int = 1


def bias_slopes(layer: Layer, delta: Ints, x: Ints) -> Ints:
    """Sum the deltas of each output, of each map over its places."""
    return np.array([sum(places) for places in delta.reshape(len(delta), -1).tolist()], object)


@singledispatch
def weight_slopes(layer: Layer, delta: Ints, x: Ints) -> Ints:
    """Sum, for each weight, delta times input wherever the weight took part."""
    raise NotImplementedError(type(layer).__name__)


@weight_slopes.register
def _dense_slopes(layer: layers.Dense, delta: Ints, x: Ints) -> Ints:
    return np.array([[d * v for v in x] for d in delta], object)


@weight_slopes.register
def _conv_slopes(layer: layers.Conv2D, delta: Ints, x: Ints) -> Ints:
    slopes = np.zeros(layer.weight.shape, object)
    for weight, source, output in _products(layer, x):
        slopes[weight] += delta[output] * x[source]
    return slopes


@singledispatch
def back(layer: Layer, passed: Passed) -> Sent:
    """Send a delta back to the layer's input."""
    raise NotImplementedError(type(layer).__name__)


@back.register
def _dense(layer: layers.Dense, passed: Passed) -> Sent:
    """``sum over o of weight[o, k] * delta[o]`` for every k."""
    columns = layer.weight.astype(object).T
    sums = [sum(w * d for w, d in zip(column, passed.delta, strict=True)) for column in columns]
    return Sent(np.array(sums, object), passed.frac + passed.node.weight_formats[0].frac)


@back.register
def _conv(layer: layers.Conv2D, passed: Passed) -> Sent:
    """Each input's sum of weight times delta over all products that it took part in."""
    sums, weights = np.zeros(passed.x.shape, object), layer.weight.astype(object)
    for weight, source, output in _products(layer, passed.x):
        sums[source] += weights[weight] * passed.delta[output]
    return Sent(sums, passed.frac + passed.node.weight_formats[0].frac)


@back.register
def _max_pool(layer: layers.MaxPool2D, passed: Passed) -> Sent:
    """Each window's delta goes to the first place that holds its maximum."""
    sums = np.zeros(passed.x.shape, object)
    for output in np.ndindex(*passed.delta.shape):
        places = [(output[0], *at) for _, at in _seen(layer.window, passed.x, output[1:])]
        if places:
            sums[max(places, key=lambda place: passed.x[place])] += passed.delta[output]
    return Sent(sums, passed.frac)


@back.register
def _avg_pool(layer: layers.AvgPool2D, passed: Passed) -> Sent:
    """Each place gets the deltas of the windows that see it, over the places of a window."""
    sums = np.zeros(passed.x.shape, object)
    for output in np.ndindex(*passed.delta.shape):
        for _, place in _seen(layer.window, passed.x, output[1:]):
            sums[(output[0], *place)] += passed.delta[output]
    height, width = layer.window.kernel
    return Sent(sums, passed.frac, height * width)


@back.register
def _relu(layer: layers.Relu, passed: Passed) -> Sent:
    """The delta where the input is above 0, else 0."""
    pairs = zip(passed.delta.flat, passed.x.flat, strict=True)
    return Sent(_shaped([d if v > 0 else 0 for d, v in pairs], passed.x), passed.frac)


@back.register
def _tanh(layer: layers.Tanh, passed: Passed) -> Sent:
    """``delta * (1 - y * y)``."""
    fine = 2 * passed.node.output_format.frac
    pairs = zip(passed.delta.flat, passed.y.flat, strict=True)
    sums = [d * ((1 << fine) - a * a) for d, a in pairs]
    return Sent(_shaped(sums, passed.x), passed.frac + fine)


@back.register
def _sigmoid(layer: layers.Sigmoid, passed: Passed) -> Sent:
    """``delta * y * (1 - y)``."""
    frac = passed.node.output_format.frac
    pairs = zip(passed.delta.flat, passed.y.flat, strict=True)
    sums = [d * a * ((1 << frac) - a) for d, a in pairs]
    return Sent(_shaped(sums, passed.x), passed.frac + 2 * frac)


@back.register
def _relabelled(layer: layers.Flatten | layers.Reshape, passed: Passed) -> Sent:
    """The same values in the input's shape."""
    return Sent(passed.delta.reshape(passed.x.shape), passed.frac)


def _shaped(sums: list[int], x: Ints) -> Ints:
    return np.array(sums, object).reshape(x.shape)


def _products(layer: layers.Conv2D, x: Ints) -> Iterator[tuple[Index, Index, Index]]:
    """Give the index of weight, input and output of every product; padding has none."""
    outputs, maps = layer.weight.shape[:2]
    rows, columns = layer.window.output(*x.shape[1:])
    for o, c, i, j in product(range(outputs), range(maps), range(rows), range(columns)):
        source = o * layer.groups // outputs * maps + c
        for tap, at in _seen(layer.window, x, (i, j)):
            yield (o, c, *tap), (source, *at), (o, i, j)


def _seen(window: Window, x: Ints, output: Index) -> Iterator[tuple[Index, Index]]:
    """Give each place in the window, rows first, and what it sees of a map, unless padding."""
    (top, left, _, _), (height, width) = window.padding, x.shape[1:]
    for m, n in product(*map(range, window.kernel)):
        row = output[0] * window.stride[0] + m * window.dilation[0] - top
        column = output[1] * window.stride[1] + n * window.dilation[1] - left
        if 0 <= row < height and 0 <= column < width:
            yield (m, n), (row, column)
