"""Exact sums of a step, forwards and backwards, from words that doubles hold.

The formulas are those of float training, run on float64 arrays of whole numbers: a product of two
16-bit words has 31 bits, and so long as no more than 2**22 are summed, every sum is a whole number
below 2**53, which a double holds exactly, in any order and on any BLAS.
"""

from functools import reduce, singledispatch
from math import prod
from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers, lookup
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Array, Layer
from fxpnn.reference import compute
from fxpnn.reference.windows import positions
from fxpnn.training.gradients import input_deltas


class Exact(NamedTuple):
    """Values before their cast, whole numbers in float64 or int64: ``values / divisor @ frac``."""

    values: Array
    frac: int
    divisor: int = 1

    @property
    def whole(self) -> Raw:
        """Give them as int64."""
        return self.values.astype(np.int64, copy=False)


@singledispatch
def outputs(layer: Layer, node: FixedNode, x: Array, source: QFormat) -> Exact | None:
    """Return what a layer computes before its cast, or ``None`` where it only moves words.

    ``layer`` is the node's, with its words in float64; ``x`` holds those of ``source``.
    """
    return None


@outputs.register
def _sums(layer: layers.Dense | layers.Conv2D, node: FixedNode, x: Array, source: QFormat) -> Exact:
    return Exact(compute(layer, x), source.frac + node.weight_formats[0].frac)


@outputs.register
def _average(layer: layers.AvgPool2D, node: FixedNode, x: Array, source: QFormat) -> Exact:
    sums = reduce(np.add, positions(x, layer.window))
    return Exact(sums, source.frac, prod(layer.window.kernel))


@outputs.register
def _looked_up(
    layer: layers.Tanh | layers.Sigmoid, node: FixedNode, x: Array, source: QFormat
) -> Exact:
    found = lookup.exact(layer, node, x.astype(np.int64), source)
    assert found is not None
    return Exact(found.values, found.frac)


def moved(layer: Layer, x: Array, source: QFormat) -> Array:
    """Return the output of a layer that casts nothing; a window of padding gives the minimum."""
    return np.maximum(compute(layer, x), source.min)


@singledispatch
def sent(layer: Layer, node: FixedNode, frac: int, delta: Array, y: Array, x: Array) -> Exact:
    """Return what a layer sends back to its input ``x`` for the ``delta @ frac`` of its output."""
    (part,) = input_deltas(layer, delta, y, x)
    return Exact(part, frac)


@sent.register
def _sums_back(
    layer: layers.Dense | layers.Conv2D,
    node: FixedNode,
    frac: int,
    delta: Array,
    y: Array,
    x: Array,
) -> Exact:
    (part,) = input_deltas(layer, delta, y, x)
    return Exact(part, frac + node.weight_formats[0].frac)


@sent.register
def _average_back(
    layer: layers.AvgPool2D, node: FixedNode, frac: int, delta: Array, y: Array, x: Array
) -> Exact:
    count = prod(layer.window.kernel)
    (part,) = input_deltas(layer, delta * count, y, x)  # which divides each by the count again
    return Exact(part, frac, count)


@sent.register
def _tanh_back(
    layer: layers.Tanh, node: FixedNode, frac: int, delta: Array, y: Array, x: Array
) -> Exact:
    fine = 2 * node.output_format.frac
    return Exact(delta * (2.0**fine - y * y), frac + fine)


@sent.register
def _sigmoid_back(
    layer: layers.Sigmoid, node: FixedNode, frac: int, delta: Array, y: Array, x: Array
) -> Exact:
    fine = node.output_format.frac
    return Exact(delta * (y * (2.0**fine - y)), frac + 2 * fine)
