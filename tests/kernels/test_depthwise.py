"""Depthwise convolutions equal sums of integers, cast as rationals are, in words and counts."""

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.kernels import depthwise
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout import depthwise as layout
from fxpnn.kernels.layout import instructions, rounding
from fxpnn.network.layers import Window
from tests.support.oracles import cast_rational
from tests.support.strategies import modes
from tests.support.sums import GUARD, assert_guarded, guarded

run_layer = alone(depthwise.depthwise)
cast_once = cache(cast_rational)
LEAST, MOST = -29000, 30000
"""What words are raised and lowered to."""


class Geometry(NamedTuple):
    """Maps, a window over them, and how many words a strip's frame should have."""

    channels: int
    height: int
    width: int
    window: Window
    strip_words: int = layout.STRIP_WORDS


GEOMETRIES = {
    "one vector": Geometry(32, 4, 5, Window((3, 3))),
    "no vector": Geometry(17, 5, 3, Window((3, 3), stride=(2, 2))),
    "pixels share lanes": Geometry(5, 4, 6, Window((3, 3), padding=(1, 1, 1, 1))),
    "one channel, one line": Geometry(1, 1, 40, Window((1, 4))),
    "several blocks": Geometry(70, 5, 4, Window((3, 2), padding=(1, 0, 2, 1))),
    "one by one": Geometry(33, 3, 3, Window((1, 1), stride=(2, 1))),
    "dilated": Geometry(40, 7, 6, Window((3, 3), (1, 2), (2, 1, 1, 2), (2, 3))),
    "strips of a line": Geometry(24, 6, 5, Window((3, 3), (1, 1), (1, 1, 1, 1)), 0),
    "strips, strided": Geometry(16, 9, 9, Window((3, 3), (2, 2), (1, 1, 1, 1)), 800),
    "strips, all of padding": Geometry(8, 2, 4, Window((2, 2), (1, 1), (3, 2, 3, 0)), 0),
}


