"""Walk through a fixed network whose sums another fixed-point library computes.

Raw words go from layer to layer in numpy's arrays: it moves, compares and pads them.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.layers import Array, Conv2D, Dense, Softmax
from fxpnn.reference import compute
from fxpnn.reference.windows import columns
from tests.benchmarks.work import Floats, Run

Rows: TypeAlias = Callable[[Array], Array]
"""Takes raw rows ``(N, inputs)``, gives the layer's raw outputs ``(N, outputs)``."""

BIAS = 40
"""The bits of a bias, which is stored at the scale of the sum."""


def walk(
    fixed: FixedNetwork,
    enter: Callable[[Floats], Array],
    prepare: Callable[[Dense | Conv2D, FixedNode, QFormat], Rows],
) -> Run:
    """Make a chain ready.

    Args:
        fixed: the network, a chain.
        enter: casts images to raw words of the input's format.
        prepare: gives a layer's product, sum and cast; it also takes the input's format.
    """
    sums = {
        node.name: prepare(node.layer, node, fixed.formats[node.inputs[0]])
        for node in fixed.nodes
        if isinstance(node.layer, Dense | Conv2D)
    }
    return lambda x: _run(fixed, sums, enter(x))


def matrix(layer: Dense | Conv2D) -> Array:
    """Lay the weights out as ``(inputs, outputs)``."""
    return layer.weight.reshape(len(layer.weight), -1).T.copy()


def _run(fixed: FixedNetwork, sums: Mapping[str, Rows], x: Array) -> Array:
    for node in fixed.nodes:
        if isinstance(node.layer, Conv2D):
            x = _convolve(node.layer, sums[node.name], x)
        elif node.name in sums:
            x = sums[node.name](x)
        elif isinstance(node.layer, Softmax):
            x = compute(node.layer, np.ldexp(x, -fixed.formats[node.inputs[0]].frac))
        else:
            x = compute(node.layer, x)
    return x


def _convolve(layer: Conv2D, rows: Rows, x: Array) -> Array:
    patches = columns(x, layer.window)[:, 0].swapaxes(1, 2)
    images, places, inputs = patches.shape
    y = rows(patches.reshape(-1, inputs)).reshape(images, places, -1).swapaxes(1, 2)
    return y.reshape(images, -1, *layer.window.output(*x.shape[2:]))
