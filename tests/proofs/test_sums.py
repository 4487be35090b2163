"""Sums of ends are exact: in floats as in integers, in blocks as at once, once as repeated."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.fixedpoint.interval import Interval
from fxpnn.network.layers import Conv2D, Dense, Window
from fxpnn.proofs import sums
from fxpnn.proofs.sums import sum_interval


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv2D, Interval]:
    """Draw a convolution, and ends that are the same along any axes of its maps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    groups, (kh, kw) = draw(st.integers(1, 2)), (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, 3)) for _ in range(4))
    stride, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 2))) for _ in range(2))
    weight = rng.integers(-32768, 32768, (2 * groups, 2, kh, kw)).astype(np.int16)
    window = Window((kh, kw), stride, (padding[0], padding[1], padding[2], padding[3]), dilation)
    layer = Conv2D(weight, rng.integers(-(2**40), 2**40, 2 * groups), window, groups)
    shape = (2 * groups, draw(st.integers(7, 9)), draw(st.integers(7, 9)))
    once = tuple(draw(st.sampled_from([1, size])) for size in shape)
    ends = np.sort(rng.integers(draw(st.sampled_from([-32768, 0])), 32768, (2, *once)), axis=0)
    return layer, Interval(*ends).spread(shape)


def plain(layer: Conv2D, x: Interval) -> tuple[list[int], list[int]]:
    """Bound every output's sum in Python integers, term by term."""
    outputs, maps = layer.weight.shape[:2]
    _, rows, columns = layer.shape(x.low.shape)
    (kh, kw), window = layer.window.kernel, layer.window
    lows, highs = [], []
    for o, i, j in np.ndindex(outputs, rows, columns):
        low = high = int(layer.bias[o])
        for c, m, n in np.ndindex(maps, kh, kw):
            row = i * window.stride[0] + m * window.dilation[0] - window.padding[0]
            column = j * window.stride[1] + n * window.dilation[1] - window.padding[1]
            if not (0 <= row < x.low.shape[1] and 0 <= column < x.low.shape[2]):
                continue
            place = (o * layer.groups // outputs * maps + c, row, column)
            w, ends = int(layer.weight[o, c, m, n]), (int(x.low[place]), int(x.high[place]), 0)
            low, high = low + min(w * end for end in ends), high + max(w * end for end in ends)
        lows.append(low)
        highs.append(high)
    return lows, highs


@given(case=convolutions(), exact=st.sampled_from([0, sums.EXACT]), block=st.sampled_from([1, 90]))
def test_bounds_of_convolutions_are_exact(
    case: tuple[Conv2D, Interval], exact: int, block: int
) -> None:
    """They equal the sums of each term's extremes, in Python integers."""
    with patch.object(sums, "EXACT", exact), patch.object(sums, "BLOCK", block):
        found = sum_interval(*case)
    assert found.low.shape == case[0].shape(case[1].low.shape)
    assert (found.low.reshape(-1).tolist(), found.high.reshape(-1).tolist()) == plain(*case)


@pytest.mark.parametrize("limit", [2**53 - 1, 2**53, 2**53 + 1])
def test_sums_that_floats_cannot_hold_are_integers(limit: int) -> None:
    """Where partial sums may reach 2**53, every bit is still right.

    Words wider than a tensor's stand for the millions of products that reach so far.
    """
    layer = Dense(np.array([[1, 1]], np.int64), np.zeros(1, np.int64))
    x = Interval(np.zeros(2, np.int64), np.array([limit - 1, 1]))
    assert sum_interval(layer, x).high.tolist() == [limit]


def test_a_map_that_is_the_same_everywhere_is_summed_once() -> None:
    """Without padding each output map has one sum."""
    layer = Conv2D(np.ones((2, 1, 3, 3), np.int16), np.zeros(2, np.int64), Window((3, 3)))
    x = Interval(np.array(-1), np.array(2)).spread((1, 100, 100))
    assert [end.tolist() for end in sum_interval(layer, x).once] == [
        [[[-9]], [[-9]]],
        [[[18]], [[18]]],
    ]
