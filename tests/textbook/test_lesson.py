"""A lesson compares both sides and judges what was published, without being lenient."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.golden import GoldenRun
from fxpnn.golden import run as golden_run
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Dense
from fxpnn.textbook.lesson import Check, both, check, formats, on_grid, rounded
from fxpnn.training import parameters


def doubler() -> Network:
    """Build y = 2 x + 0.25."""
    return chain("doubler", (1,), {"y": Dense(np.array([[2.0]]), np.array([0.25]))})


@pytest.mark.parametrize(
    ("published", "computed", "digits", "holds"),
    [
        (1, 1, -1, True),
        (1, 1 + 2**-52, -1, False),
        ((0.71, 0.26), (0.7149, 0.2551), 2, True),
        ((0.71, 0.26), (0.7151, 0.26), 2, False),
        ((0.71, 0.26), (0.71,), 2, False),
        (0, math.nan, 2, False),
        (math.nan, math.nan, 2, False),
        (0, math.inf, 2, False),
    ],
)
def test_check_holds(
    published: float | tuple[float, ...],
    computed: float | tuple[float, ...],
    digits: int,
    holds: bool,
) -> None:
    """A number holds where it rounds to the published one; a missing one or NaN never does."""
    assert check("it", published, computed, digits).holds == holds


def test_both_sides_of_a_network() -> None:
    """Values, counts and the largest difference are those of the floats and of the integers."""
    sides = both(doubler(), [[0.5], [1.0], [100.0]], formats("Q3.4"))
    assert sides.y.tolist() == [[1.25], [2.25], [200.25]]
    assert sides.raw["y"].tolist() == [[20], [36], [127]]
    assert sides.y_fixed.tolist() == [[1.25], [2.25], [127 / 16]]
    assert sides.lsb == (200.25 - 127 / 16) * 16
    assert sides.saturations == 2  # 100 as an input, and what is made of it
    assert sides.stored("y") == (np.array([2.0]), np.array([0.25]))
    assert list(sides.raw) == list(sides.floats) == ["input", "y"]


def test_row_judges_the_golden_model_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw value in which the golden model differs fails the row."""
    assert both(doubler(), [[0.5]], formats("Q3.4")).row("right", []).holds

    def off_by_one(fixed: FixedNetwork, raw: Array) -> GoldenRun:
        done = golden_run(fixed, raw)
        return replace(done, raw={name: value + 1 for name, value in done.raw.items()})

    monkeypatch.setattr("fxpnn.golden.run", off_by_one)
    row = both(doubler(), [[0.5], [1.0]], formats("Q3.4")).row("wrong", [])
    assert not row.holds
    assert row.checks == (
        Check("raw values in which the golden model differs", (0.0,), (2.0,), 0.0),
    )


def test_row_shows_outputs_unless_told_otherwise() -> None:
    """The numbers of a row are the outputs, or those that stand for them."""
    sides = both(doubler(), [[0.5]], formats("Q3.4"))
    row = sides.row("outputs", [check("y", 1.25, sides.y)])
    assert (row.name, row.floats, row.fixed, row.lsb) == ("outputs", (1.25,), (1.25,), 0)
    assert (row.saturations, len(row.checks), row.holds) == (0, 2, True)
    row = sides.row("others", [check("y", 2, sides.y)], [1, 2], 3)
    assert (row.floats, row.fixed, row.holds) == ((1, 2), (3,), False)


@given(st.lists(st.floats(-1000, 1000), min_size=1), st.integers(0, 12))
def test_grid_is_the_nearest_multiple(values: list[float], frac: int) -> None:
    """Every value moves by at most half a step, to a multiple of it."""
    moved = on_grid(values, frac)
    assert (np.mod(moved * 2**frac, 1) == 0).all()
    assert (np.abs(moved - values) <= 2.0 ** -(frac + 1)).all()


def test_rounded_network_is_exact_in_its_words() -> None:
    """Every parameter is on the grid."""
    network = chain("third", (1,), {"y": Dense(np.array([[1 / 3]]), np.array([-1 / 7]))})
    weight, bias = parameters(rounded(network, 4)).values()
    assert (weight.item(), bias.item()) == (5 / 16, -2 / 16)


def test_both_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Inputs that leave a layer at 0 choose its format without a note, which no reader can heed."""
    still = chain("still", (1,), {"y": Dense(np.zeros((1, 1)), np.zeros(1))})
    assert both(still, [[1.0]]).disagreements == 0
    assert caplog.messages == []
