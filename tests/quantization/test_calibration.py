"""Formats hold the ranges they were chosen for, and no finer format would."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import DataError, FormatError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.graph import INPUT, Network, Scaling, chain
from fxpnn.network.layers import Array, Dense, Flatten, LeakyRelu, Relu
from fxpnn.quantization.calibration import BLOCK, choose, fitting, observe
from fxpnn.quantization.settings import Method
from fxpnn.reference import forward, scale

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


@given(values, st.integers(2, 16), st.sampled_from([1.0, 1.25]))
def test_minmax_holds_every_value(x: Array, word: int, room: float) -> None:
    """It is the format that fits the range, widened by the room."""
    fmt = choose(x, word, Method.MINMAX, room)
    assert all(held(value * room, fmt) for value in x.tolist())
    assert fmt == fitting(float(x.min()) * room, float(x.max()) * room, word)


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


def test_percentile_lets_one_in_ten_thousand_go() -> None:
    """Five magnitudes of 100,000 are clipped, 500 of them are held."""
    small = np.full(99_995, 0.9)
    for outlier in (-100.0, 100.0):
        rare = np.append(small, [outlier] * 5)
        assert choose(rare, 16, Method.PERCENTILE) == fitting(-0.9, 0.9, 16)
    often = np.append(small, [100.0] * 500)
    assert choose(often, 16, Method.PERCENTILE) == choose(often, 16, Method.MINMAX)


def small() -> Network:
    """Build a network of 2 pixels and 3 hidden values."""
    weight = np.array([[1, 0], [0, -2], [1, 1]], np.float32)
    layers = {"flat": Flatten(), "hidden": Dense(weight, np.zeros(3, np.float32)), "relu": Relu()}
    return chain("small", (1, 1, 2), layers)


PIXELS = np.random.default_rng(5).integers(0, 256, (3 * BLOCK + 7, 1, 1, 2), np.uint8)


def test_observe_gives_what_tensors_took_on() -> None:
    """All of it where it is little: flat, float32, of the tensors asked for."""
    seen = observe(small(), PIXELS, [INPUT, "hidden"])
    x = PIXELS.reshape(-1, 2).astype(np.float32) / 256
    hidden = np.stack([x[:, 0], -2 * x[:, 1], x.sum(1)], 1)
    assert set(seen) == {INPUT, "hidden"}
    for name, values in ((INPUT, x), ("hidden", hidden)):
        assert seen[name].dtype == np.float32
        assert seen[name].ndim == 1
        assert set(seen[name].tolist()) == set(values.ravel().tolist())


def test_observe_takes_scaled_floats() -> None:
    """They pass as they are."""
    floats = PIXELS.astype(np.float64) / 256
    for name, values in observe(small(), PIXELS, [INPUT, "relu"]).items():
        assert np.array_equal(observe(small(), floats, [name])[name], values)


def test_observe_keeps_the_extremes_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of much only a part is kept, but never without the smallest and the largest."""
    monkeypatch.setattr("fxpnn.quantization.calibration.SAMPLE", 24)
    everything = forward(small(), scale(PIXELS, Scaling()), keep=small().shapes)
    for name, values in observe(small(), PIXELS, small().shapes).items():
        assert values.size < 100 < everything[name].size
        assert (values.min(), values.max()) == (everything[name].min(), everything[name].max())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (PIXELS[:0], "images must be (N, 1, 1, 2) with N of 1 or more, not (0, 1, 1, 2)"),
        (PIXELS[:, 0], "images must be (N, 1, 1, 2) with N of 1 or more, not (199, 1, 2)"),
        (PIXELS.astype(int), "images must be uint8 pixels or scaled floats, not int64"),
        (
            np.array([[[[0, 1]]], [[[2, np.nan]]]]),
            "calibration image 1, element [0, 0, 1] must be finite, not nan",
        ),
        (np.full((1, 1, 1, 2), -1e300), "input must be finite for every calibration image, ..."),
    ],
)
def test_observe_refuses(x: Array, message: str) -> None:
    """Images of another shape or kind, and those that overflow."""
    pattern = re.escape(message).replace(re.escape("..."), ".+")
    with pytest.raises(DataError, match=rf"^{pattern}$"):
        observe(small(), x, [INPUT, "hidden"])


def test_observe_names_the_layer_that_overflows() -> None:
    """A network can turn finite images into infinity."""
    huge = chain("huge", (2,), {"leaky": LeakyRelu(1e38), "steep": LeakyRelu(1e38)})
    message = r"^steep must be finite for every calibration image, not overflow$"
    with pytest.raises(DataError, match=message):
        observe(huge, np.full((1, 2), -1.0), ["leaky", "steep"])
