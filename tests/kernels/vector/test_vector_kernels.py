"""The fast kernels equal sums and casts of Python integers, for every shape, width and overflow."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.kernels.layout import packing
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.vector import clamp_bounds
from fxpnn.kernels.vector import sums as vector_sums
from tests.support.oracle_sums import saturated_sum
from tests.support.sums import (
    WORD16,
    Case,
    Ints,
    assert_equal,
    block,
    random_case,
    run_chunked,
    run_clamped,
    run_exact,
)

SHAPES = [
    (1, 1, 1),
    (1, 2, 1),
    (2, 1, 3),
    (7, 3, 16),
    (8, 5, 17),
    (9, 16, 15),
    (17, 33, 33),
    (3, 300, 2),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("run", [run_exact, run_chunked, run_clamped])
def test_every_shape_gives_the_sums_of_integers(run: Any, shape: tuple[int, int, int]) -> None:
    """Shapes that fill no vector, tile or pair are computed like all others."""
    case = random_case(sum(shape), *shape)
    assert_equal(run(case), case)


def test_pairs_of_the_most_negative_word_wrap_only_on_the_way() -> None:
    """Two products of -32768 by -32768 make 2**31, yet a sum that fits 32 bits is exact."""
    lowest = np.full((9, 4), -32768)
    weight = np.array([[-32768, -32768, 32767, 1], [-32768, -32768, -1, 0]])
    case = Case(lowest, weight, np.array([-1, -(2**31)]), shift=16)
    for run in (run_exact, run_chunked):
        assert_equal(run(case), case)


@pytest.mark.parametrize("run", [run_exact, run_chunked, run_clamped])
def test_a_layer_of_zeros_gives_its_bias(run: Any) -> None:
    """Sums of no products are the bias, in full tiles and in single rows."""
    case = replace(random_case(1, 9, 5, 17), weight=np.zeros((17, 5), np.int64))
    assert_equal(run(case), case)


@pytest.mark.parametrize("run", [run_chunked, run_clamped])
def test_extreme_words_are_summed_in_64_bits(run: Any) -> None:
    """Sums of many products of 2**30 leave 32 bits without a trace where the word is wide."""
    x = np.array([[-32768] * 40, [32767] * 40, [-32768, 32767] * 20])
    weight = np.array([[-32768] * 40, [32767] * 40, [32767, -32768] * 20])
    case = Case(x, weight, np.array([-(2**40), 2**40, 0]), Accumulator(48), shift=22)
    assert_equal(run(case), case)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("below", [0, 1, 15, 16])
def test_as_many_parts_as_sums_can_have_carry_right(sign: int, below: int) -> None:
    """Each of 16 parts carries, none, or some; one column is in range, of one the bias is not."""
    k = 15
    weight = np.full((17, k), sign)
    bias = np.full(17, sign * (2**58 + 2**28 - below))
    bias[16] = sign * (2**43 + 2**28 - below)
    packed = packing.pack(weight.astype(np.int16), 2 * np.arange(k))
    packed = packed._replace(cuts=np.concatenate([packed.cuts[:, :1] + i for i in range(16)], 1))
    x = np.ones((9, 2 * k), np.int64)
    x[:, ::2] = np.arange(9)[:, None] - 1
    case = Case(x, np.zeros((17, 2 * k), np.int64), bias, shift=28)
    case.weight[:, ::2] = weight
    assert case.extra(packed) == 28
    assert case.rule(28) is not None
    assert_equal(run_exact(case, np.int64, packed), case)


@pytest.mark.parametrize("row", [0, 5, 8])
@pytest.mark.parametrize("shift", [14, 15, 18])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("words", [(21846,) * 6, (21846, 21846, 0, 0, -21846, -21846)])
def test_near_sums_that_leave_31_bits_on_the_way_are_summed_anew(
    words: tuple[int, ...], sign: int, shift: int, row: int
) -> None:
    """A sum comes round from 2**32, or comes back; each segment takes it as far as one can."""
    case = replace(random_case(shift, 9, 6, 16, 100), bias=np.zeros(16, np.int64), shift=shift)
    case.weight[3], case.x[row] = 32767, sign * np.array(words)
    assert case.near() == (shift < 18)
    assert abs(int(case.sums()[row, 3])) in (0, 2**32 - 4)
    assert case.expected()[2] == (sum(words) > 0 and shift < 18)
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("bias", [2**32, -(2**32), 2**32 - 2**29, 2**33 + 1, 2**31, -(2**30)])
def test_sums_that_begin_out_of_range_are_not_near(bias: int) -> None:
    """A bias that comes round would look as if its sums were in range after each segment."""
    case = replace(random_case(9, 9, 6, 16, 100), bias=np.zeros(16, np.int64), shift=14)
    case.bias[11] = bias
    assert not case.near()
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("word", [12, 16])
@pytest.mark.parametrize("run", [run_exact, run_chunked])
@pytest.mark.parametrize("least", [0, 7, 16])
def test_a_symmetric_range_lacks_the_least_word(least: int, run: Any, word: int) -> None:
    """One lane of all is one count below the range, in full tiles and in single rows."""
    case = replace(random_case(word, 9, 4, 17, 10, 10), bias=np.zeros(17, np.int64), shift=12)
    case.bias[least] = -(2 ** (word - 1)) << 12
    case.weight[least] = 0
    case = replace(case, overflow=Overflow.SATURATE_SYMMETRIC, output=QFormat(word, 0))
    assert case.expected()[2] == 9
    assert_equal(run(case), case)


@pytest.mark.parametrize("run", [run_exact, run_chunked, run_clamped])
@pytest.mark.parametrize("overflow", [Overflow.SATURATE, Overflow.SATURATE_ZERO])
@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Rounding.FLOOR, Rounding.ZERO])
@pytest.mark.parametrize("word", [2, 7, 15])
def test_what_is_below_zero_is_counted_apart(
    word: int, rounding: Rounding, overflow: Overflow, run: Any
) -> None:
    """In registers, in strips and one by one; also what a sign and as many bits do not hold."""
    output = QFormat(word, 0, signed=False)
    modes: dict[str, Any] = {"rounding": rounding, "overflow": overflow, "output": output}
    for outputs, more in ((5, 1), (17, 1), (5, -1), (17, -1)):
        case = random_case(outputs, 17, 20, outputs)
        case = replace(case, shift=20 - word + more, apart=True, **modes)
        far, below = case.sums() < -(2 ** (20 + more)), case.expected()[3]
        assert bool(far.any()) == (more < 1)
        assert below > 0
        assert_equal(run(case), case)


@pytest.mark.parametrize("run", [run_exact, run_chunked, run_clamped])
@pytest.mark.parametrize("place", [0, 7, 8, 16])
def test_one_word_below_zero_is_found_wherever_it_stands(place: int, run: Any) -> None:
    """A tie that rounds to 0 is not below it; one count beside it is."""
    case = Case(np.zeros((17, 4), np.int64), np.zeros((17, 4), np.int64), np.zeros(17, np.int64))
    case = replace(case, output=QFormat(15, 0, signed=False), apart=True, shift=4)
    for bias, expected in ((-8, 0), (-9, 17), (-(2**20), 17), (8, 0)):
        case.bias[place] = bias
        assert case.expected()[2:] == (0, expected)
        assert_equal(run(case), case)


@given(st.data())
def test_near_sums_about_their_limits(data: Any) -> None:
    """Wherever a lane's sum is after each segment, in range, beside it or beyond, it is exact."""
    shift = data.draw(st.integers(12, 15))
    edge = 2 ** (15 + shift)
    marks = st.sampled_from([-edge, edge, -(2**30), 2**30, 0])
    case = replace(random_case(shift, 9, 10, 16, 100), bias=np.zeros(16, np.int64), shift=shift)
    case.weight[7] = 32767
    row, reached = case.x[data.draw(st.integers(0, 8))], 0
    for pair in row.reshape(5, 2):
        step = (data.draw(marks) + (data.draw(st.integers(-2, 2)) << 15) - reached) // 32767
        pair[:] = np.clip([step - step // 2, step // 2], -32768, 32767)
        reached += 32767 * int(pair.sum())
    assert case.near()
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("far", [2**31 - 2**15, 2**31, 2**32 - 2**20, 2**32, 2**33])
@pytest.mark.parametrize("shift", [14, 15, 16])
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_that_wrap_are_not_taken_for_small_ones(sign: int, shift: int, far: int) -> None:
    """One sum of a tile lies a little beyond 32 bits, or comes round; parts lose as much."""
    rng = np.random.default_rng(shift)
    for row in range(9):
        x, weight = rng.integers(20000, 32768, (9, 6)), rng.integers(20000, 32768, (16, 6))
        sums = np.where(np.arange(16) == row, far + row - 4, 2**20 * row)
        bias = sign * sums - x[row] @ weight.T
        # Other rows make the opposite of the bias, as well as six products can.
        quiet = -bias.mean() / weight.sum(axis=1).mean()
        x[np.arange(9) != row] = np.clip(quiet, -32768, 32767)
        case = Case(x, weight, bias, shift=shift)
        assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("word", [8, 16, 24, 30, 31, 32, 33, 40, 62])
@pytest.mark.parametrize("shape", [(9, 7, 3), (1, 300, 17)], ids=str)
def test_clamped_sums_equal_a_walk_through_integers(word: int, shape: tuple[int, int, int]) -> None:
    """Each add is clamped, and each clamp counted, the bias's too, for words of every kind."""
    case = random_case(word, *shape, x=32768, weight=32768)
    limit = 2 ** min(word - 1, 60)
    bias = np.resize([0, limit, limit - 1, -limit, -limit - 1], shape[2])
    case = replace(case, bias=bias, accumulator=Accumulator(word), shift=max(0, word - 16))
    assert_equal(run_clamped(case), case)


@pytest.mark.parametrize("word", [24, 32, 40])
def test_segments_with_and_without_room_take_turns(word: int) -> None:
    """Sums jump through quiet segments, walk through wild ones, and try what only may be wild."""
    rng = np.random.default_rng(word)
    loud = np.repeat(2 ** rng.integers(0, 16, 19), packing.SEGMENT)
    weight = (rng.normal(0, 0.5, (20, loud.size)) * loud).clip(-32768, 32767).astype(np.int64)
    x = (rng.normal(0, 2.0 ** min(14, word - 17), (17, loud.size))).astype(np.int64)
    room = 2 ** min(word - 2, 30)  # from a limit, as far as some dozen products go
    bias = np.resize([2 ** (word - 1) - room, room - 2 ** (word - 1)], 20)
    case = Case(x.clip(-32768, 32767), weight, bias, Accumulator(word), shift=word - 16)
    assert 0 < case.expected()[1] < 0.1 * x.size * len(weight)
    assert_equal(run_clamped(case), case)


@pytest.mark.parametrize("word", [16, 30, 31, 32, 40])
@pytest.mark.parametrize(("step", "sign"), [(0, -1), (1, 1), (150, -1), (259, 1)])
def test_a_single_overflow_is_found_wherever_it_stands(word: int, step: int, sign: int) -> None:
    """One add clamps, in the first, a middle or the last step, in one row and one lane."""
    x, weight = np.zeros((9, 260), np.int64), np.zeros((17, 260), np.int64)
    x[4, step], weight[16, step] = 32767, sign * 32767
    x[:, step - 1], weight[:, step - 1] = 1, -sign  # a clamped sum leaves its limit again
    bias = np.zeros(17, np.int64)
    bias[16] = sign * (2 ** (word - 1) - 10)
    case = Case(x, weight, bias, Accumulator(word), shift=word - 16)
    assert case.expected()[1] == 1
    assert_equal(run_clamped(case), case)


@pytest.mark.parametrize("word", [24, 30, 31, 32])
@pytest.mark.parametrize("x", [-32768, -32767, -1, 0, 1, 32767])
def test_a_sum_is_exact_before_its_clamp(x: int, word: int) -> None:
    """Sums on and beside 0, half of the limits and the limits meet products of every size."""
    limit = 2 ** (word - 1)
    middles = (0, limit // 2, -limit // 2, limit - 1, -limit)
    products = sorted({x * weight for weight in (-32768, -32767, -1, 0, 1, 32767)})
    sums = {
        middle + beside - more
        for middle in middles
        for beside in range(-2, 3)
        for more in (0, *products)
    }
    bias = np.array(sorted(s for s in sums if -limit <= s < limit))
    for weight in (-32768, -32767, -1, 0, 1, 32767):
        weights = np.full((len(bias), 1), weight)
        case = Case(np.full((9, 1), x), weights, bias, Accumulator(word), shift=word - 16)
        assert_equal(run_clamped(case), case)


def near_ties(shift: int, bits: int) -> Ints:
    """Return sums on and beside ties and limits, 33 of them, that fit a word of ``bits``."""
    quotients = [-32769, -32768, -32767, -3, -2, -1, 0, 1, 2, 32767, 32766]
    half = 2**shift // 2
    sums = [q * 2**shift + half + beside for q in quotients for beside in (-1, 0, 1)]
    return np.array([sorted((-(2 ** (bits - 1)), s, 2 ** (bits - 1) - 1))[1] for s in sums])


@pytest.mark.parametrize("rounding", list(Rounding), ids=lambda r: r.value)
@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda o: o.value)
@pytest.mark.parametrize("sums", [np.int32, np.int64], ids=["32", "64"])
def test_casts_round_and_overflow_as_rationals_do(
    rounding: Rounding, overflow: Overflow, sums: type
) -> None:
    """Sums on and beside a tie or a limit are cast and counted exactly, in vectors and alone."""
    bits = 31 if sums is np.int32 else 60
    for shift in (-70, -3, 0, 1, 2, 13, 14, 30, 31, 44, 62, 63, 80):
        bias = near_ties(min(max(shift, 0), 45), bits)
        x, weight = np.zeros((4, 1), np.int64), np.zeros((len(bias), 1), np.int64)
        for output in (WORD16, QFormat(7, 0), QFormat(15, 0, signed=False)):
            case = Case(x, weight, bias, Accumulator(62), shift, rounding, overflow, output)
            assert_equal(run_exact(case, sums), case)


@pytest.mark.parametrize("word", [8, 24, 32, 48])
def test_totals_wrap_and_are_counted(word: int) -> None:
    """A wrapping accumulator keeps the total's low bits and counts what did not fit."""
    case = random_case(word, 9, 40, 5, x=32768, weight=32768)
    case = replace(case, accumulator=Accumulator(word, Overflow.WRAP), shift=max(0, word - 16))
    assert_equal(run_chunked(case), case)


def test_overflow_is_counted_before_relu() -> None:
    """A negative value out of range is counted, and then raised to 0."""
    case = replace(random_case(3, 9, 20, 5, 32767, 32767), relu=True)
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("run", [run_exact, run_chunked, run_clamped])
@pytest.mark.parametrize("apart", [False, True])
def test_words_are_lowered_behind_the_count(apart: bool, run: Any) -> None:
    """What is out of range is counted, then a clip's high end stands for all that is more."""
    output = QFormat(15, 0, signed=not apart)
    case = replace(random_case(17, 20, 20, 17), relu=True, apart=apart)
    case = replace(case, shift=4, output=output, most=600)
    words, _, saturations, _ = case.expected()
    assert saturations
    assert {0, 600} < {*words.ravel().tolist()}
    assert_equal(run(case), case)


@pytest.mark.parametrize("height", [1, 2, 5, 8])
def test_tiles_of_every_machine_sum_alike(height: int) -> None:
    """The tile that another machine's registers hold gives the same sums and counts here."""

    def tile(x: Any, pairs: Any, products: Any, bias: Any, acc: Any, word: Any) -> Any:
        starts = np.arange(height) * 37
        exact, clamped = acc
        for i in range(height * LANES):
            exact[i] = clamped[i] = bias[i % LANES]
        vector_sums.dot(LANES, height, (x, starts, *pairs, exact), (0, 0, pairs[1].size))
        arrays = x, starts, *products, clamped
        overflows = vector_sums.step(LANES, height, arrays, (0, 0, products[1].size), word)
        floor, ceiling = np.full_like(bias, word[0]), np.full_like(bias, word[1] - 1)
        return overflows, clamp_bounds.within(height, (clamped, floor, ceiling), (0, 0))

    rng = np.random.default_rng(height)
    x, weight = rng.integers(-9999, 9999, (height, 37)), rng.integers(-9999, 9999, (LANES, 37))
    bias, word = np.arange(LANES, dtype=np.int32), Accumulator(28)
    pairs, steps = packing.pack_steps(weight.astype(np.int16), np.arange(37), 37)
    acc = np.empty(height * LANES, np.int32), np.empty(height * LANES, np.int32)
    counts = njit(tile)(block(x), pairs[:2], steps[:2], bias, acc, (word.min, word.max))
    exact, clamped = (sums.reshape(height, LANES).astype(np.int64) for sums in acc)
    np.testing.assert_array_equal(exact, x @ weight.T + bias)
    walks = [
        [saturated_sum(word, [int(bias[o]), *map(int, x[r] * weight[o])]) for o in range(LANES)]
        for r in range(height)
    ]
    np.testing.assert_array_equal(clamped, np.array(walks)[..., 0])
    assert counts == (np.array(walks)[..., 1].sum(), bool(clamped.max() < word.max))


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "rows"), [("haswell", 5), ("x86-64", 2)])
def test_other_machines_compute_the_same_bits(machine: str, rows: int) -> None:
    """All of this holds where registers hold 8 or 4 lanes: AVX2 and SSE2."""
    environment = {"NUMBA_CPU_NAME": machine, "NUMBA_CPU_FEATURES": ""}
    program = (
        "import sys, pytest; from fxpnn.kernels.vector import clamp_bounds, sums; "
        f"assert sums.ROWS == {rows}; sys.exit(pytest.main(sys.argv[1:]))"
    )
    beside = "test_pairs.py", "../test_products.py", "../test_depthwise.py"
    files = [__file__, *(str(Path(__file__).parent / name) for name in beside)]
    chosen = [*files, "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-c", program, *chosen],
        env=os.environ | environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
