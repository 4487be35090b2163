"""Strategies for sums in registers that drop bits of products: on ties, at the register's ends."""

import numpy as np
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import Accumulator, Product, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT
from tests.support.strategies.building import Built, Tensor
from tests.support.strategies.networks import NetworkCase, node_of
from tests.support.strategies.numbers import (
    Draw,
    accumulator_modes,
    at_scale,
    fitting_bias,
    roundings,
)


@st.composite
def dense_in_register(draw: Draw) -> NetworkCase:
    """Draw a dense layer of products on ties, or one beside, in a register at its limits.

    Each output's weights may have a fraction of their own, so that each drops other bits.
    """
    outputs, terms = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    drops = [draw(st.integers(-5, 13)) for _ in range(outputs)]
    register = Accumulator(
        draw(st.integers(8, 20)),
        draw(accumulator_modes),
        draw(st.integers(-4, 20)),
        draw(roundings),
        draw(st.sampled_from(Product)),
    )
    assert register.frac is not None
    source = Tensor(INPUT, (terms,), QFormat(16, 3))
    formats = tuple(QFormat(16, register.frac + dropped - 3) for dropped in drops)
    x = np.array([draw(st.sampled_from([1, -1, 0])) for _ in range(terms)], np.int16)
    ends = st.sampled_from([0, register.max, register.min])
    weights, biases = [], []
    for dropped in drops:
        row = [draw(at_scale(draw(st.integers(-3, 3) | ends), dropped)) for _ in x]
        row = [min(max(weight, -32768), 32767) for weight in row]
        step, limit = draw(st.integers(0, terms)), draw(ends) + draw(st.integers(-1, 1))
        before = sum(w * int(v) for w, v in list(zip(row, x, strict=True))[:step])
        weights.append(row)
        biases.append(fitting_bias(draw(at_scale(limit, dropped)) - before))
    fields = {"accumulator": register, "weight_formats": formats}
    built = Built(layers.Dense(np.array(weights, np.int16), np.array(biases)), fields)
    node = node_of(draw, "dense", built, source)
    return NetworkCase(FixedNetwork("case", (terms,), source.format, (node,)), x[None])
