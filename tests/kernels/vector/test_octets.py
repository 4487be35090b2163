"""Rows of eight words that make eight give the sums of integers, quiet or loud, in range or not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.engine import inference
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.kernels.layout import octets
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Dense, Flatten, MaxPool2D, Relu, Transpose, Window
from tests.support.agreement import agree
from tests.support.strategies import NetworkCase
from tests.support.sums import Case, assert_equal, random_case, run_chunked, run_exact

ROUNDINGS = (Rounding.NEAREST_EVEN, Rounding.NEAREST_UP, Rounding.NEAREST_DOWN, Rounding.FLOOR)


def case_of(seed: int, n: int, x: int = 300, weight: int = 300) -> Case:
    """Draw rows of eight words and weights for eight outputs."""
    return random_case(seed, n, octets.OCTET, octets.OCTET, x, weight)


def sums_of(case: Case) -> type:
    """Return the type that the case's sums need; rows are packed for it."""
    sums = np.int32 if np.abs(case.sums()).max() < 2**30 else np.int64
    assert case.eights(sums) is not None
    return sums


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 40, 100])
def test_any_number_of_rows(n: int, rounding: Rounding, relu: bool) -> None:
    """Whole blocks and what they leave are cast alike; with small numbers, many sums are ties."""
    for case in (case_of(n, n), replace(case_of(n, n, 5, 5), bias=np.arange(8), shift=2)):
        case = replace(case, rounding=rounding, relu=relu)
        assert sums_of(case) is np.int32
        for run in (run_exact, run_chunked):
            assert_equal(run(case), case)


@pytest.mark.parametrize("row", [0, 15, 16, 63, 70])
@pytest.mark.parametrize("output", [0, 3, 7])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_word_out_of_range_is_counted(row: int, output: int, sign: int) -> None:
    """Whichever block, side and lane it is in, it is saturated, and all others stay."""
    case = case_of(row, 71, 100, 100)
    case.weight[output] = sign * 100
    case.x[row] = 100
    for word, beyond in ((QFormat(10, 0), 1), (QFormat(12, 0), 0)):
        edge = replace(case, shift=7, bias=np.zeros(8, np.int64), output=word)
        assert sums_of(edge) is np.int32
        assert edge.expected()[2] == beyond
        assert_equal(run_exact(edge), edge)


