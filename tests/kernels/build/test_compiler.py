"""What Numba compiles is two object files that run without it, and compute what Python does."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.kernels import compiled, entry, error_statistics
from fxpnn.kernels.build import object_code
from fxpnn.kernels.build.compiler import compile_loop
from fxpnn.kernels.build.kernel import Kernel
from fxpnn.kernels.layout.exact_sum import integers, no_sums
from tests.support.loops import in_python

NONE = np.zeros(0, np.int64)


def called(kernel: Kernel, first: Any, *rest: Any) -> list[Any]:
    """Compile a kernel, call it, and return its results."""
    function, linker = object_code.link(compile_loop(kernel.loop, kernel.kinds), kernel.kinds[0])
    place, results = object_code.block(kernel.kinds[1:], rest, kernel.results)
    assert function(place, first) == 0
    assert linker is not None
    return list(results)


def test_a_kernel_takes_matrices_and_returns_an_integer() -> None:
    """Pixels by table: each argument arrives, by its shape; the saturations come back."""
    generator = np.random.default_rng(1)
    x = generator.integers(0, 256, (5, 6), np.uint8)
    raws = generator.integers(-9, 9, (2, 256), np.int16)
    over = generator.random((2, 256)) < 0.5
    ours, theirs = np.zeros((2, 35), np.int16)
    given = (x, raws, over, np.arange(6)[::-1].copy(), 7)
    results = called(compiled.pixels, *given, ours)
    assert results == [in_python(entry.pixels)(*given, theirs)]
    assert ours.tolist() == theirs.tolist()
    assert results[0] > 0
    assert ours.any()


def test_a_kernel_takes_floats_and_returns_two_integers() -> None:
    """Factors and limits are float64; it returns how many saturated (NaN too), how many are NaN."""
    x = np.array([[0.5, 1.5, np.inf], [-9.0, np.nan, 2.5]], np.float32)
    out = np.zeros(6, np.int16)
    assert called(compiled.floats["f"], x, 1.0, -8.0, 7.0, NONE, 3, out) == [3, 1]
    assert out.tolist() == [0, 2, 7, -8, 0, 2]


def test_a_kernel_returns_five_floats() -> None:
    """An error's five sums are the formula's."""
    reference, raw = np.array([0.5, -2.0], np.float32), np.array([3, -7], np.int16)
    expected = in_python(error_statistics.measure)(reference, raw, 0.25)
    assert called(compiled.measure, reference, raw, 0.25) == list(expected)


def test_a_kernel_adds_to_an_array_of_floats() -> None:
    """Squares of floats and of errors add to what stands there, channel by channel."""
    generator = np.random.default_rng(8)
    reference = generator.integers(-40, 40, (4, 3, 5)).astype(np.float32) / 8
    raw = generator.integers(-20, 20, (4, 3, 5), np.int16)
    ours, theirs = no_sums(6), no_sums(6)
    given = (reference.reshape(-1), raw.reshape(-1), 0.25, 5)
    for _ in range(2):
        called(compiled.measure_channels, *given, ours)
        in_python(error_statistics.measure_channels)(*given, theirs)
    errors = raw * 0.25 - reference
    expected = np.stack([np.square(a).sum((0, 2)) for a in (reference, errors)], 1)
    assert ours.tolist() == theirs.tolist()
    assert [Fraction(n, 2**1074) for n in integers(ours)] == (2 * expected).reshape(-1).tolist()


EDGES = [0.0, 2.0**-149, -(2.0**-126), 3.5, -(2.0**127), math.inf, -math.inf, math.nan]


@given(
    st.lists(st.floats(width=32) | st.sampled_from(EDGES), min_size=1, max_size=40),
    st.sampled_from([0.25, 2.0**-600, 2.0**500, 2.0**1000]),
)
def test_sums_over_images_are_exact(values: list[float], lsb: float) -> None:
    """They are the rationals' sums of all squares that are finite, however large or small."""
    reference = np.array(values, np.float32)
    raw = np.arange(len(values), dtype=np.int16)
    ours, theirs = no_sums(2), no_sums(2)
    with np.errstate(all="ignore"):
        compiled.measure_channels(reference, raw, lsb, 1, ours)
        in_python(error_statistics.measure_channels)(reference, raw, lsb, 1, theirs)
        doubles = reference.astype(np.float64)
        squares = np.square([doubles, raw * lsb - doubles])
    assert ours.tolist() == theirs.tolist()
    for found, row in zip(integers(ours), squares, strict=True):
        assert Fraction(found, 2**1074) == sum(map(Fraction, row[np.isfinite(row)].tolist()))
