"""Matrices packed as weights: each word meets its lane and its row, wherever it lay."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.kernels import matmul
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout.packing import LANES
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
