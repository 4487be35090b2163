"""ReLUs and clips become part of the cast before them, to the same bits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.engine.ends import EVERY_WORD, Ends
from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Add, Clip, Conv2D, MaxPool2D, Mul, Relu, Window
from tests.support.agreement import agree
from tests.support.strategies import NetworkCase, modes

ACCUMULATORS = (
    Accumulator(),
    Accumulator(24),
    Accumulator(26, Overflow.WRAP),
    Accumulator(27, frac=6),
)
WORD = QFormat(16, 8)


@st.composite
def clipped(draw: st.DrawFn) -> NetworkCase:
    """Draw a sum, a join or a product, and up to three clips, ReLUs and pools behind it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = QFormat(draw(st.integers(4, 15)), draw(st.integers(4, 9)), draw(st.booleans()))
    rounding, overflow = draw(modes)
    fields: Any = {"rounding": rounding, "overflow": overflow}
    kind = draw(st.sampled_from(("conv", "add", "mul")))
    channels = draw(st.sampled_from([1, 3, 16]))
    if kind == "conv":
        outputs = draw(st.sampled_from([1, 8, 17]))
        weight = rng.integers(-400, 400, (outputs, channels, 2, 2)).astype(np.int16)
        layer: Any = Conv2D(weight, rng.integers(-(2**14), 2**14, outputs), Window((2, 2)))
        fields |= {"accumulator": draw(st.sampled_from(ACCUMULATORS)), "weight_formats": (WORD,)}
        nodes = [FixedNode("n0", layer, (INPUT,), made, **fields)]
    else:
        layer = Add() if kind == "add" else Mul()
        nodes = [FixedNode("n0", layer, (INPUT, INPUT), made, **fields)]
    for i in range(draw(st.integers(1, 3))):
        ends = sorted(draw(st.integers(made.min, made.max)) for _ in range(2))
        pool = MaxPool2D(Window((2, 2), (1, 1), (0, 0, 1, 1)))
        behind = draw(st.sampled_from((Relu(), Clip(*ends), Clip(*ends), pool)))
        nodes.append(FixedNode(f"n{i + 1}", behind, (nodes[-1].name,), made))
    shape = channels, 5, 4
    raw = rng.integers(-9000, 9000, (2, *shape)) >> draw(st.integers(0, 6))
    return NetworkCase(FixedNetwork("n", shape, WORD, tuple(nodes)), raw)


@given(case=clipped())
def test_clips_in_a_cast_are_the_golden_model(case: NetworkCase) -> None:
    """Clips of one end or both, of ends on either side of 0, one behind the other, and pools."""
    agree(case)


@pytest.mark.parametrize("layer", [Add(), Mul()])
def test_a_join_and_its_clips_are_one_instruction(layer: Any) -> None:
    """As the end of a residual block: Add, ReLU and a clip."""
    nodes = (
        FixedNode("a", layer, (INPUT, INPUT), WORD),
        FixedNode("r", Relu(), ("a",), WORD),
        FixedNode("c", Clip(-5, 700), ("r",), WORD),
    )
    code = Engine(FixedNetwork("n", (3,), WORD, nodes)).program().code
    assert [(row["least"], row["most"]) for row in code] == [(0, 700)]


@given(st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2).map(sorted), max_size=3))
def test_ends_behind_ends_are_ends(clips: list[list[int]]) -> None:
    """Clips one behind the other are one, also where their ranges have nothing in common."""
    ends = EVERY_WORD
    for least, most in clips:
        ends = ends.within(least, most)
    for word in range(-12, 13):
        expected = word
        for least, most in clips:
            expected = sorted((least, expected, most))[1]
        assert sorted((ends.least, word, ends.most))[1] == expected
    assert Ends(-3, 5).within(0, None) == (0, 5)
    assert Ends(-3, -2).within(0, None) == (0, 0)  # a ReLU behind a clip that is below 0
    assert Ends(-3, 5).within(None, 2) == (-3, 2)
