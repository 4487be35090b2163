"""Formats hold the ranges they were chosen for, and no finer format would."""

import math
import random
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layers import Array
from fxpnn.quantization.calibration import Choice, Chosen, choose, choose_shared, fitting
from fxpnn.quantization.distribution import Distribution
from fxpnn.quantization.settings import Method

limits = [1, 2, 127, 127.5, 128, 128.5, 129, 32767, 32767.5, 32768, 32768.5, 65535.5]
on_limits = st.builds(math.ldexp, st.sampled_from(limits), st.integers(-40, 40))
ends = st.floats(-1e30, 1e30) | on_limits | on_limits.map(lambda end: -end)
"""Ends of ranges: any, and those on a limit of a word, or half a count beside."""


def held(value: float, fmt: QFormat) -> bool:
    """Say whether the nearest count lies inside the format."""
    return fmt.min <= round(Fraction(value) * Fraction(2) ** fmt.frac) <= fmt.max


@given(ends, ends, st.integers(2, 16), st.booleans())
def test_fitting_is_the_finest_that_holds(a: float, b: float, word: int, signed: bool) -> None:
    """Of all fractions, tried one by one, no larger one holds both ends."""
    low, high = sorted((a, b) if signed else (abs(a), abs(b)))
    low, high = (end if abs(end) > 1e-30 else 0.0 for end in (low, high))
    finest = word - signed
    if low or high:
        tried = [QFormat(word, frac, signed) for frac in range(-120, 130)]
        finest = max(fmt.frac for fmt in tried if held(low, fmt) and held(high, fmt))
    assert fitting(low, high, word, signed) == QFormat(word, finest, signed)


@pytest.mark.parametrize("method", [Method.MINMAX, Method.PERCENTILE, Method.MSE])
def test_a_format_without_a_sign_is_that_of_what_is_cut_at_zero(method: Method) -> None:
    """It is the same for values whose negatives were cut before, however large these are."""
    values = np.random.default_rng(1).normal(0, 3, 4000).astype(np.float32)
    values[0] = -1e6
    choice = Choice(("",), 8, method, signed=False)
    found = [made(choice, x).format for x in (values, np.maximum(values, 0))]
    assert found[0] == found[1]
    assert not found[0].signed


def test_fitting_ends_at_the_finest_of_all() -> None:
    """A range of nearly nothing has 1000 fraction bits."""
    assert fitting(0, 5e-324, 16) == fitting(-5e-324, 0, 16) == QFormat(16, 1000)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (0.0, math.inf, "a range must be finite to have a format, not 0.0 to inf"),
        (-math.inf, math.inf, "a range must be finite to have a format, not -inf to inf"),
        (math.nan, 1.0, "a range must be finite to have a format, not nan to 1.0"),
        (1.0, math.nan, "a range must be finite to have a format, not 1.0 to nan"),
        (0.0, 1e308, "a range must fit 16 bits of some format, not be 0.0 to 1e+308"),
    ],
)
def test_fitting_refuses_what_no_format_holds(low: float, high: float, message: str) -> None:
    """Infinity, NaN and more than 2**1015."""
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        fitting(low, high, 16)


values = st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=30).map(
    lambda floats: np.array(floats, np.float32)
)


def made(choice: Choice, *blocks: Array) -> Chosen:
    """Make one choice for a tensor that is seen in blocks, or for some."""
    return choose_shared(map(Distribution.of, blocks), choice)


@given(values, st.integers(2, 16), st.sampled_from([1.0, 1.25]))
def test_minmax_holds_every_value(x: Array, word: int, room: float) -> None:
    """It is the format that fits the range, widened by the room."""
    found = made(Choice(("x",), word, Method.MINMAX, room), x)
    assert all(held(value * room, found.format) for value in x.tolist())
    assert found.format == fitting(float(x.min()) * room, float(x.max()) * room, word)
    assert (found.low, found.high) == (x.min(), x.max())


def squared_error(x: Array, fmt: QFormat) -> Fraction:
    """Sum the squares of what rounding and saturation change, exactly."""
    scaled = [Fraction(value) * Fraction(2) ** fmt.frac for value in x.tolist()]
    errors = (value - min(max(round(value), fmt.min), fmt.max) for value in scaled)
    return sum((error**2 for error in errors), Fraction(0)) / Fraction(4) ** fmt.frac