class Layer(NamedTuple):
    """What a layer multiplies and adds, and how far each channel's sums are shifted."""

    x: Any
    weight: Any
    bias: Any
    shifts: Any

    def sums(self, window: Window) -> Any:
        """Return the sums ``(N, lines, pixels, channels)``, int64."""
        top, left, bottom, right = window.padding
        padded = np.pad(self.x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        lines, pixels = window.output(*self.x.shape[1:3])
        (sh, sw), (dh, dw) = window.stride, window.dilation
        total = np.zeros((len(self.x), lines, pixels, len(self.bias)), np.int64) + self.bias
        for i, j in np.ndindex(window.kernel):
            tap = padded[:, i * dh :: sh, j * dw :: sw][:, :lines, :pixels]
            total += tap * self.weight[:, i, j]
        return total


def drawn(geometry: Geometry, seed: int, shift: int = 9, spread: int = 2) -> Layer:
    """Draw words at their limits and about 0, weights with many ties, a shift for each channel."""
    rng, (channels, height, width, window, _) = np.random.default_rng(seed), geometry
    shape = 2, height, width, channels
    edges = rng.choice([-32768, 32767, -1, 1, 0, 128, -256], shape)
    x = np.where(rng.random(shape) < 0.4, edges, rng.integers(-3000, 3000, shape))
    weight = rng.integers(-999, 1000, (channels, *window.kernel))
    weight = np.where(
        rng.random(weight.shape) < 0.5, 1 << rng.integers(0, 10, weight.shape), weight
    )
    shifts = np.clip(shift + rng.integers(-spread, spread + 1, channels), 0, 30)
    bias = rng.integers(-(2**16), 2**16, channels)
    return Layer(x, weight, np.where(rng.random(channels) < 0.4, bias & -256, bias), shifts)


def run(layer: Layer, geometry: Geometry, cast: Shift, apart: bool, way: str) -> Any:
    """Run the loops in a way: ``level`` or each word by itself, or, if they may, ``near``."""
    channels, height, width, window, words = geometry
    lines, pixels = window.output(height, width)
    top, left, _, right = window.padding
    across, framed = left + width + right, any(window.padding)
    with mock.patch.object(layout, "STRIP_WORDS", words):
        laid = layout.strips(
            *(channels, across, window.kernel, window.stride, window.dilation, (lines, pixels)),
            framed=framed,
        )
    flat = np.tile(layer.weight.reshape(channels, -1), (laid.share, 1)).astype(np.int16)
    weights, offsets = layout.pack(flat, laid.offsets)
    bias, shifts = (layout.deal(np.tile(v, laid.share)) for v in (layer.bias, layer.shifts))
    to = instructions.target(cast)
    judged = to.with_sign if apart else to
    sums, cuts = layer.sums(window), np.array([0, len(offsets) // 2])
    near = way == "near"
    rule = rounding.rule(shifts, judged, (0, 0) if near else (sums.min(), sums.max()))
    if near:
        low, high = (np.full(len(flat), end) for end in (layer.x.min(), layer.x.max()))
        found = layout.cuts(flat, low, high)
        if found is None or rule is None or not rounding.near(shifts, bias, judged):
            return None
        cuts = found
    short = rule is not None and way != "each"
    if rule is None or not short:
        rule = np.zeros(4 * shifts.size, np.int64)
    total = (laid.reach * across * channels + layout.WIDE) * framed
    frame = (
        *(len(layer.x), height * width * channels, lines, channels * laid.share),
        *(pixels // laid.share, laid.lines, window.stride[0], top, laid.reach, height),
        *(width * channels, across * channels, left * channels, total, int(short), int(near)),
    )
    tables = weights, offsets, cuts, laid.starts, bias.astype(np.int64), shifts
    x = np.append(layer.x.ravel(), np.full(layout.WIDE - 1, GUARD)).astype(np.int16)
    out = guarded(sums.size)
    ends = *to, 0 if apart else LEAST, MOST, int(apart)
    counts = run_layer(x, out, (*tables, rule.astype(np.int32)), frame, ends)
    assert_guarded(out)
    return out, *counts


def check(layer: Layer, geometry: Geometry, cast: Shift) -> int:
    """Compare both ways with rationals; return how many words were out of range."""
    apart = not cast.format.signed and cast.clamps
    words, over, below = [], 0, 0
    sums = layer.sums(geometry.window)
    for total, shift in zip(sums.ravel(), np.resize(layer.shifts, sums.size), strict=True):
        exact = Fraction(int(total), 1 << int(shift))
        raw, out = cast_once(exact, cast.format, cast.rounding, cast.overflow)
        fallen = apart and out and exact < 0
        over, below = over + (out and not fallen), below + fallen
        words.append(sorted((0 if apart else LEAST, raw, MOST))[1])
    fits = sums.min() >= -(2**31) and sums.max() < 2**31
    ways = [*(["level", "each"] if fits else []), "near"]
    results = [run(layer, geometry, cast, apart, way) for way in ways]
    for made, *counts in filter(None, results):
        assert made.tolist() == words
        assert counts == [0, over, below]
    assert fits or results != [None]
    return over


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_geometry(name: str) -> None:
    """Shapes that fill no vector or no tile, strides, dilation, padding, strips of lines."""
    geometry = GEOMETRIES[name]
    check(drawn(geometry, len(name)), geometry, Shift(QFormat(16, 0)))
    check(drawn(geometry, len(name), 14), geometry, Shift(QFormat(16, 0)))


@pytest.mark.parametrize("overflow", [*Overflow], ids=lambda o: o.value)
@pytest.mark.parametrize("rounding", [*Rounding], ids=lambda r: r.value)
def test_every_cast(rounding: Rounding, overflow: Overflow) -> None:
    """Signed and not, wide and small, out of range and not; shifts are 0 and 30 among others."""
    geometry, lost = GEOMETRIES["pixels share lanes"], 0
    for word, signed in ((16, True), (7, True), (2, True), (15, False), (3, False)):
        for shift in (1, 9, 29):
            cast = Shift(QFormat(word, 0, signed), rounding, overflow)
            lost += check(drawn(geometry, word + shift, shift), geometry, cast)
    assert lost > 0


@settings(max_examples=30)
@given(data=st.data())
def test_any_of_these(data: Any) -> None:
    """Geometries and casts in any combination."""
    geometry = GEOMETRIES[data.draw(st.sampled_from([*GEOMETRIES]))]
    word, signed = data.draw(st.integers(2, 16)), data.draw(st.booleans())
    cast = Shift(QFormat(word - (not signed and word == 16), 0, signed), *data.draw(modes))
    layer = drawn(geometry, data.draw(st.integers(0, 2**32)), data.draw(st.integers(0, 30)))
    check(layer, geometry, cast)


@pytest.mark.parametrize("name", ["one vector", "no vector", "pixels share lanes", "dilated"])
@pytest.mark.parametrize("signed", [True, False])
def test_sums_that_come_round(name: str, signed: bool) -> None:
    """Sums of up to 34 bits: those that have come round, back into the range too, are told."""
    geometry, rng = GEOMETRIES[name], np.random.default_rng(len(name))
    layer = drawn(geometry, 7)
    weight = rng.integers(16000, 32768, layer.weight.shape)
    x = rng.integers(-500, 32768, layer.x.shape)
    shifts = np.full(geometry.channels, 15)
    layer = Layer(x, weight, np.maximum(layer.bias, 0), shifts)
    sums = layer.sums(geometry.window)
    assert ((sums >= 2**32) & (sums < 2**32 + 2**30)).any()
    assert check(layer, geometry, Shift(QFormat(15 + signed, 0, signed))) > 0


@pytest.mark.parametrize("channel", [0, 17, 31])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_channel_that_comes_round_is_told(channel: int, sign: int) -> None:
    """Its lowest 32 bits are in range, as all other sums are: a sign on the way tells it."""
    geometry = GEOMETRIES["one vector"]
    x = np.zeros((1, 4, 5, 32), np.int64)
    x[..., channel] = 20000 * sign
    weight = np.full((32, 3, 3), 26638)
    layer = Layer(x, weight, np.zeros(32, np.int64), np.full(32, 15))
    lost = np.unique(layer.sums(geometry.window)[..., channel])
    assert lost.tolist() == [sign * (2**32 + 499872704)]
    assert check(layer, geometry, Shift(QFormat(16, 0))) == 6


def test_one_word_out_of_range_is_counted() -> None:
    """The first, a middle or the last, above or below; all others are as they would be alone."""
    geometry = GEOMETRIES["several blocks"]
    weight = np.ones((70, 3, 2), np.int64)
    for place in (0, 777, 1399):
        for end in (-32768, 32767):
            x = np.zeros((1, 5, 4, 70), np.int64)
            x.flat[place] = end
            bias = np.where(np.arange(70) == place % 70, np.sign(end), 0)
            layer = Layer(x, weight, bias, np.zeros(70, np.int64))
            sums = layer.sums(geometry.window)
            reached = ((sums < -32768) | (sums > 32767)).sum()
            assert check(layer, geometry, Shift(QFormat(16, 0))) == reached > 0
