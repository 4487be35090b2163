"""Pools that average or take roots: what they sum is cast once, as their node says."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.engine.inference import infer
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import AvgPool2D, L2Pool2D, Window
from tests.support.oracles import ORACLES
from tests.support.strategies import modes, windows

Pool = AvgPool2D | L2Pool2D
Q8 = QFormat(16, 8)
INTEGERS = QFormat(16, 0)


def one(pool: Pool, x: Any, source: QFormat = Q8, **fields: Any) -> tuple[Any, Counts]:
    """Pool one image by the golden model, and as the engine does; give raw words and counts."""
    node = FixedNode("y", pool, (INPUT,), **{"output_format": source, **fields})
    fixed = FixedNetwork("one", np.shape(x), source, (node,))
    truth, run = golden.run(fixed, np.array([x])), infer(fixed, np.array([x], np.int16))
    assert (run.raw.tolist(), run.layers["y"]) == (truth.raw["y"].tolist(), truth.counts["y"])
    return truth.raw["y"][0].tolist(), truth.counts["y"]


@pytest.mark.parametrize(
    ("values", "average"),
    [([5, *[0] * 8], 1), ([4, *[0] * 8], 0), ([-5, *[0] * 8], -1), ([-4, *[0] * 8], 0)],
)
def test_an_average_is_rounded_once(values: list[int], average: int) -> None:
    """5/9 of an LSB is 1; a sum rounded before it is divided, or cut, would be 0."""
    x = [np.reshape(values, (3, 3)).tolist()]
    assert one(AvgPool2D(Window((3, 3))), x) == ([[[average]]], Counts())


HALVES = {
    Rounding.NEAREST_EVEN: [0, 2, 2, 0, -2],
    Rounding.NEAREST_UP: [1, 2, 3, 0, -1],
    Rounding.NEAREST_DOWN: [0, 1, 2, -1, -2],
    Rounding.NEAREST_ZERO: [0, 1, 2, 0, -1],
    Rounding.NEAREST_AWAY: [1, 2, 3, -1, -2],
    Rounding.FLOOR: [0, 1, 2, -1, -2],
    Rounding.ZERO: [0, 1, 2, 0, -1],
}
"""What 1/2, 3/2, 5/2, -1/2 and -3/2 become, by hand."""


@pytest.mark.parametrize(("rounding", "halves"), HALVES.items())
def test_the_tie_of_an_average_goes_as_the_node_says(rounding: Rounding, halves: list[int]) -> None:
    """Half of an odd sum, in each rounding."""
    layer = AvgPool2D(Window((1, 2), (1, 2)))
    x = [[[1, 0, 3, 0, 5, 0, -1, 0, -3, 0]]]
    assert one(layer, x, rounding=rounding) == ([[halves]], Counts())


@pytest.mark.parametrize(("rounding", "halves"), HALVES.items())
def test_the_tie_of_a_root_goes_as_the_node_says(rounding: Rounding, halves: list[int]) -> None:
    """The roots of 1, 9 and 25, in a format with one fraction bit less, and 7/2 beside a tie."""
    layer = L2Pool2D(Window((1, 2), (1, 2)))
    x = [[[1, 0, 3, 0, 3, 4, 4, 6, 5, 5]]]  # 4 * 4 + 6 * 6 is 52, 5 * 5 + 5 * 5 one more than 49
    up = rounding not in (Rounding.FLOOR, Rounding.ZERO)
    y, counts = one(layer, x, rounding=rounding, output_format=QFormat(16, 7))
    assert (y[0][0][:3], y[0][0][3:], counts) == (halves[:3], [3 + up, 3 + up], Counts())


def test_a_pool_has_a_format_of_its_own() -> None:
    """Finer, an average of four keeps two bits more; coarser or finer, both are cast once."""
    average, root = AvgPool2D(Window((2, 2))), L2Pool2D(Window((2, 2)))
    x = [[[1, 2], [0, 0]]]
    assert one(average, x, output_format=QFormat(16, 10)) == ([[[3]]], Counts())
    assert one(root, x, output_format=QFormat(16, 12)) == ([[[36]]], Counts())  # 35.777
    x = [[[255, 255], [0, 0]]]  # 127.5 is no tie of a half at F = 0; 360.6 is 1.41
    assert one(average, x, output_format=INTEGERS) == ([[[0]]], Counts())
    assert one(root, x, output_format=INTEGERS) == ([[[1]]], Counts())


@pytest.mark.parametrize(
    ("overflow", "average", "counts"),
    [
        (Overflow.SATURATE, [-8, 7, -7], 1),
        (Overflow.SATURATE_SYMMETRIC, [-7, 7, -7], 2),
        (Overflow.SATURATE_ZERO, [-8, 0, -7], 1),
        (Overflow.WRAP, [-8, -8, -7], 1),
    ],
)
def test_a_pool_overflows_as_the_node_says(
    overflow: Overflow, average: list[int], counts: int
) -> None:
    """Means of -8, 8 and -7 in four bits: a symmetric range has no -8, no range an 8."""
    layer = AvgPool2D(Window((1, 2), (1, 2)))
    x = [[[-9, -7, 7, 9, -7, -7]]]
    y = one(layer, x, overflow=overflow, output_format=QFormat(4, 8))
    assert y == ([[average]], Counts(0, counts))


@pytest.mark.parametrize(
    ("overflow", "over"),
    [(Overflow.SATURATE, 32767), (Overflow.SATURATE_ZERO, 0), ("wrap", -19196)],
)
def test_the_root_of_squares_is_rounded_and_overflows(overflow: str, over: int) -> None:
    """sqrt(2) is 1, sqrt(3) is 2, sqrt(2) * 32767 is 46339.54 and over the word."""
    x = [[[1, 1, 0], [1, 0, 0]], [[1, 1, 0], [1, 0, 0]], [[32767, 0, 0], [32767, 0, 0]]]
    y, counts = one(L2Pool2D(Window((2, 2))), x, overflow=Overflow(overflow))
    assert (y, counts) == ([[[2, 1]], [[2, 1]], [[over, 0]]], Counts(0, 1))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Pool, Any, QFormat, dict[str, Any]]:
    """Draw a pool, its input's words on ties, near 0 or at their limits, and its node's cast."""
    shape = tuple(draw(st.integers(1, most)) for most in (2, 5, 5))
    whole = st.just(Window((shape[1], shape[2])))  # a global pool
    window = draw(whole | windows(shape[1], shape[2], pool=True))
    pools: list[Pool] = [AvgPool2D(window), AvgPool2D(window, True), L2Pool2D(window)]
    pool = draw(st.sampled_from(pools))
    source = QFormat(draw(st.sampled_from([4, 8, 16])), 8)
    most = draw(st.sampled_from([2, 6, source.max]))
    x = draw(st.lists(st.integers(-most, most), min_size=1, max_size=30))
    rounding, overflow = draw(modes)
    word, signed = draw(st.integers(2, 15)), draw(st.booleans())
    target = QFormat(word, 8 + draw(st.integers(-4, 4)), signed)
    fields = {"output_format": target, "rounding": rounding, "overflow": overflow}
    return pool, np.resize(x, shape), source, fields


@settings(max_examples=300)
@given(case=cases())
def test_pools_cast_rationals_once(case: tuple[Pool, Any, QFormat, dict[str, Any]]) -> None:
    """Any window, count, format and modes: engine, golden model and rational arithmetic agree."""
    pool, x, source, fields = case
    node = FixedNode("y", pool, (INPUT,), **fields)
    wanted, counts = ORACLES[type(pool)](node, [source], [x.astype(object)])
    judged = Counts(0, counts.saturations + counts.below_zero)  # no ReLU is behind it
    assert one(pool, x, source, **fields) == (wanted.tolist(), judged)


@pytest.mark.parametrize(("kind", "most"), [(AvgPool2D, 42), (L2Pool2D, 14)])
def test_pools_are_exact_in_62_bits(kind: type[Pool], most: int) -> None:
    """An output so much finer is the last whose sums of the least words fit; coarser is free."""
    pool, x = kind(Window((2, 2))), np.full((1, 2, 2), -32768)
    for finer in (most, -1000):
        one(pool, x, output_format=QFormat(16, 8 + finer), overflow=Overflow.WRAP)
    message = (
        f"layer y ({kind.__name__}): output must have at most {most} fraction bits more than the "
        f"input's Q7.8, not {most + 1}; change the format of y, Q{6 - most}.{9 + most}"
    )
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        one(pool, x, output_format=QFormat(16, 9 + most))
