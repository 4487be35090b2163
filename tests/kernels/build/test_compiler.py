"""What Numba compiles is two object files that run without it, and compute what Python does."""

import gc
from typing import Any

import numpy as np
import pytest

from fxpnn.kernels import compiled, entry, error_statistics
from fxpnn.kernels.build import object_code
from fxpnn.kernels.build.compiler import compile_loop
from fxpnn.kernels.build.kernel import Kernel
from tests.support.loops import in_python

NONE = np.zeros(0, np.int64)


def called(kernel: Kernel, first: Any, *rest: Any) -> list[Any]:
    """Compile a kernel, call it, and return its results."""
    function, linker = object_code.link(compile_loop(kernel.loop, kernel.kinds), kernel.kinds[0])
    place, results = object_code.block(kernel.kinds[1:], rest, kernel.results)
    assert function(place, first) == 0
    assert linker is not None
    return list(results)


def test_matrices_integers_and_one_result() -> None:
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


def test_floats_and_two_results() -> None:
    """Factors and limits are float64; it returns how many saturated (NaN too), how many are NaN."""
    x = np.array([[0.5, 1.5, np.inf], [-9.0, np.nan, 2.5]], np.float32)
    out = np.zeros(6, np.int16)
    assert called(compiled.floats["f"], x, 1.0, -8.0, 7.0, NONE, 3, out) == [3, 1]
    assert out.tolist() == [0, 2, 7, -8, 0, 2]


def test_five_float_results() -> None:
    """An error's five sums are the formula's."""
    reference, raw = np.array([0.5, -2.0], np.float32), np.array([3, -7], np.int16)
    expected = in_python(error_statistics.measure)(reference, raw, 0.25)
    assert called(compiled.measure, reference, raw, 0.25) == list(expected)


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_again_if_it_was(collects: bool) -> None:
    """Compilation collects none, and leaves Python as it was, also where it fails."""
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        compile_loop(compiled.measure.loop, compiled.measure.kinds)
        assert gc.isenabled() == collects
        with pytest.raises(TypeError):
            compile_loop(compiled.measure.loop, ())
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()
