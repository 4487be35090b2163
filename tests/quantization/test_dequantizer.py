"""A dequantized network has exactly the numbers that integers mean."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode, raw_weights
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Dense
from fxpnn.quantization.dequantizer import dequantize
from tests.support.oracle_sums import exact
from tests.support.strategies import NetworkCase, fixed_networks


@given(case=fixed_networks(kinds=(Dense, Conv2D)))
def test_numbers_are_words_at_their_scale(case: NetworkCase) -> None:
    """Each weight and bias is the rational that its word means, channel by channel."""
    fixed = case.fixed
    biases = [getattr(node.layer, "bias", np.zeros(1, np.int64)) for node in fixed.nodes]
    if max(np.abs(bias).max() for bias in biases) > 2**53:
        return  # no float, as below
    for node, twin in zip(fixed.nodes, dequantize(fixed).nodes, strict=True):
        assert (node.name, node.op, node.inputs) == (twin.name, twin.op, twin.inputs)
        weights, floats = raw_weights(node.layer), raw_weights(twin.layer)
        if weights is None or floats is None:
            continue
        fracs = node.fracs(len(weights)).tolist()
        for at, word in np.ndenumerate(weights):
            assert Fraction(floats[at].item()) == exact(int(word), fracs[at[0]])
        source, field = fixed.formats[node.inputs[0]].frac, "bias"
        for o, word in enumerate(getattr(node.layer, field).tolist()):
            assert Fraction(getattr(twin.layer, field)[o].item()) == exact(word, source + fracs[o])


@pytest.mark.parametrize("bias", [2**53 + 1, -(2**53) - 1])
def test_a_bias_of_more_bits_than_a_float_is_refused(bias: int) -> None:
    """The layer is named."""
    q8 = QFormat(16, 8)
    layer = Dense(np.ones((1, 1), np.int16), np.array([bias]))
    node = FixedNode("d", layer, (INPUT,), q8, (q8,), Accumulator(62))
    message = "layer d (Dense): bias must be at most 2**53 counts to be a float"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        dequantize(FixedNetwork("n", (1,), q8, (node,)))
