"""Matrices packed as weights: each word meets its lane and its row, wherever it lay."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.kernels import matmul
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout.packing import LANES, LIMIT
from tests.support.loops import in_python

PACK = alone(matmul.pack), in_python(matmul.pack)
TURN = alone(matmul.turn), in_python(matmul.turn)
Loop: TypeAlias = Callable[..., Any]
SIZES = st.integers(1, 35)


@pytest.mark.parametrize("pack", PACK, ids=["jit", "python"])
@given(k=SIZES, n=SIZES, together=st.sampled_from([1, 2]), turned=st.booleans())
def test_a_packed_matrix_is_multiplied_pair_by_pair(
    pack: Loop, k: int, n: int, together: int, turned: bool
) -> None:
    """The words of a row's k lie in the lanes of its columns; all other lanes are 0."""
    matrix = np.arange(1, k * n + 1, dtype=np.int16).reshape(k, n)
    words, steps = (matrix.T.copy(), (1, k)) if turned else (matrix, (n, 1))
    pairs, columns = -(-k // together), -(-n // LANES)
    out = np.full(columns * pairs * LANES * 2, -1, np.int16)
    pack(words.reshape(-1), (k, n), steps, together, out)
    lanes = out.reshape(columns, pairs, LANES, 2)
    assert not lanes[..., together:].any()
    rows = lanes[..., :together].transpose(1, 3, 0, 2).reshape(-1, columns * LANES)
    assert np.array_equal(rows[:k, :n], matrix)
    assert np.count_nonzero(rows) == k * n


@pytest.mark.parametrize("turn", TURN, ids=["jit", "python"])
@given(k=SIZES, n=SIZES)
def test_a_turned_matrix_has_its_columns_as_rows(turn: Loop, k: int, n: int) -> None:
    """As plain loops read weights."""
    matrix = np.arange(k * n, dtype=np.int16).reshape(k, n)
    out = np.zeros(k * n, np.int16)
    turn(matrix.reshape(-1), (k, n), (n, 1), out)
    assert np.array_equal(out.reshape(n, k), matrix.T)


CUT = alone(matmul.cut), in_python(matmul.cut)


@pytest.mark.parametrize("cut", CUT, ids=["jit", "python"])
@given(k=SIZES, columns=st.integers(1, 3), bits=st.integers(0, 30), less=st.integers(0, 1))
def test_chunks_fit_32_bits_and_are_as_long_as_may_be(
    cut: Loop, k: int, columns: int, bits: int, less: int
) -> None:
    """Of products of the largest magnitude; pairs of them must fit, else each is alone."""
    most = max((1 << bits) - less, 0)
    together = 2 if 2 * most <= LIMIT else 1
    offsets, cuts = np.zeros(columns * k, np.int64), np.zeros(columns * (k + 1), np.int64)
    whole = LIMIT + 1
    segments = cut(columns, k, together, most, whole, offsets, cuts)
    pairs = -(-k // together)
    ends = cuts[: columns * (segments + 1)].reshape(columns, -1)
    assert (ends[:, 0] == np.arange(columns) * pairs).all()
    assert (ends[:, -1] - ends[:, 0] == pairs).all()
    longest = int(np.diff(ends).max())
    assert np.diff(ends).min() > 0
    assert longest * together * most <= LIMIT
    assert segments == 1 or (longest + 1) * together * most > LIMIT
    found = offsets[: columns * pairs].reshape(columns, pairs)
    assert (found == np.arange(pairs) * together).all()


@pytest.mark.parametrize("cut", CUT, ids=["jit", "python"])
@pytest.mark.parametrize(("whole", "segments"), [(LIMIT, 1), (LIMIT + 1, 35)])
def test_sums_that_fit_whole_are_one_chunk(cut: Loop, whole: int, segments: int) -> None:
    """However large a product may be."""
    offsets, cuts = np.zeros(70, np.int64), np.zeros(72, np.int64)
    assert cut(1, 70, 2, (1 << 30) - 1, whole, offsets, cuts) == segments


MAGNITUDES = alone(matmul.magnitudes), in_python(matmul.magnitudes)


@pytest.mark.parametrize("magnitudes", MAGNITUDES, ids=["jit", "python"])
@pytest.mark.parametrize(("word", "most"), [(-32768, 32768), (32767, 32767), (-3, 3), (0, 0)])
def test_the_largest_magnitudes_are_found_in_any_row(
    magnitudes: Loop, word: int, most: int
) -> None:
    """That of the least word takes 16 bits; words between rows are not looked at."""
    for place in range(4):
        x = np.array([[0, 0, -32768], [1, -1, -32768]], np.int16)
        x[place // 2, place % 2] = word
        found = magnitudes(x.reshape(-1), np.array([0, 3]), 2)
        sums = np.abs(x[:, :2].astype(int))
        assert found == (max(most, sums.max()), sums.sum(1).max())
