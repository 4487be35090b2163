"""The table of nearest against stochastic is made of trainings, and drawn."""

from pathlib import Path

import pytest

import fxpnn
from fxpnn.datasets import Data
from tests.benchmarks.fixed_training import Trained, draw, measured, table


@pytest.mark.slow
def test_a_small_table(tmp_path: Path) -> None:
    """A training in floats and one in each rounding; the median of the seeds stands in a cell."""
    x, y = fxpnn.load_data("mnist:calibration")
    assert y is not None
    data, test = Data(x[:400], y[:400]), Data(x[400:600], y[400:600])
    found = list(measured(data, test, rates=[0.5], seeds=[1], fracs=[10], epochs=2))
    assert [one.rounding for one in found] == ["float", "nearest-even", "stochastic"]
    assert all(one.accuracy > 0.3 for one in found)
    assert [len(one.lost) for one in found] == [0, 2, 2]
    nearest, stochastic = found[1].lost, found[2].lost
    assert all(lost < more for lost, more in zip(stochastic, nearest, strict=True))
    path = tmp_path / "chart.svg"
    draw(found, path)
    assert "stochastic" in path.read_text()


def test_a_cell_is_the_median_of_its_seeds() -> None:
    """Of three in each."""
    kinds = (("float", 0), ("nearest-even", 8), ("stochastic", 8))
    found = [
        Trained(rounding, frac, 0.5, seed, 0.5 + place / 10 + seed / 100, 1.0)
        for place, (rounding, frac) in enumerate(kinds)
        for seed in (1, 3, 2)
    ]
    assert list(table(found))[2:] == ["| 0.5 | 8 | 0.6200 | 0.7200 | 0.5200 |"]
