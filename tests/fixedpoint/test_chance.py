"""Stochastic rounding draws as the cipher says, is unbiased, and leaves exact values alone."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.chance import Place, Stochastic, draws, quotients, shifted
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.golden.chance import cast_by_chance, drawn, philox

WIDE = QFormat(32, 0)


def test_the_cipher_is_the_published_one() -> None:
    """Its known answers: ``kat_vectors`` of Random123, for counters and keys of all 0 and all 1."""
    ones = (1 << 64) - 1
    assert philox((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )
    assert philox((ones,) * 4, (ones, ones)) == (
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    )


@given(
    st.builds(Stochastic, st.integers(0, 24), st.integers(0, 2**64 - 1)),
    st.builds(Place, st.integers(0, 500), st.integers(1, 10**6), st.integers(0, 10**5)),
    st.integers(1, 9),
)
def test_draws_are_those_of_the_golden_model(chance: Stochastic, place: Place, count: int) -> None:
    """Wherever in the tensor they begin; so they depend on seed, tensor, step and element alone."""
    golden = [
        drawn(chance, place.tensor, place.step, place.first + element) for element in range(count)
    ]
    assert draws(chance, place, count).tolist() == golden


@given(st.integers(-(2**40), 2**40), st.integers(1, 20), st.integers(0, 20))
def test_a_shift_adds_its_draw_and_rounds_down(value: int, drop: int, bits: int) -> None:
    """For every draw: the middle of its step where R < s, the top s bits where not."""
    u = np.unique(np.linspace(0, 2**bits - 1, 9).astype(np.int64))
    added = [
        Fraction(2 * int(v) + 1, 2 ** (bits + 1))
        if bits < drop
        else Fraction(v >> bits - drop, 2**drop)
        for v in u.tolist()
    ]
    exact = [floor(Fraction(value, 2**drop) + r) for r in added]
    found = shifted(np.full(len(u), value), drop, bits, u.copy())
    golden = [cast_by_chance(value, drop, QFormat(32, 0), bits, v)[0] for v in u.tolist()]
    assert found.tolist() == exact
    assert golden == [min(max(v, WIDE.min), WIDE.max) for v in exact]


@given(st.integers(-(2**30), 2**30), st.integers(2, 10**4), st.integers(0, 12))
def test_a_quotient_adds_the_middle_of_its_step(value: int, divisor: int, bits: int) -> None:
    """However its bits go on behind the point."""
    u = np.unique(np.linspace(0, 2**bits - 1, 9).astype(np.int64))
    exact = [
        floor(Fraction(value, divisor) + Fraction(2 * v + 1, 2 ** (bits + 1))) for v in u.tolist()
    ]
    assert quotients(np.full(len(u), value), divisor, bits, u).tolist() == exact
    golden = [cast_by_chance(value, 0, WIDE, bits, v, divisor)[0] for v in u.tolist()]
    assert golden == exact


@pytest.mark.parametrize("drop", [1, 4, 8])
@pytest.mark.parametrize("more", [0, 2])
def test_rounding_is_unbiased(drop: int, more: int) -> None:
    """Over all draws of R >= s bits, each rest is rounded up exactly as often as it is large."""
    u = np.arange(1 << drop + more)
    for value in range(-(1 << drop), 1 << drop):
        made = shifted(np.full(len(u), value), drop, drop + more, u.copy())
        assert int(made.sum()) * (1 << drop) == value * len(u)


def test_draws_are_uniform() -> None:
    """A chi-square test with a fixed seed: 256 classes, 65,536 draws, 255 degrees of freedom."""
    counts = np.bincount(draws(Stochastic(8, seed=5), Place(3, 1), 1 << 16), minlength=256)
    chi = float((np.square(counts - 256.0) / 256).sum())
    assert 200 < chi < 320  # all but some 0.4 % of seeds


def test_exact_values_never_move() -> None:
    """Whatever is drawn: whole results stay, of shifts and of quotients; no bits are nearest-up."""
    for bits in (0, 1, 8, 16):
        u = np.array([0, (1 << bits) - 1])
        assert shifted(np.array([48, 48]), 4, bits, u.copy()).tolist() == [3, 3]
        assert quotients(np.array([-21, -21]), 7, bits, u.copy()).tolist() == [-3, -3]
    assert shifted(np.array([7, 8, -8, -9]), 4, 0, np.zeros(4, np.int64)).tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize(
    ("bits", "seed", "message"),
    [
        (25, 0, "random bits must be 0 to 24, not 25"),
        (-1, 0, "random bits must be 0 to 24, not -1"),
        (16, -1, r"a seed must be 0 to 2\*\*64 - 1, not -1"),
        (16, 1 << 64, rf"a seed must be 0 to 2\*\*64 - 1, not {1 << 64}"),
    ],
)
def test_what_cannot_be_drawn_is_refused(bits: int, seed: int, message: str) -> None:
    """Each error says what must be and what is."""
    with pytest.raises(FormatError, match=f"^{message}$"):
        Stochastic(bits, seed)
