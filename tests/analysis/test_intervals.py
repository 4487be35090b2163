"""Intervals are those of their sources, and cover what they say."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.analysis.intervals import NORMAL_95, Interval, paired_loss, wilson


@pytest.mark.parametrize(
    ("hits", "images", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_as_published(hits: int, images: int, low: float, high: float) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3; and one mirrored."""
    found = wilson(hits, images)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(images=st.integers(1, 10**7), data=st.data())
def test_wilson_solves_its_equation(images: int, data: st.DataObject) -> None:
    """An end is so many standard errors, its own, from the share of hits."""
    hits = data.draw(st.integers(0, images))
    found = wilson(hits, images)
    assert 0 <= found.low <= hits / images <= found.high <= 1
    for end in (found.low, found.high):
        if 0 < end < 1:
            error = math.sqrt(end * (1 - end) / images)
            assert abs(hits / images - end) == pytest.approx(NORMAL_95 * error, rel=1e-6, abs=1e-12)


@given(lost=st.integers(0, 10**4), gained=st.integers(0, 10**4), others=st.integers(0, 10**6))
def test_paired_loss_is_walds_of_adjusted_counts(lost: int, gained: int, others: int) -> None:
    """By rational numbers, from the variance of a difference of two multinomial shares."""
    images = max(lost + gained + others, 1)
    half = Fraction(1, 2)
    b, c = ((Fraction(n) + half) / (images + 2) for n in (lost, gained))
    variance = (b + c - (b - c) ** 2) / (images + 2)
    reach = NORMAL_95 * math.sqrt(variance)
    found = paired_loss(lost, gained, images)
    assert found.low == pytest.approx(max(float(b - c) - reach, -1), abs=1e-12)
    assert found.high == pytest.approx(min(float(b - c) + reach, 1), abs=1e-12)
    mirrored = paired_loss(gained, lost, images)
    assert mirrored == Interval(-found.high, -found.low)


@pytest.mark.parametrize("shares", [(0.001, 0.0005), (0.01, 0.001), (0.0002, 0.0002)])
def test_nineteen_of_twenty_intervals_hold_the_loss(shares: tuple[float, float]) -> None:
    """Of 4,000 draws of 10,000 images; no flip at all is no certainty."""
    generator = np.random.default_rng(7)
    draws = generator.multinomial(10_000, [*shares, 1 - sum(shares)], 4000)
    found = [paired_loss(int(lost), int(gained), 10_000) for lost, gained, _ in draws]
    held = sum(it.low <= shares[0] - shares[1] <= it.high for it in found)
    assert held / len(draws) >= 0.94
    none = paired_loss(0, 0, 10_000)
    assert none.low < 0 < none.high < 0.001
