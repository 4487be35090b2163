"""Depthwise convolutions in networks are the golden model, by vectors of their own or not."""

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.kernels.layout import depthwise as layout
from fxpnn.kernels.layout import instructions
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Clip, Conv2D, MaxPool2D, Relu, Window
from tests.support.agreement import agree, agree_in_dirty_memory
from tests.support.strategies import NetworkCase, modes

WORD = QFormat(16, 8)
ACCUMULATORS = (
    Accumulator(),
    Accumulator(),
    Accumulator(26, Overflow.WRAP),
    Accumulator(40, frac=18),
)


def node(channels: int, window: Window, made: QFormat, most: int = 400, **fields: Any) -> FixedNode:
    """Return a depthwise layer whose weights are up to a magnitude; a format for each channel."""
    rng = np.random.default_rng(channels)
    weight = rng.integers(-most, most + 1, (channels, 1, *window.kernel)).astype(np.int16)
    layer = Conv2D(weight, rng.integers(-(2**18), 2**18, channels), window, channels)
    formats = tuple(QFormat(16, 8 + i % 2) for i in range(channels))
    fields = {"accumulator": Accumulator(), **fields}
    return FixedNode("n0", layer, (INPUT,), made, weight_formats=formats, **fields)


@st.composite
def depthwise(draw: st.DrawFn) -> NetworkCase:
    """Draw a depthwise layer of any geometry and cast, and what becomes part of it behind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    channels = draw(st.sampled_from([2, 3, 8, 16, 20, 32, 33, 40]))
    ends = st.integers(0, 2)
    window = Window(
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        (draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        (draw(ends), draw(ends), draw(ends), draw(ends)),
        (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
    )
    unsigned = draw(st.booleans())
    frac = draw(st.integers(-14, 17))
    made = QFormat(draw(st.integers(2, 15)), frac, signed=not unsigned)
    rounding, overflow = draw(modes)
    fields: Any = {"rounding": rounding, "overflow": overflow}
    fields["accumulator"] = draw(st.sampled_from(ACCUMULATORS))
    most = draw(st.sampled_from([3, 300, 3000, 32767]))
    nodes = [node(channels, window, made, most, **fields)]
    if unsigned or draw(st.booleans()):
        nodes.append(FixedNode("n1", Relu(), ("n0",), made))
    if draw(st.booleans()):
        pool = MaxPool2D(Window((1, 2), (1, 1), (0, 0, 0, 1)))
        behind = draw(st.sampled_from([pool, Clip(made.min // 2, made.max // 3)]))
        nodes.append(FixedNode("n2", behind, (nodes[-1].name,), made))
    shape = channels, draw(st.integers(5, 6)), draw(st.integers(5, 6))
    raw = rng.integers(-32768, 32768, (2, *shape)) >> draw(st.integers(0, 12))
    return NetworkCase(FixedNetwork("n", shape, WORD, tuple(nodes)), raw)


@settings(max_examples=30)
@given(
    case=depthwise(),
    words=st.sampled_from([0, 500, layout.STRIP_WORDS]),
    alike=st.sampled_from([agree, lambda case: agree_in_dirty_memory(case, -32768)]),
)
def test_a_depthwise_layer_is_the_golden_model(case: NetworkCase, words: int, alike: Any) -> None:
    """Any geometry, cast and accumulator, with ReLUs, clips and pools behind; strips of lines."""
    with mock.patch.object(layout, "STRIP_WORDS", words):
        alike(case)


KINDS = {
    "short": (node(40, Window((3, 3)), WORD), True),
    "no shift": (node(40, Window((3, 3)), QFormat(16, 16)), True),
    "rounding by sign": (node(40, Window((3, 3)), WORD, rounding=Rounding.NEAREST_AWAY), True),
    "four channels of three pixels": (node(4, Window((3, 3)), WORD), True),
    "seven channels of one pixel": (node(7, Window((3, 3), (1, 2)), WORD), False),
    "shift to the left": (node(40, Window((3, 3)), QFormat(16, 17)), False),
    "wide shift": (node(40, Window((3, 3)), QFormat(16, -14)), False),
    "sums of 64 bits": (node(40, Window((3, 3)), WORD, 32767), True),
    "sums of 64 bits, far from a word": (node(40, Window((3, 3)), QFormat(16, -3), 32767), False),
    "sums of 64 bits, out of range at once": (
        node(40, Window((3, 3)), QFormat(3, 8), 32767),
        False,
    ),
    "sums of 64 bits, no rule": (
        node(40, Window((3, 3)), WORD, 32767, rounding=Rounding.NEAREST_AWAY),
        False,
    ),
    "may overflow": (node(40, Window((3, 3)), WORD, accumulator=Accumulator(24)), False),
    "drops bits": (node(40, Window((3, 3)), WORD, accumulator=Accumulator(40, frac=9)), False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_which_layers_are_run_so(kind: str) -> None:
    """Rows of 8 words whose sums fit 32 bits, or are near, and drop 0 to 30 bits.

    The others go the usual way.
    """
    layer, expected = KINDS[kind]
    shape = len(layer.weight_formats), 5, 5
    code = Engine(FixedNetwork("n", shape, WORD, (layer,))).program().code
    assert [op == instructions.DEPTHWISE for op in code["op"]] == [expected]
