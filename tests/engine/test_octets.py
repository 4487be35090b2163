"""Sums of bytes are the golden model, where a processor is made for them and where it is not."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.engine import sums
from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.kernels.build import processor
from fxpnn.kernels.layout.instructions import PLAIN, SUM_8, SUM_32, SUM_64
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Dense, Flatten, MaxPool2D, Relu, Window
from tests.support.agreement import agree, agree_in_dirty_memory
from tests.support.loops import plainly
from tests.support.strategies import NetworkCase, modes

SIGNED, UNSIGNED = QFormat(8, 4), QFormat(8, 4, signed=False)
ACCUMULATORS = Accumulator(), Accumulator(32), Accumulator(15, Overflow.WRAP)


@pytest.fixture(autouse=True)
def _everywhere() -> Iterator[None]:
    """Sum bytes on every processor."""
    with mock.patch.object(sums, "FOURS", True):
        yield


def drawn(rng: np.random.Generator, low: int, high: int, shape: Any) -> Any:
    """Draw integers, a third of them at their limits."""
    values = rng.integers(low, high, shape, endpoint=True)
    ends = rng.choice([low, high], shape)
    return np.where(rng.random(shape) < 1 / 3, ends, values)


@st.composite
def eight_bits(draw: st.DrawFn) -> NetworkCase:
    """Draw a convolution of any geometry, what becomes part of it, and a dense layer behind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    fmt = draw(st.sampled_from([SIGNED, UNSIGNED]))
    groups = draw(st.sampled_from([1, 1, 2]))
    depth, outputs = draw(st.sampled_from([1, 2, 3, 4, 9])), draw(st.sampled_from([1, 4, 8, 18]))
    ends, sizes = st.integers(0, 2), st.integers(1, 3)
    window = Window(
        (draw(sizes), draw(sizes)),
        (draw(sizes), draw(sizes)),
        (draw(ends), draw(ends), draw(ends), draw(ends)),
        (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
    )
    weight = drawn(rng, -128, 127, (groups * outputs, depth, *window.kernel)).astype(np.int16)
    weight[rng.random(weight.shape) < draw(st.sampled_from([0, 0, 0.5]))] = 0
    bias = rng.integers(-(2**14), 2**14, len(weight))
    made = draw(st.sampled_from([QFormat(8, draw(st.integers(-1, 8))), UNSIGNED]))
    rounding, overflow = draw(modes)
    accumulator = draw(st.sampled_from(ACCUMULATORS))
    conv = Conv2D(weight, bias, window, groups)
    cast: Any = {"rounding": rounding, "overflow": overflow, "accumulator": accumulator}
    nodes = [FixedNode("c", conv, (INPUT,), made, (QFormat(8, 7),), **cast)]
    if not made.signed or draw(st.booleans()):
        nodes.append(FixedNode("r", Relu(), ("c",), made))
    if draw(st.booleans()):
        pool = MaxPool2D(Window((1, 2), (1, 1), (0, 0, 0, 1)))
        nodes.append(FixedNode("p", pool, (nodes[-1].name,), made))
    shape = depth * groups, draw(st.integers(5, 7)), draw(st.integers(5, 7))
    nodes.append(FixedNode("f", Flatten(), (nodes[-1].name,), made))
    inside = FixedNetwork("n", shape, fmt, tuple(nodes)).shapes["f"]
    dense = Dense(drawn(rng, -128, 127, (11, *inside)).astype(np.int16), np.zeros(11, np.int64))
    last = FixedNode("d", dense, ("f",), WIDE, (QFormat(8, 7),), Accumulator())
    raw = drawn(rng, fmt.min, fmt.max, (2, *shape))
    return NetworkCase(FixedNetwork("n", shape, fmt, (*nodes, last)), raw)


WIDE = QFormat(16, 4)


@settings(max_examples=60)
@given(
    case=eight_bits(),
    alike=st.sampled_from([agree, agree, lambda case: agree_in_dirty_memory(case, -32768)]),
)
def test_a_sum_of_bytes_is_the_golden_model(case: NetworkCase, alike: Any) -> None:
    """Any geometry and cast, with signs and without, with ReLUs and pools behind."""
    op = PLAIN if plainly() else SUM_8
    assert Engine(case.fixed).program().code["op"][-1] == op
    alike(case)


@pytest.mark.parametrize(
    ("fmt", "least", "most", "op"),
    [
        (SIGNED, -128, 127, SUM_8),
        (UNSIGNED, -128, 127, SUM_8),
        (QFormat(9, 4), 0, 1, SUM_32),
        (QFormat(9, 4, signed=False), 0, 1, SUM_32),
        (SIGNED, -129, 0, SUM_32),
        (UNSIGNED, 0, 128, SUM_32),
    ],
)
def test_both_sides_must_have_8_bits(fmt: QFormat, least: int, most: int, op: int) -> None:
    """Words and weights are bytes at their limits, and none with one bit more; so it is written."""
    weight = np.resize([least, most], (3, 40)).astype(np.int16)
    node = FixedNode(
        "d", Dense(weight, np.zeros(3, np.int64)), (INPUT,), WIDE, (WIDE,), Accumulator()
    )
    fixed = FixedNetwork("n", (40,), fmt, (node,))
    assert Engine(fixed).program().code["op"].tolist() == [op]
    raw = np.resize([fmt.min, fmt.max, fmt.max], (5, 40))
    agree(NetworkCase(fixed, raw))


def test_sums_beyond_32_bits_have_words_of_16() -> None:
    """66,000 products of bytes at their limits go beyond 32 bits, and so does a wide bias."""
    for inputs, bias, op in ((65_000, 0, SUM_8), (66_000, 0, SUM_64), (1, 2**40, SUM_64)):
        layer = Dense(np.full((1, inputs), -128, np.int16), np.array([bias]))
        node = FixedNode("d", layer, (INPUT,), QFormat(16, -6), (QFormat(8, 7),), Accumulator())
        fixed = FixedNetwork("n", (inputs,), UNSIGNED, (node,))
        assert Engine(fixed).program().code["op"].tolist() == [op]
        agree(NetworkCase(fixed, np.full((1, inputs), 255)))


@pytest.mark.parametrize(
    ("features", "adds"),
    [
        ("+avx512f,+avx512vl,+avx512vnni", True),
        ("+avx512f,-avx512vl,+avx512vnni", False),
        ("+avx2,+avxvnni", False),
        ("+neon,+dotprod", False),
        ("", False),
    ],
)
def test_only_processors_that_add_fours_sum_bytes(features: str, adds: bool) -> None:
    """The instruction is named for those alone."""
    assert processor.adds_fours(features) == adds
