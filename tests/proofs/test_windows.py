"""Bounds of pools, of maps kept once and in full, equal the golden model's on either end."""

from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.integers import round_quotient
from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import AvgPool2D, L2Pool2D, MaxPool2D, Window
from fxpnn.proofs.bounds import prove_node
from fxpnn.proofs.windows import _cast_quotient, _root

WORD = QFormat(16, 8)
Pool = MaxPool2D | AvgPool2D | L2Pool2D


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, Interval]:
    """Draw a pool, and ends that are the same along any axes of its maps."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    window = Window(
        draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        draw(pairs),
        draw(st.tuples(*[st.integers(0, 2)] * 4)),
        draw(pairs),
        draw(st.booleans()),
    )
    kinds: list[Pool] = [MaxPool2D(window), AvgPool2D(window), AvgPool2D(window, True)]
    layer = draw(st.sampled_from([*kinds, L2Pool2D(window)]))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    once = tuple(draw(st.sampled_from([1, size])) for size in shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    largest = draw(st.sampled_from([2, 300, 32767]))
    ends = np.sort(rng.integers(-largest - 1, largest + 1, (2, *once)), axis=0)
    return layer, Interval(*ends).spread(shape)


@given(case=pools())
def test_pools_are_bounded_by_what_their_ends_give(case: tuple[Pool, Interval]) -> None:
    """The golden model gives the bounds from the ends, or for roots the larger magnitudes."""
    layer, x = case
    node = FixedNode("pool", layer, (INPUT,), WORD)
    try:
        fixed = FixedNetwork("pool", x.low.shape, WORD, (node,))
    except ModelError:  # the window does not fit
        return
    proof = prove_node(node, [x], [WORD])
    ends = x
    if isinstance(layer, L2Pool2D):
        ends = Interval(np.zeros_like(x.low), np.where(-x.low > x.high, x.low, x.high))
    run = golden.run(fixed, np.stack(ends))
    assert proof.output.low.shape == fixed.shapes["pool"]
    assert np.array_equal(np.stack(proof.output), run.raw["pool"])
    assert proof.saturates == (run.counts["pool"].saturations > 0)


@given(
    total=st.integers(-(2**40), 2**40),
    count=st.integers(1, 50),
    drop=st.integers(0, 4),
    rounding=st.sampled_from(Rounding),
)
def test_a_quotient_is_cast_in_one_step(
    total: int, count: int, drop: int, rounding: Rounding
) -> None:
    """Rounding the exact quotient once, in every mode, also where bits are dropped."""
    total = total // 7 * count // 2 if total % 2 else total % 1000  # ties, and small ones
    cast = Shift(QFormat(32, 0), rounding)
    found, over = _cast_quotient(np.array([total]), np.array([count]), drop, cast)
    wanted = round_quotient(total, count << drop, rounding)
    clamped = min(max(wanted, cast.format.min), cast.format.max)
    assert (int(found[0]), bool(over[0])) == (clamped, clamped != wanted)


@pytest.mark.parametrize("root", [0, 1, 2, 46340, 46341, 2**26 + 1, 2**30, 2**31 - 1])
def test_roots_are_nearest(root: int) -> None:
    """On a square, one beside it, and on either side of the middle between two roots."""
    squares = {max(root * root + d, 0) for d in (-root, 1 - root, -1, 0, 1, root, root + 1)}
    wanted = []
    for square in sorted(squares):
        floor = isqrt(square)
        wanted.append(floor + (square - floor * floor > floor))
    assert _root(np.array(sorted(squares))).tolist() == wanted
