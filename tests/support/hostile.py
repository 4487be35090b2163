"""A network of many kinds of layers whose names no language and no file system would like."""

import numpy as np

from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
from fxpnn.network.tables import table_for

CONV, RELU, POOL, FLAT = "output", "reg", "/conv1/Conv.0", "flatten"
DENSE, SIGMOID, LOGITS, SOFTMAX = 'inside\n"\\', "Output", "*/ `endif 😀 %d", "endmodule"
STEPS = (RELU, POOL, DENSE, SIGMOID, LOGITS, SOFTMAX)
"""The steps of the network, by the names of the layers whose words they give."""


def network() -> FixedNetwork:
    """Build a network whose sums clamp, tie and saturate on a few images; all is drawn."""
    draw, register = np.random.default_rng(7), Accumulator(15)
    kernels, wide, narrow = (
        draw.integers(-128, 128, shape).astype(np.int16) for shape in ((2, 1, 3, 3), (5, 8), (4, 5))
    )
    kernels &= -8  # one sum in eight lies between two words

    def bias(count: int) -> Array:
        return 8 * draw.integers(-100, 100, count)

    conv = layers.Conv2D(kernels, bias(2), layers.Window((3, 3)))
    pool = layers.MaxPool2D(layers.Window((2, 2), (2, 2)))
    sigmoid, softmax = (table_for(kind) for kind in (layers.Sigmoid, layers.Softmax))
    whole, ten, twelve, logits = (QFormat(*of) for of in ((8, 0), (10, 6), (12, 10), (12, 8)))
    nodes = (
        FixedNode(CONV, conv, (INPUT,), whole, (QFormat(8, 3),), register),
        FixedNode(RELU, layers.Relu(), (CONV,), whole),
        FixedNode(POOL, pool, (RELU,), whole),
        FixedNode(FLAT, layers.Flatten(), (POOL,), whole),
        FixedNode(
            DENSE, layers.Dense(wide, bias(5)), (FLAT,), ten, (QFormat(8, 12),), Accumulator()
        ),
        FixedNode(SIGMOID, layers.Sigmoid(), (DENSE,), twelve, table=sigmoid),
        FixedNode(
            LOGITS,
            layers.Dense(narrow, bias(4)),
            (SIGMOID,),
            logits,
            (QFormat(8, 7),),
            Accumulator(),
        ),
        FixedNode(SOFTMAX, layers.Softmax(), (LOGITS,), QFormat(16, 15), table=softmax),
    )
    return FixedNetwork('a \\ network\'s "name" */', (1, 6, 6), QFormat(8, 3), nodes)


def images(count: int = 5) -> Array:
    """Draw raw words of its input."""
    return np.random.default_rng(8).integers(-128, 128, (count, 1, 6, 6)).astype(np.int16)
