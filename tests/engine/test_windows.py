"""Pools and convolutions give their bits wherever their taps lie, in dirty memory too."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import AvgPool2D, Conv2D, L2Pool2D, MaxPool2D, Relu, Window
from tests.support.agreement import agree_in_dirty_memory
from tests.support.strategies import NetworkCase, modes, windows

WORD = QFormat(16, 8)
ACCUMULATORS = (Accumulator(), Accumulator(24), Accumulator(26, Overflow.WRAP))
POISONS = (0, 12345, 32767, -32768)


@st.composite
def networks(draw: st.DrawFn) -> NetworkCase:
    """Draw a map, perhaps a convolution, perhaps a ReLU, and a pool."""
    channels, height, width = (draw(st.integers(1, most)) for most in (3, 5, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    nodes, last = [], INPUT
    shape: Any = (channels, height, width)
    if draw(st.integers(0, 3)):
        window = draw(windows(height, width, pool=False))
        outputs = draw(st.sampled_from([1, 3, 6, 8, 17]))
        weight = rng.integers(-400, 400, (outputs, channels, *window.kernel)).astype(np.int16)
        conv = Conv2D(weight, rng.integers(-(2**16), 2**16, outputs), window)
        shape = conv.shape(shape)
        overflow = draw(st.sampled_from([*Overflow]))
        word = draw(st.sampled_from(ACCUMULATORS))
        nodes.append(FixedNode("c", conv, (last,), WORD, (WORD,), word, overflow=overflow))
        last = "c"
        if draw(st.booleans()):
            nodes.append(FixedNode("r", Relu(), (last,), WORD))
            last = "r"
    kind: Any = draw(st.sampled_from([MaxPool2D, MaxPool2D, AvgPool2D, L2Pool2D]))
    more = (draw(st.booleans()),) if kind is AvgPool2D else ()
    pool = kind(draw(windows(shape[1], shape[2], pool=True)), *more)
    rounding, overflow = draw(modes)
    finer = 0 if kind is MaxPool2D else draw(st.integers(-9, 9))
    fields: Any = {"rounding": rounding, "overflow": overflow}
    nodes.append(FixedNode("p", pool, (last,), QFormat(16, 8 + finer), **fields))
    fixed = FixedNetwork("n", (channels, height, width), WORD, tuple(nodes))
    raw = rng.integers(-32768, 32768, (3, channels, height, width)).astype(np.int16)
    return NetworkCase(fixed, raw)


@given(case=networks(), poison=st.sampled_from(POISONS))
def test_every_window_gives_its_bits_whatever_memory_held(case: NetworkCase, poison: int) -> None:
    """Dilated beyond the map, padded or hanging over; part of a sum or not."""
    agree_in_dirty_memory(case, poison)


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("relu", [False, True])
def test_a_max_pool_without_a_tap_on_its_map_gives_the_least_word(relu: bool, poison: int) -> None:
    """Taps above and below, or left and right: all pixels are padding, a ReLU before it or not."""
    conv = Conv2D(np.full((6, 1, 1, 1), 256, np.int16), np.zeros(6, np.int64), Window((1, 1)))
    upright = Window((2, 1), (1, 1), (1, 0, 1, 0), (4, 1))
    sideways = Window((1, 2), (1, 1), (0, 1, 0, 1), (1, 4))
    for window, shape in ((upright, (1, 3, 2)), (sideways, (1, 2, 3))):
        nodes = [FixedNode("c", conv, (INPUT,), WORD, (WORD,), Accumulator())]
        nodes += [FixedNode("r", Relu(), ("c",), WORD)] * relu
        nodes += [FixedNode("p", MaxPool2D(window), (nodes[-1].name,), WORD)]
        fixed = FixedNetwork("n", shape, WORD, tuple(nodes))
        x = np.full((3, *shape), 100, np.int16)
        agree_in_dirty_memory(NetworkCase(fixed, x), poison)
        assert set(Engine(fixed).run(x).raw.ravel().tolist()) == {-32768}


def test_pools_are_part_of_the_sum_before_them_where_every_window_has_a_tap() -> None:
    """One instruction computes both; with a window outside the map there are two."""
    conv = Conv2D(np.full((6, 1, 1, 1), 256, np.int16), np.zeros(6, np.int64), Window((1, 1)))
    for dilation, instructions in ((1, 1), (4, 2)):
        pool = MaxPool2D(Window((2, 1), (1, 1), (1, 0, 1, 0), (dilation, 1)))
        nodes = (
            FixedNode("c", conv, (INPUT,), WORD, (WORD,), Accumulator()),
            FixedNode("p", pool, ("c",), WORD),
        )
        fixed = FixedNetwork("n", (1, 3, 2), WORD, nodes)
        assert Engine(fixed).program().code.size == instructions
