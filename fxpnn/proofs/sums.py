"""Bounds of sums: each term takes its own extreme; products of two tensors.

Sums of integers are added up in float64 wherever no partial sum can reach ``2**53``: each is then
exact in any order, and numpy has fast matrix products for floats alone.
"""

from collections.abc import Callable
from functools import reduce
from typing import TypeAlias

import numpy as np

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.interval import Interval
from fxpnn.network.layers import Array, Conv2D, Dense, MatMul, Shape
from fxpnn.proofs.windows import Axis, axes

EXACT = 1 << 53
"""Integers below are exact in float64."""
Combine: TypeAlias = Callable[..., tuple[Raw, ...]]
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
    corners = [a * b for a in x.wide().once for b in y.wide().once]
    ends = Interval(reduce(np.minimum, corners), reduce(np.maximum, corners))
    return ends.spread(np.broadcast_shapes(x.low.shape, y.low.shape))


def summed(layer: MatMul, a: Interval, b: Interval) -> tuple[Dense, Interval]:
    """Return a dense layer of ones and the products that it sums: what bounds any sum of a MatMul.

    The ends of the product k are those of all rows and columns: one bound holds for all outputs.
    """
    rows = _along(a, -1)
    products = product_interval(rows, _along(b, -2))
    ones = Dense(np.ones((1, rows.low.size), np.int64), np.zeros(1, np.int64))
    return ones, products


def _along(x: Interval, axis: int) -> Interval:
    """Bound the values at each place of an axis."""
    low, high = x.wide().once
    others = tuple(other for other in range(low.ndim) if other != axis % low.ndim)
    return Interval(low.min(others), high.max(others)).spread((x.low.shape[axis],))


def _products(layer: Dense | Conv2D, x: Raw, shape: Shape) -> tuple[Raw, ...]:
    """Sum the products of an end with the positive weights, and with the negative ones."""
    return over_positions(layer, (x,), shape, _multiply)


def over_positions(
    layer: Dense | Conv2D, ends: tuple[Raw, ...], shape: Shape, combine: Combine
) -> tuple[Raw, ...]:
    """Combine a layer's weights with the columns that its positions see of each of the ends.

    ``combine`` takes ``(groups, outputs, k)`` and columns ``(groups, k, positions)``, k in the
    order of summing, and makes arrays ``(groups, outputs, positions)``. The ends are kept once
    along the same axes of ``shape``. Arrays are returned in the shape of the output, what is the
    same for all its positions once.
    """
    if isinstance(layer, Conv2D):
        return _convolution(layer, ends, shape, combine)
    columns = (np.broadcast_to(end, shape)[None, :, None] for end in ends)
    return tuple(made[0, :, 0] for made in combine(layer.weight[None], *columns))


def _convolution(
    layer: Conv2D, ends: tuple[Raw, ...], shape: Shape, combine: Combine
) -> tuple[Raw, ...]:
    """Combine with the patches that windows see, lines of positions at a time.

    Windows that see the same as their neighbours along an axis are taken once.
    """
    rows, columns = axes(layer.window, np.concatenate(ends), shape)
    maps = [
        np.pad(np.broadcast_to(x, (shape[0], *x.shape[1:])), [(0, 0), (0, 1), (0, 1)]) for x in ends
    ]  # the last line and column are the padding: place -1
    weight = layer.weight.reshape(layer.groups, len(layer.weight) // layer.groups, -1)
    places = columns.places(np.arange(layer.window.kernel[1])[:, None])
    lines = max(1, BLOCK // (layer.groups * weight.shape[2] * places.shape[1]))
    parts = [
        combine(weight, *(_patches(layer, x, rows.part(i, i + lines), places) for x in maps))
        for i in range(0, len(rows.starts), lines)
    ]
    made = []
    for part in zip(*parts, strict=True):
        lined = [p.reshape(len(layer.weight), -1, places.shape[1]) for p in part]
        made.append(columns.spread(rows.spread(np.concatenate(lined, 1), 1), 2))
    return tuple(made)


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
    step = max(1, BLOCK // (weight.shape[0] * weight.shape[2]))
    blocks = [weight[:, i : i + step] for i in range(0, weight.shape[1], step)]
    heaviest = max(np.abs(block.astype(np.int64)).sum(axis=-1).max() for block in blocks)
    columns = x.astype(np.float64 if int(heaviest) * largest < EXACT else np.int64)

    def multiplied(cut: np.ufunc) -> Raw:
        parts = (cut(block, 0).astype(columns.dtype) @ columns for block in blocks)
        return np.concatenate([part.astype(np.int64) for part in parts], 1)

    return multiplied(np.maximum), multiplied(np.minimum)
