"""The table of training for short words can be made anew."""

from dataclasses import replace

import fxpnn
from fxpnn.datasets import Data
from tests.benchmarks.lowbit import MODELS, ROWS, Table, markdown, measure


def test_a_row_is_measured() -> None:
    """Trained words are the engine's, and seeds, rounding without training and times are told."""
    x, y = fxpnn.load_data("mnist:calibration")
    assert y is not None
    line = replace(ROWS[3], epochs=1)
    found = measure(line, Data(x[:300], y[:300]), Data(x[300:], y[300:]), 2)
    assert (found.name, found.epochs, found.equal) == ("mlp-784-100-10 ternary/2", 1, True)
    assert len(found.accuracies) == len(found.cpu_seconds) == 2
    assert 0.9 < found.median <= 1
    assert found.holds == (found.median >= 0.971)
    assert found.proved
    assert found.step_ratio > 0
    head, rule, told = markdown(Table("here", "0", 300, (found,)))
    assert head.count("|") == rule.count("|") == told.count("|")
    assert told.startswith(f"| mlp-784-100-10 ternary/2 | {found.rounded:.4f} | {found.median:.4f}")


def test_every_row_names_a_bundled_network() -> None:
    """Each is another, and has a file; an aim is not below its floor."""
    assert len({line.name for line in ROWS}) == len(ROWS)
    for line in ROWS:
        assert (MODELS / f"{line.network}.onnx").is_file()
        assert line.floor <= line.aim
