"""Distributions of few values are exact, those of many are close."""

import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layers import Array
from fxpnn.quantization.distribution import DROPPED, LIMIT, Distribution

values = st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=40).map(
    lambda floats: np.array(floats, np.float32)
)
RNG = np.random.default_rng(8)
MANY = {
    "normal": RNG.normal(0, 3, 40_000),
    "tailed": RNG.standard_t(2, 40_000),
    "rectified": np.maximum(RNG.normal(0, 0.01, 40_000), 0),
    "below": -np.abs(RNG.normal(5, 1, 40_000)),
}
many = pytest.mark.parametrize("x", MANY.values(), ids=MANY)


def plain(found: Distribution) -> tuple[object, ...]:
    """Give what a distribution counts."""
    ends = (found.low, found.high, found.dropped)
    return (*ends, found.keys.tolist(), found.counts.tolist())


@given(values, st.integers(1, 5), st.sampled_from([0, DROPPED]), st.randoms(use_true_random=False))
def test_parts_are_joined(x: Array, cuts: int, dropped: int, draw: random.Random) -> None:
    """However values are ordered and cut, the counts are the same, and sums nearly."""
    shuffled = x.tolist()
    draw.shuffle(shuffled)
    parts = [np.array(shuffled[i::cuts], np.float32) for i in range(min(cuts, len(x)))]
    joined, whole = Distribution.of(parts[0], dropped), Distribution.of(x, dropped)
    for part in parts[1:]:
        joined = joined.joined(Distribution.of(part))
    assert plain(joined) == plain(whole)
    assert joined.first == pytest.approx(whole.first)
    assert joined.second == pytest.approx(whole.second)
    assert plain(pickle.loads(pickle.dumps(whole))) == plain(whole)


@given(values, st.sampled_from([0, DROPPED]))
def test_what_is_cut_at_zero(x: Array, dropped: int) -> None:
    """It is the distribution of the values that were cut before."""
    found, cut = Distribution.of(x, dropped).rectified(), np.maximum(x, 0) + np.float32(0)
    assert plain(found) == plain(Distribution.of(cut, dropped))


def error(x: Array, fmt: QFormat) -> Fraction:
    """Sum the squares of what a cast changes, in squared counts, exactly."""
    scaled = [Fraction(value) * Fraction(2) ** fmt.frac for value in x.tolist()]
    errors = (value - min(max(round(value), fmt.min), fmt.max) for value in scaled)
    return sum((each**2 for each in errors), Fraction(0))


@given(values, st.integers(2, 16), st.integers(-8, 20), st.booleans())
def test_errors_of_few_values_are_exact(x: Array, word: int, frac: int, signed: bool) -> None:
    """But for float64."""
    fmt = QFormat(word, frac, signed)
    assert Distribution.of(x).squared_error(fmt) == pytest.approx(float(error(x, fmt)), rel=1e-12)


@many
@pytest.mark.parametrize("word", [2, 4, 8, 12, 16])
@pytest.mark.parametrize("finer", [0, 1, 4])
def test_errors_of_many_values_are_close(x: Array, word: int, finer: int) -> None:
    """Whether bins are narrower than a count or wider: to a hundredth or two."""
    x = x.astype(np.float32)
    fmt = QFormat(word, word - 1 - math.frexp(float(np.abs(x).max()))[1] + finer)
    found = Distribution.of(x)
    assert (found.dropped, len(found.keys) < LIMIT) == (DROPPED, True)
    scaled = np.ldexp(x.astype(np.float64), fmt.frac)
    exact = np.square(scaled - np.clip(np.rint(scaled), fmt.min, fmt.max)).sum()
    assert found.squared_error(fmt) == pytest.approx(exact, rel=0.02)


@many
@pytest.mark.parametrize("share", [0.5, 50, 99, 99.9, 99.99, 100])
def test_percentiles_of_many_values_are_close(x: Array, share: float) -> None:
    """To a small part of a bin, and exact in the tail, where bins have few values."""
    x = x.astype(np.float32)
    sizes = np.sort(np.abs(x))
    exact = sizes[math.ceil(Fraction(str(share)) / 100 * len(x)) - 1]
    found = Distribution.of(x).percentile(share)
    assert found == pytest.approx(exact, rel=0.001)
    if share == 100:
        assert found == exact


def test_a_bin_is_at_most_a_hundred_and_twenty_eighth_wide() -> None:
    """So memory does not grow with values, and what is told of them is that close."""
    x = RNG.normal(0, 1, 200_000).astype(np.float32)
    found = Distribution.of(x)
    assert len(pickle.dumps(found)) < 300_000
    assert int(found.counts.sum()) == len(x)
    edges = (found.keys.astype(np.uint32) << DROPPED).view(np.float32)
    places = np.searchsorted(found.keys, x.view(np.uint32) >> DROPPED)
    assert (np.abs(x - edges[places]) <= np.abs(edges[places]) / 128).all()
