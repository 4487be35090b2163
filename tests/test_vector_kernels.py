"""The fast kernels equal sums and casts of Python integers, for every shape, width and overflow."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from fxpnn.casting import limits
from fxpnn.kernels import packing, products, vector
from fxpnn.kernels.arithmetic import target
from fxpnn.kernels.packing import LANES
from fxpnn.layers import Window
from fxpnn.qformat import Accumulator, Overflow, QFormat, Rounding
from tests.oracles import cast_rational, saturated_sum, wrapped_sum

Ints = npt.NDArray[np.int64]
WORD16 = QFormat(16, 0)


@dataclass(frozen=True)
class Case:
    """A dense layer, a block of its inputs, and how it sums and casts."""

    x: Ints
    weight: Ints
    bias: Ints
    accumulator: Accumulator = Accumulator(62)
    shift: int = 8
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE
    output: QFormat = WORD16
    relu: bool = False

    def modes(self) -> tuple[int, int, int, int, int]:
        """Encode the cast for the kernels."""
        to = target(self.output, self.rounding, self.overflow)
        return (*to, 0 if self.relu else -32768)

    def expected(self) -> tuple[Ints, int, int]:
        """Compute in Python integers: outputs, overflows of the accumulator and of the cast."""
        total = wrapped_sum if self.accumulator.overflow is Overflow.WRAP else saturated_sum
        products = self.x.astype(object)[:, None, :] * self.weight.astype(object)
        out, overflows, saturations = np.zeros(products.shape[:2], np.int64), 0, 0
        for at in np.ndindex(out.shape):
            acc, more = total(self.accumulator, [int(self.bias[at[1]]), *products[at]])
            scaled = Fraction(acc, 1) / Fraction(2) ** self.shift
            raw, over = cast_rational(scaled, self.output, self.rounding, self.overflow)
            out[at] = max(raw, 0) if self.relu else raw
            overflows, saturations = overflows + more, saturations + over
        return out, overflows, saturations


def block(x: Ints) -> npt.NDArray[np.int16]:
    """Lay rows out as the kernels read them, with one word behind that no weight meets."""
    return np.append(x.ravel(), 77).astype(np.int16)


def tables(packed: packing.Packed, starts: Ints, bias: Ints, shift: int, windows: Ints) -> Any:
    """Put a layer's arrays together."""
    shifts = packing.fill_lanes(np.full(len(bias), shift))
    return (*packed, starts, packing.fill_lanes(bias), shifts, windows)


NO_WINDOWS = np.zeros((0, 1), np.int64)


def run_exact(case: Case, sums: type = np.int32, packed: packing.Packed | None = None) -> Any:
    """Run a dense layer with exact sums of 32 or 64 bits."""
    (n, k), outputs = case.x.shape, len(case.weight)
    weight, offsets = case.weight.astype(np.int16), np.arange(k)
    packed = packed or packing.pack(weight, offsets)
    layer = tables(packed, np.arange(n) * k, case.bias.astype(sums), case.shift, NO_WINDOWS)
    out = np.empty(n * outputs, np.int16)
    word = case.accumulator.min, case.accumulator.max
    wraps = case.accumulator.overflow is Overflow.WRAP
    frame = (1, n * k, outputs, 0, 0, 0, 0, 0)
    counts = products.exact(block(case.x), out, layer, frame, word, wraps, case.modes())
    return out.reshape(n, outputs), *counts


def run_chunked(case: Case) -> Any:
    """Run a dense layer with sums of 64 bits, in chunks that fit 32 for every int16 input."""
    k = case.x.shape[1]
    weight = case.weight.astype(np.int16)
    packed = packing.pack_chunks(weight, np.arange(k), np.full(k, 32768))
    return run_exact(case, np.int64, packed)


def run_clamped(case: Case) -> Any:
    """Run a dense layer with sums that are clamped after each product."""
    (n, k), outputs = case.x.shape, len(case.weight)
    pairs, steps = packing.pack_steps(case.weight.astype(np.int16), np.arange(k), k)
    word = case.accumulator.min, case.accumulator.max
    bias = np.clip(case.bias, *word).astype(np.int32 if case.accumulator.word <= 32 else np.int64)
    layer = tables(pairs, np.arange(n) * k, bias, case.shift, NO_WINDOWS)
    out = np.empty(n * outputs, np.int16)
    frame = (1, n * k, outputs, 0, 0, 0, 0, 0)
    overflows, saturations = products.clamped(
        block(case.x), out, layer, tuple(steps), frame, word, case.modes()
    )
    overflows += n * int((bias != case.bias).sum())
    return out.reshape(n, outputs), overflows, saturations


def assert_equal(found: Any, case: Case) -> None:
    """Compare outputs and both counts."""
    outputs, *counts = case.expected()
    np.testing.assert_array_equal(found[0], outputs)
    assert list(found[1:]) == counts


def random_case(seed: int, n: int, k: int, outputs: int, x: int = 300, weight: int = 300) -> Case:
    """Draw words and weights up to the given magnitudes."""
    rng = np.random.default_rng(seed)
    return Case(
        rng.integers(-x, x, (n, k)),
        rng.integers(-weight, weight, (outputs, k)),
        rng.integers(-(10**6), 10**6, outputs),
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
    assert_equal(run_exact(case), case)
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("run", [run_chunked, run_clamped])
def test_extreme_words_are_summed_in_64_bits(run: Any) -> None:
    """Sums of many products of 2**30 leave 32 bits without a trace where the word is wide."""
    x = np.array([[-32768] * 40, [32767] * 40, [-32768, 32767] * 20])
    weight = np.array([[-32768] * 40, [32767] * 40, [32767, -32768] * 20])
    case = Case(x, weight, np.array([-(2**40), 2**40, 0]), Accumulator(48), shift=22)
    assert_equal(run(case), case)


@pytest.mark.parametrize("word", [8, 16, 24, 31, 32, 33, 40, 62])
@pytest.mark.parametrize("shape", [(9, 7, 3), (1, 300, 17)], ids=str)
def test_clamped_sums_equal_a_walk_through_integers(word: int, shape: tuple[int, int, int]) -> None:
    """Each add is clamped, and each clamp counted, the bias's too, for words of every kind."""
    case = random_case(word, *shape, x=32768, weight=32768)
    limit = 2 ** min(word - 1, 60)
    bias = np.resize([0, limit, limit - 1, -limit, -limit - 1], shape[2])
    case = replace(case, bias=bias, accumulator=Accumulator(word), shift=max(0, word - 16))
    assert_equal(run_clamped(case), case)


@pytest.mark.parametrize("word", [16, 32, 40])
@pytest.mark.parametrize("step", [0, 1, 150, 299])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_single_overflow_is_found_wherever_it_stands(word: int, step: int, sign: int) -> None:
    """One add clamps, in the first, a middle or the last step, in one row and one lane."""
    x, weight = np.zeros((10, 300), np.int64), np.zeros((18, 300), np.int64)
    x[4, step], weight[16, step] = 32767, sign * 32767
    x[:, step - 1], weight[:, step - 1] = 1, -sign  # a clamped sum leaves its limit again
    bias = np.zeros(18, np.int64)
    bias[16] = sign * (2 ** (word - 1) - 10)
    case = Case(x, weight, bias, Accumulator(word), shift=word - 16)
    assert case.expected()[1] == 1
    assert_equal(run_clamped(case), case)
