"""Windows that see the same as their neighbours are bounded once, and exactly as if each were."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.fixedpoint.interval import Interval
from fxpnn.network.layers import Conv2D, Window
from fxpnn.proofs import windows
from fxpnn.proofs.sums import sum_interval
from fxpnn.proofs.windows import axes


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv2D, Interval]:
    """Draw a convolution, and ends of maps with runs of equal lines along both axes."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(pairs)
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    window = Window(kernel, draw(pairs), padding, draw(pairs))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weight = rng.integers(-9, 10, (2, 1, *kernel))
    rows, columns = (draw(st.lists(st.integers(0, 2), min_size=7, max_size=12)) for _ in "hw")
    values = rng.integers(-3, 4, (2, 1, 3, 3))[:, :, rows][:, :, :, columns]
    return Conv2D(weight, np.array([1, -1]), window), Interval(*np.sort(values, axis=0))


@given(case=convolutions())
def test_equal_windows_are_bounded_once(case: tuple[Conv2D, Interval]) -> None:
    """The bounds are those of every window taken by itself."""
    layer, x = case
    found = sum_interval(layer, x)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(windows, "COMPARED", 0)
        each = sum_interval(layer, x)
    assert found.low.tolist() == each.low.tolist()
    assert found.high.tolist() == each.high.tolist()


def test_a_padded_map_has_few_different_windows() -> None:
    """Behind a padded convolution, windows differ near the edges only, however large the map."""
    maps = np.full((1, 500, 400), 7)
    maps[:, [0, -1]] = maps[:, :, [0, -1]] = 5
    window = Window((3, 3), padding=(1, 1, 1, 1))
    rows, columns = axes(window, maps, maps.shape)
    assert rows.starts.tolist() == [-1, 0, 1, 497, 498]
    assert columns.starts.tolist() == [-1, 0, 1, 397, 398]
    layer = Conv2D(np.ones((1, 1, 3, 3), np.int16), np.zeros(1), window)
    tracemalloc.start()
    sum_interval(layer, Interval(maps, maps))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * maps.nbytes
