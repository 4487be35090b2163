"""Bounds of sums: each term takes its own extreme; products of two tensors.

Sums of integers are added up in float64 wherever no partial sum can reach ``2**53``: each is then
exact in any order, and numpy has fast matrix products for floats alone.
"""

from functools import reduce

import numpy as np

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.interval import Interval
from fxpnn.network.layers import Array, Conv2D, Dense, Shape
from fxpnn.proofs.windows import Axis, axes

EXACT = 1 << 53
"""Integers below are exact in float64."""
BLOCK = 1 << 22
"""The most values of a matrix at once, where a single row has no more: 32 MB."""


def sum_interval(layer: Dense | Conv2D, x: Interval) -> Interval:
    """Bound bias and products at every step: each term takes its own extreme.

    The bound is reached where the inputs' intervals contain 0: by the input that takes its upper
    end where the weight is positive and its lower end where it is negative, or the reverse.
    """
    low, high = np.minimum(x.once.low, 0), np.maximum(x.once.high, 0)
    positive, negative = _products(layer, high, x.low.shape)
    if low.any():  # not so behind a ReLU
        falling, rising = _products(layer, low, x.low.shape)
        positive, negative = positive + rising, negative + falling
    bias = layer.bias.reshape(-1, *[1] * (positive.ndim - 1))
    return Interval(negative + bias, positive + bias).spread(layer.shape(x.low.shape))


def product_interval(x: Interval, y: Interval) -> Interval:
    """Bound the products of two tensors: an extreme of one times an extreme of the other."""
    corners = [a * b for a in x.once for b in y.once]
    ends = Interval(reduce(np.minimum, corners), reduce(np.maximum, corners))
    return ends.spread(np.broadcast_shapes(x.low.shape, y.low.shape))


def _products(layer: Dense | Conv2D, x: Raw, shape: Shape) -> tuple[Raw, Raw]:
    """Sum the products of an end with the positive weights, and with the negative ones."""
    if isinstance(layer, Conv2D):
        return _convolution(layer, x, shape)
    column = np.broadcast_to(x, shape)[None, :, None]
    positive, negative = _multiply(layer.weight[None], column)
    return positive[0, :, 0], negative[0, :, 0]


def _convolution(layer: Conv2D, x: Raw, shape: Shape) -> tuple[Raw, Raw]:
    """Multiply the patches that windows see, lines of positions at a time.

    Along an axis on which the map is the same everywhere, only windows that hang over its edges
    in different ways are different.
    """
    rows, columns = axes(layer.window, x, shape)
    maps = np.pad(
        np.broadcast_to(x, (shape[0], *x.shape[1:])), [(0, 0), (0, 1), (0, 1)]
    )  # the last line and column are the padding: place -1
    weight = layer.weight.reshape(layer.groups, len(layer.weight) // layer.groups, -1)
    places = columns.places(np.arange(layer.window.kernel[1])[:, None])
    lines = max(1, BLOCK // (layer.groups * weight.shape[2] * places.shape[1]))
    parts = [
        _multiply(weight, _patches(layer, maps, rows.part(i, i + lines), places))
        for i in range(0, len(rows.starts), lines)
    ]
    ends = []
    for part in zip(*parts, strict=True):
        made = [p.reshape(len(layer.weight), -1, places.shape[1]) for p in part]
        ends.append(columns.spread(rows.spread(np.concatenate(made, 1), 1), 2))
    return ends[0], ends[1]


def _patches(layer: Conv2D, maps: Raw, rows: Axis, columns: Array) -> Raw:
    """Copy what each window sees into a column: ``(groups, maps * kernel, positions)``."""
    lines = maps[:, rows.places(np.arange(layer.window.kernel[0])[:, None])]
    patches = np.moveaxis(np.take(lines, columns, axis=-1), 3, 2)
    return patches.reshape(layer.groups, -1, lines.shape[2] * columns.shape[1])


def _multiply(weight: Array, x: Raw) -> tuple[Raw, Raw]:
    """Multiply the positive weights, and the negative ones, by columns of one sign.

    ``weight`` is ``(groups, outputs, k)``, ``x`` is ``(groups, k, columns)``.
    """
    largest = max(-int(x.min()), int(x.max()))
    fits = int(np.abs(weight.astype(np.int64)).sum(axis=-1).max()) * largest < EXACT
    columns = x.astype(np.float64 if fits else np.int64)
    step = max(1, BLOCK // (weight.shape[0] * weight.shape[2]))
    starts = range(0, weight.shape[1], step)
    blocks = [weight[:, i : i + step].astype(columns.dtype) for i in starts]
    positive = [(np.maximum(block, 0) @ columns).astype(np.int64) for block in blocks]
    negative = [(np.minimum(block, 0) @ columns).astype(np.int64) for block in blocks]
    return np.concatenate(positive, 1), np.concatenate(negative, 1)