@pytest.mark.parametrize("shift", [14, 15, 16])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("words", "bias"), [(131076, 0), (98307, 2**30)])
def test_sums_that_come_round_are_not_taken_for_small_ones(
    words: int, bias: int, sign: int, shift: int
) -> None:
    """Sums of about 2**32 are about 0 modulo 2**32; their rows are loud, and the block is left."""
    case = replace(case_of(shift, 48, 100), shift=shift, bias=np.zeros(8, np.int64))
    case.weight[5], case.bias[5] = 32767, sign * bias
    case.x[:] -= sign * bias // (8 * 32767)  # other rows are in range
    case.x[20] = sign * (words // 8)
    case.x[20, 0] += sign * (words % 8)
    assert abs(abs(case.sums()[20, 5]) - 2**32) < 2**16
    assert sums_of(case) is np.int64
    assert case.expected()[2] == 1
    assert_equal(run_chunked(case), case)


@given(st.data())
def test_rows_as_loud_as_may_be(data: Any) -> None:
    """Rows at the bound, one beyond it, and at the limits of words meet weights of either sign."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    largest = data.draw(st.sampled_from([3000, 9000, 17000, 32768]))
    shift = data.draw(st.integers(12, 16))
    bias = rng.integers(-(2**30), 2**30, 8) * data.draw(st.sampled_from([0, 1]))
    word = QFormat(data.draw(st.sampled_from([12, 15, 16])), 0)
    case = replace(case_of(0, 64), shift=shift, bias=bias, output=word)
    case = replace(case, weight=rng.integers(-largest, largest, (8, 8)))
    packed = case.eights(np.int64)
    assert packed is not None
    bound = max(packed.quiet, 1)
    sizes = rng.choice([bound, bound - 1, min(bound + 1, 32767), 32767], 64)
    signs = np.sign(case.weight[rng.integers(0, 8, 64)]) * rng.choice([1, -1], (64, 1))
    rows = np.where(signs, signs, 1) * sizes[:, None]
    case = replace(case, x=(rows - (rng.random((64, 8)) < 0.1)).clip(-32768, 32767))
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize(
    ("word", "overflow", "shift", "fits"),
    [
        (QFormat(16, 0), Overflow.SATURATE, 16, True),
        (QFormat(16, 0), Overflow.SATURATE, 17, False),
        (QFormat(9, 0, signed=False), Overflow.SATURATE, 8, True),
        (QFormat(16, 0), Overflow.SATURATE_SYMMETRIC, 8, False),
    ],
)
def test_what_remainders_and_ranges_are_for_rows_of_eight(
    word: QFormat, overflow: Overflow, shift: int, fits: bool
) -> None:
    """Remainders fit words, and a range is as wide as a power of two."""
    case = replace(case_of(1, 40), output=word, overflow=overflow, shift=shift)
    assert (case.eights(np.int64) is not None) == fits
    assert_equal(run_chunked(case), case)


def test_no_row_is_quiet_where_the_bias_takes_all_room() -> None:
    """The bound is below 0, so that even a row of zeros is left; the sums are right."""
    case = replace(case_of(2, 40), bias=np.full(8, 2**40), shift=16)
    packed = case.eights(np.int64)
    assert packed is not None
    assert packed.quiet == -1
    assert_equal(run_chunked(replace(case, x=case.x * 0)), replace(case, x=case.x * 0))


def network(shape: tuple[int, ...], *layers: Any, frac: int = 12) -> FixedNetwork:
    """Chain layers, those with weights in Q1.14."""
    word, last = QFormat(16, frac), INPUT
    nodes: list[FixedNode] = []
    for layer in layers:
        sums = isinstance(layer, Dense | Conv2D)
        extra: Any = ((QFormat(16, 14),), Accumulator()) if sums else ()
        nodes.append(FixedNode(f"layer{len(nodes)}", layer, (last,), word, *extra))
        last = nodes[-1].name
    return FixedNetwork("n", shape, word, tuple(nodes))


def weights(seed: int, *shape: int, largest: int = 6000) -> Any:
    """Draw weights."""
    return np.random.default_rng(seed).integers(-largest, largest, shape).astype(np.int16)


def pointwise(seed: int, groups: int = 1, **window: Any) -> Conv2D:
    """Draw a convolution of 1 x 1."""
    weight = weights(seed, 8, 8 // groups, 1, 1)
    return Conv2D(weight, np.arange(8) << 20, Window((1, 1), **window), groups)


BIAS = np.arange(8) << 22
EIGHT = {
    "dense": network((8,), Dense(weights(1, 8, 8), BIAS), Relu()),
    "full": network((8,), Dense(weights(2, 8, 8, largest=20000), BIAS)),
    "map": network((8, 5, 7), pointwise(3), pointwise(4)),
    "groups": network((8, 4, 3), pointwise(5, groups=4)),
    "turned": network((2, 4), Transpose((1, 0)), Flatten(), Dense(weights(6, 8, 8), BIAS)),
}
OTHER = {
    "stride": network((8, 5, 5), pointwise(7, stride=(2, 2))),
    "padding": network((8, 5, 5), pointwise(8, padding=(1, 1, 1, 1))),
    "pool": network((8, 4, 4), pointwise(9), MaxPool2D(Window((2, 2), (2, 2)))),
    "mostly loud": network((8,), Dense(np.full((8, 8), 32767, np.int16), BIAS)),
    "seven": network((7,), Dense(weights(11, 8, 7), BIAS)),
}


@pytest.mark.parametrize("name", [*EIGHT, *OTHER])
def test_engine_takes_them_where_rows_lie_one_behind_the_other(name: str) -> None:
    """And only there; every value and count equals the golden model's either way."""
    fixed = (EIGHT | OTHER)[name]
    methods = [text for text in inference.Engine(fixed).methods.values() if "bit" in text]
    assert methods
    for text in methods:
        assert ("by eights" in text) == (name in EIGHT)
    rng = np.random.default_rng(0)
    for largest in (500, 8000, 32768):
        raw = rng.integers(-largest, largest, (5, *fixed.input_shape)).astype(np.int16)
        agree(NetworkCase(fixed, raw))
