"""What a network holds and what is proved of it, as values."""

import pickle

import numpy as np

import fxpnn
from fxpnn.network.layers import Dense, Relu

NETWORK = fxpnn.chain(
    "two", (3,), {"sum": Dense(np.ones((2, 3), np.float32), np.ones(2, np.float32)), "r": Relu()}
)
FIXED = fxpnn.quantize(NETWORK, np.linspace(-1, 1, 12).reshape(4, 3))


def test_a_float_network() -> None:
    """Parameters, products and the range of weights."""
    found = fxpnn.inspect(NETWORK)
    assert (found.totals.parameters, found.totals.multiply_accumulates) == (8, 6)
    assert found.totals.bits == 8 * 32
    assert [(layer.name, layer.weight_range) for layer in found.layers] == [
        ("sum", (1.0, 1.0)),
        ("r", None),
    ]
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_fixed_network() -> None:
    """Formats, memory and proofs of each layer."""
    found = fxpnn.inspect(FIXED)
    layer = found.layers[0]
    assert found.input_format == str(FIXED.input_format)
    assert (layer.weight_format, layer.output_format) == (
        str(FIXED["sum"].weight_formats[0]),
        str(FIXED["sum"].output_format),
    )
    assert layer.memory.weight_bits == 6 * 16
    assert layer.proved
    assert layer.sums is not None
    assert found.totals.bits == sum(layer.memory.bits for layer in found.layers)
    assert pickle.loads(pickle.dumps(found)) == found
