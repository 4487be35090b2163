"""Loops of layer normalisation: estimated quotients are exact, and both casts are one."""

from collections.abc import Callable
from math import isqrt
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fxpnn.kernels import norms
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout.instructions import NEAREST_EVEN, SATURATE, Target
from tests.support.loops import in_python

Loop: TypeAlias = Callable[..., Any]
QUOTIENTS = alone(norms.quotients), in_python(norms.quotients)
WORDS = st.one_of(st.sampled_from([-32768, 32767, 0, 1, -1]), st.integers(-32768, 32767))
IDS = ["jit", "python"]


@st.composite
def vectors(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], list[int], int]:
    """Draw words, gammas, betas and lifts of a vector, and an epsilon.

    Short vectors of few different words divide without a rest, or nearly so, more often than not.
    """
    n = draw(st.one_of(st.integers(1, 20), st.sampled_from([64, 1000, 4096])))
    few = draw(st.lists(WORDS, min_size=1, max_size=min(n, 4)))
    x, gamma = ((few * n)[:n], draw(st.lists(WORDS, min_size=n, max_size=n)) if n < 64 else None)
    gamma = gamma or [draw(WORDS)] * n
    lift = draw(st.lists(st.integers(0, 31), min_size=1, max_size=3))
    beta = draw(st.one_of(WORDS, st.sampled_from([2**59, 1 - 2**59])))
    epsilon = draw(st.one_of(st.integers(1, 1 << 20), st.integers(1, 1 << 59)))
    return x, gamma, [beta] * n, (lift * n)[:n], epsilon


def expected(x: list[int], gamma: list[int], beta: list[int], lift: list[int], e: int) -> list[int]:
    """Divide in Python's integers; the last bit also tells of a rest."""
    n, total = len(x), sum(x)
    square = n * sum(word * word for word in x) - total**2 + e
    g = (62 - square.bit_length()) // 2
    r = isqrt(square << 2 * g)
    made = []
    for word, weight, bias, up in zip(x, gamma, beta, lift, strict=True):
        quotient, rest = divmod(weight * (n * word - total) << g + up, r)
        made.append(quotient + bias | (rest != 0))
    return made


@pytest.mark.parametrize("quotients", QUOTIENTS, ids=IDS)
@given(vectors())
@example(([32767, -32768], [32767, -32768], [0, 0], [31, 31], 1))
@example(([-32768] + [32767] * 4095, [-32768] * 4096, [0] * 4096, [31] * 4096, 1))
@example(([-32768] + [32767] * 65535, [-32768] * 65536, [0] * 65536, [31] * 65536, 1))
@example(([-32768, 32767] * 32768, [-32768] * 65536, [0] * 65536, [31] * 65536, 1 << 46))
@example(([0] * 3 + [1], [1 << 14] * 4, [0] * 4, [0, 1, 2, 31], 1))
@example(([113, -113], [982, 982], [0, 0], [0, 0], 190005))  # a whole quotient, estimated one below
@example(([147, -147], [1642, 1642], [0, 0], [5, 5], 67228))  # and where it is made finer
def test_quotients_are_exact_but_for_a_rest(
    quotients: Loop, drawn: tuple[list[int], list[int], list[int], list[int], int]
) -> None:
    """Estimates by doubles are corrected: no quotient, and no rest, is off."""
    x, *features, epsilon = drawn
    table = np.zeros((4, len(x)), np.int64)
    table[:3] = features
    out = np.empty(len(x), np.int64)
    quotients(np.array(x, np.int16), table, epsilon, out)
    assert out.tolist() == expected(*drawn)


EXACT = st.one_of(
    st.integers(-(1 << 61), 1 << 61),
    st.builds(lambda odd, shift: odd << shift, st.integers(-9, 9), st.integers(0, 57)),
)


@given(
    values=st.lists(st.tuples(EXACT, st.integers(2, 60)), min_size=1, max_size=20),
    word=st.sampled_from([(-32768, 32767), (0, 65535 >> 1), (-128, 127), (-1, 0)]),
)
def test_the_usual_cast_is_that_of_each_value(
    values: list[tuple[int, int]], word: tuple[int, int]
) -> None:
    """Ties, ends and whatever saturates: the words and their count are the same."""
    exact, drops = (np.array(column, np.int64) for column in zip(*values, strict=True))
    to = Target(NEAREST_EVEN, SATURATE, *word)
    outs = [np.empty(len(exact), np.int16) for _ in range(2)]
    one = in_python(norms.cast_usual)(exact, drops, to, outs[0])
    each, below = in_python(norms.cast_each)(exact, drops, to, 0, outs[1])
    assert (one, outs[0].tolist()) == (each, outs[1].tolist())
    assert below == 0
