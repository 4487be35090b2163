"""Sums take the loops that suffice, and every kind of loops gives the golden model's bits."""

import numpy as np

from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Dense, MaxPool2D, Window
from tests.support.agreement import agree
from tests.support.strategies import NetworkCase


def test_small_sums_use_32_bits() -> None:
    """Where the proof says that the sums fit 32 bits, so do the loops; a wide bias needs 64."""
    for bias, expected in ((7, "plain 32-bit"), (2**40, "64-bit in 1 chunk")):
        layer = Dense(np.array([[32767, -32768]], np.int16), np.array([bias]))
        word = QFormat(16, 0)
        node = FixedNode("d", layer, (INPUT,), word, (word,), Accumulator())
        ready = Engine(FixedNetwork("n", (2,), QFormat(15, 0), (node,)))
        assert ready.methods["d"] == expected
        assert ready.run(np.array([[16383, -16384]], np.int16)).raw.tolist() == [[32767]]


def test_full_scale_weights_are_summed_in_short_chunks() -> None:
    """Two of them fill 32 bits, or one does; the bits are the same."""
    rng, word = np.random.default_rng(4), QFormat(16, 15)
    weight = rng.integers(-32768, 32768, (20, 90)).astype(np.int16)
    weight[0], weight[1], weight[2] = -32768, 32767, np.resize([-32768, 32767], 90)
    layer = Dense(weight, rng.integers(-(2**40), 2**40, 20))
    node = FixedNode("d", layer, (INPUT,), QFormat(16, 2), (word,), Accumulator())
    fixed = FixedNetwork("n", (90,), word, (node,))
    assert Engine(fixed).methods["d"] == "64-bit in 90 chunks"
    x = rng.integers(-32768, 32768, (3, 90), np.int16)
    x[0], x[1] = -32768, 32767
    agree(NetworkCase(fixed, x))


def test_sums_of_more_parts_than_carries_are_told_apart_take_plain_loops() -> None:
    """With a bias of 60 bits there can be four parts; the accumulator wraps or not."""
    rng, word = np.random.default_rng(5), QFormat(16, 15)
    for outputs, overflow in ((3, Overflow.SATURATE), (17, Overflow.WRAP)):
        for inputs, expected in ((3, "64-bit in 3 chunks"), (4, "plain loops")):
            weight = np.full((outputs, inputs), -32768, np.int16)
            layer = Dense(weight, rng.integers(2**60, 2**60 + 2**48, outputs))
            accumulator = Accumulator(62, overflow)
            node = FixedNode("d", layer, (INPUT,), QFormat(16, -16), (word,), accumulator)
            fixed = FixedNetwork("n", (inputs,), word, (node,))
            assert Engine(fixed).methods["d"] == expected
            agree(NetworkCase(fixed, rng.integers(-32768, -32000, (9, inputs), np.int16)))
    conv = Conv2D(np.full((3, 1, 2, 2), -32768, np.int16), np.full(3, 2**60), Window((2, 2)))
    nodes = (
        FixedNode("conv", conv, (INPUT,), QFormat(16, -16), (word,), Accumulator(62)),
        FixedNode("pool", MaxPool2D(Window((2, 2), (2, 2))), ("conv",), QFormat(16, -16)),
    )
    fixed = FixedNetwork("n", (1, 5, 5), word, nodes)
    assert Engine(fixed).methods["conv"] == "plain loops"
    agree(NetworkCase(fixed, rng.integers(-32768, 32768, (3, 1, 5, 5)).astype(np.int16)))