@given(values, st.integers(2, 16))
def test_mse_is_never_worse_than_minmax(x: Array, word: int) -> None:
    """Of the widest format and the six next finer ones none has a smaller error."""
    widest, best = (choose(x, word, method) for method in (Method.MINMAX, Method.MSE))
    finer = [QFormat(word, min(widest.frac + more, 1000)) for more in range(7)]
    assert best in finer
    least = min(squared_error(x, fmt) for fmt in finer)
    assert squared_error(x, best) <= least * Fraction(1 + 1e-9)  # chosen in float64
    assert squared_error(x, best) <= squared_error(x, widest)


def test_mse_lets_an_outlier_go() -> None:
    """Where one value of many is large, the others are worth more bits."""
    x = np.append(np.linspace(-1, 1, 10_001), 3.1)
    assert choose(x, 4, Method.MINMAX) == QFormat(4, 1)
    assert choose(x, 4, Method.MSE) == QFormat(4, 3)
    assert choose(np.zeros(3), 4, Method.MSE) == choose(np.zeros(3), 4, Method.MINMAX)


@given(values, st.integers(2, 16), st.sampled_from([0.1, 25, 50, 99.9, 100]))
def test_percentile_is_the_least_that_covers_the_share(x: Array, word: int, share: float) -> None:
    """Of the sorted magnitudes it is the first with at least so many at or below it, exactly."""
    magnitudes = sorted(abs(value) for value in x.tolist())
    wanted = Fraction(str(share)) / 100 * len(magnitudes)
    limit = next(m for i, m in enumerate(magnitudes, 1) if i >= wanted)
    ends = (min(max(float(end), -limit), limit) for end in (x.min(), x.max()))
    found = made(Choice(("x",), word, Method.PERCENTILE, percentile=share), x)
    low, high = ends
    assert found.format == fitting(low, high, word)


@given(
    values,
    st.sampled_from([Method.MINMAX, Method.PERCENTILE, Method.MSE]),
    st.integers(1, 7),
    st.randoms(use_true_random=False),
)
def test_order_and_number_change_no_choice(
    x: Array, method: Method, times: int, draw: random.Random
) -> None:
    """The same values in any order, in any blocks, and any number of times, give the same."""
    choice = Choice(("x",), 5, method, percentile=80)
    shuffled = x.tolist() * times
    draw.shuffle(shuffled)
    cut = draw.randrange(len(shuffled) + 1)
    blocks = [np.array(part, np.float32) for part in (shuffled[:cut], shuffled[cut:]) if part]
    assert made(choice, *blocks) == made(choice, x)


def test_tensors_that_share_a_format_are_one_distribution() -> None:
    """A choice for two tensors is that for all their values."""
    one, other = np.linspace(-1, 1, 50), np.array([5.0, 0.25])
    for method in (Method.MINMAX, Method.PERCENTILE, Method.MSE):
        both = made(Choice(("a", "b"), 6, method, percentile=97), one, other)
        together = np.concatenate([one, other])
        assert both == made(Choice(("x",), 6, method, percentile=97), together)


def test_the_bulk_leaves_one_in_a_thousand_out() -> None:
    """It counts magnitudes above 0 only, and is known to an eighth."""
    for outliers in range(3):
        x = np.concatenate([np.zeros(5000), np.full(1999 - outliers, -0.75), [80.0] * outliers])
        found = made(Choice(("x",), 16, Method.MINMAX), x)
        assert 0.75 <= found.bulk < 0.875 if outliers < 2 else 80 <= found.bulk < 90
    assert made(Choice(("x",), 16, Method.MINMAX), np.zeros(9)).bulk == 0


def test_percentile_lets_one_in_ten_thousand_go() -> None:
    """Five magnitudes of 100,000 are clipped, 500 of them are held."""

    def covered(x: Array) -> QFormat:
        return made(Choice(("x",), 16, Method.PERCENTILE), x).format

    small = np.full(99_995, 0.9)
    for outlier in (-100.0, 100.0):
        rare = np.append(small, [outlier] * 5)
        assert covered(rare) == fitting(-0.9, 0.9, 16)
    often = np.append(small, [100.0] * 500)
    assert covered(often) == choose(often, 16, Method.MINMAX)
