"""Vectors of two blocks equal sums and products of rationals, cast once, in words and counts."""

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.engine.pairs import order_beside, pair, repeats
from fxpnn.engine.program import Tensor
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.kernels import pairs
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.packing import LANES
from tests.support.oracles import cast_rational
from tests.support.strategies import modes
from tests.support.sums import GUARD, assert_guarded, guarded

by_vectors = alone(pairs.by_vectors)
OPS = (instructions.ADD, instructions.MUL)
EDGES = (-32768, -32767, -1, 0, 1, 32766, 32767)
LEAST, MOST = -29000, 30000
"""What words are raised and lowered to."""
SHAPES = [(1, 1), (15, 15), (16, 16), (17, 17), (48, 48), (100, 100)]
SHAPES += [(12, 1), (12, 3), (60, 15), (64, 16), (85, 17), (99, 33), (200, 40)]
"""Words of a block, and of the other, which repeat along them."""


def words(rng: Any, size: int, fmt: QFormat) -> Any:
    """Draw words of a format, its limits and what is beside 0 among them."""
    drawn = rng.integers(fmt.min, fmt.max + 1, size)
    edges = np.clip(rng.choice(EDGES, size), fmt.min, fmt.max)
    return np.where(rng.random(size) < 0.3, edges, drawn)


def expected(op: int, sides: Any, fracs: Any, cast: Shift, apart: bool) -> Any:
    """Compute words and counts of rationals."""
    out, over, below = [], 0, 0
    for a, b in zip(*sides, strict=True):
        one, other = (
            Fraction(int(v)) / Fraction(2) ** f for v, f in zip((a, b), fracs, strict=True)
        )
        exact = one * other if op == instructions.MUL else one + other
        raw, out_of_range = cast_rational(exact, cast.format, cast.rounding, cast.overflow)
        fallen = apart and out_of_range and exact < 0
        over, below = over + (out_of_range and not fallen), below + fallen
        out.append(sorted((0 if apart else LEAST, raw, MOST))[1])
    return out, over, below


def check(op: int, shape: tuple[int, int], formats: Any, cast: Shift, seed: int) -> int:
    """Compare vectors with rationals; return how many words they made."""
    rng, (size, period) = np.random.default_rng(seed), shape
    fields = pair(op, formats, cast.format)
    assert fields["short"]
    how = int(op == instructions.MUL), fields["lift"], fields["other_lift"], fields["shift"]
    a, b = (words(rng, n, fmt) for n, fmt in zip(shape, formats, strict=True))
    apart = not cast.format.signed
    to = (*instructions.target(cast), 0 if apart else LEAST, MOST, int(apart))
    spare = np.full(LANES, GUARD)
    sides = [np.concatenate([side, spare]).astype(np.int16) for side in (a, b)]
    out = guarded(size)
    done, *counts = by_vectors(*sides, size, period, how, to, out)
    assert_guarded(out)
    met = a[:done], np.resize(b, size)[:done]
    raw, *wanted = expected(op, met, [fmt.frac for fmt in formats], cast, apart)
    assert out[:done].tolist() == raw
    assert counts == wanted
    return int(done)


@pytest.mark.parametrize("op", OPS, ids=["add", "mul"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_blocks_of_every_shape(shape: tuple[int, int], op: int) -> None:
    """All words but those whose vector would end behind the block are made, and no other."""
    formats = QFormat(16, 12), QFormat(16, 10 if op == instructions.ADD else 15)
    done = check(op, shape, formats, Shift(QFormat(16, 11)), sum(shape))
    size, period = shape
    last = (period - 1) // LANES * LANES
    rows = max(0, (size - last - LANES) // period + 1)
    assert done == (size // LANES * LANES if size == period else period * rows)


@pytest.mark.parametrize("op", OPS, ids=["add", "mul"])
@pytest.mark.parametrize("overflow", [*Overflow], ids=lambda o: o.value)
@pytest.mark.parametrize("rounding", [*Rounding], ids=lambda r: r.value)
def test_every_cast(rounding: Rounding, overflow: Overflow, op: int) -> None:
    """Signed and not, wide and small, with shifts of either direction and none."""
    formats = QFormat(9, 5), QFormat(11, 3)
    exact = 8 if op == instructions.MUL else 5
    for word, signed in ((16, True), (7, True), (2, True), (15, False), (3, False)):
        for shift in (-3, 0, 1, 4, 9):
            cast = Shift(QFormat(word, exact - shift, signed), rounding, overflow)
            check(op, (64, 64), formats, cast, 3 + word + shift)
            check(op, (85, 17), formats, cast, 3 + word + shift)


@settings(max_examples=200)
@given(data=st.data())
def test_any_formats_that_fit(data: Any) -> None:
    """Lifts up to the most that 32 bits hold; ties and limits among the words."""
    op, shape = data.draw(st.sampled_from(OPS)), data.draw(st.sampled_from(SHAPES))
    fracs = st.integers(-3, 20)
    formats = [QFormat(data.draw(st.integers(2, 16)), data.draw(fracs)) for _ in range(2)]
    unsigned = data.draw(st.booleans())
    made = QFormat(data.draw(st.integers(2, 15)), data.draw(fracs), signed=not unsigned)
    cast = Shift(made, *data.draw(modes))
    if pair(op, formats, made)["short"]:
        check(op, shape, formats, cast, data.draw(st.integers(0, 2**32)))


def test_what_32_bits_do_not_hold_is_left_to_loops() -> None:
    """Words of 16 bits, 15 bits apart, fit; one more would not, nor would a shift of 31."""
    word = QFormat(16, 0)
    for frac, short in ((15, 1), (16, 0)):
        assert pair(instructions.ADD, (word, QFormat(16, frac)), QFormat(16, 8))["short"] == short
    for frac, short in ((1, 1), (2, 0)):
        made = QFormat(16, -30 - frac + 1)
        assert pair(instructions.MUL, (word, word), made)["short"] == short
    assert pair(instructions.MUL, (word, word), QFormat(16, 1))["shift"] == -1
    assert pair(instructions.ADD, (word, word), QFormat(16, 1)) == {
        "lift": 1,
        "other_lift": 1,
        "shift": 0,
        "short": 1,
    }


def test_only_whole_repetitions_in_order_stay_in_place() -> None:
    """A gate for each channel repeats along pixels; one for each row, or turned, does not."""
    places = np.moveaxis(np.arange(24).reshape(2, 3, 4), -1, 0)  # 4 channels, 2 rows, 3 columns
    a = Tensor(0, 24, places)
    for shape, found in (((4, 1, 1), True), ((1, 2, 1), False), ((1, 1, 1), True)):
        gate = Tensor(1, prod(shape), np.arange(prod(shape)).reshape(shape))
        assert repeats(order_beside(a, gate), gate.words) == found
    assert repeats(order_beside(a, a), 24)
    assert not repeats(order_beside(a, Tensor(1, 24, np.arange(24).reshape(4, 2, 3))), 24)
