"""Logistic regression and the shallow classifier learn what they should, on honest data."""

import math
from itertools import pairwise

import numpy as np
import pytest

from fxpnn.network.graph import chain
from fxpnn.network.layers import Dense
from fxpnn.textbook import logistic, shallow
from fxpnn.textbook.lesson import both
from fxpnn.training import Recipe, descend, parameters
from fxpnn.training.losses import LOGISTIC


def test_points() -> None:
    """There are 100, half of them of either label, and a 16-bit word holds each coordinate."""
    x, y = logistic.points()
    assert x.shape == (100, 2)
    assert sorted(y.tolist()) == [-1] * 50 + [1] * 50
    assert (np.mod(x * 256, 1) == 0).all()


def test_loss_starts_at_100_log_2() -> None:
    """Knowing nothing costs log 2 for each point."""
    x, y = logistic.points()
    assert logistic.loss(np.zeros(2), 0.0, x, y) == pytest.approx(100 * math.log(2), rel=1e-14)


def test_descent_by_hand() -> None:
    """Three steps in plain Python floats end where the arrays do."""
    x, y = logistic.points()
    w, b = [0.0, 0.0], 0.0
    for _ in range(3):
        pulls = [
            t / (1 + math.exp(t * (w[0] * p[0] + w[1] * p[1] + b)))
            for p, t in zip(x.tolist(), y.tolist(), strict=True)
        ]
        w = [
            w[i] + 0.1 * sum(g * p[i] for g, p in zip(pulls, x.tolist(), strict=True))
            for i in (0, 1)
        ]
        b += 0.1 * sum(pulls)
    ((found, bias),) = logistic.descend(x, y, [3])
    assert [*found, bias] == pytest.approx([*w, b], rel=1e-12)


def test_descent_is_that_of_the_trainer() -> None:
    """The house's trainer, whose cost is a mean, goes the same way at 100 times the rate."""
    x, y = logistic.points()
    start = chain("z", (2,), {"z": Dense(np.zeros((1, 2)), np.zeros(1))})
    recipe = Recipe(epochs=10, batch=100, rate=100 * logistic.RATE)
    *_, last = descend(start, x, y[:, None], recipe, loss=LOGISTIC, dtype=np.float64)
    ((w, b),) = logistic.descend(x, y, [10])
    found = np.concatenate([value.reshape(-1) for value in parameters(last.network).values()])
    assert found.tolist() == pytest.approx([*w, b], rel=1e-9)


def test_losses_fall_on_both_sides() -> None:
    """After 0, 10, 100, 1000 and 10000 steps the loss is lower each time, also in 16 bits."""
    rows = list(logistic.rows())
    assert [float(row.name.split()[3]) for row in rows] == [0, 10, 100, 1000, 10000]
    for before, after in pairwise(rows):
        assert before.floats[0] > after.floats[0]
        assert before.fixed[0] > after.fixed[0]
    assert rows[-1].floats[1] == rows[-1].fixed[1] == 0.99


def test_no_line_separates_the_disc() -> None:
    """Every point comes with its opposite of the same label: 0 is the middle of either label."""
    x, y = shallow.examples()
    for label in (0, 1):
        points = {tuple(point) for point in x[y[:, 0] == label].tolist()}
        assert len(points) >= 90  # the drawing may repeat some
        assert {(-a, -b) for a, b in points} == points


def test_examples_lie_apart() -> None:
    """The disc and the ring leave a gap, and every coordinate is a multiple of 1/256."""
    x, y = shallow.examples()
    assert x.shape == (shallow.POINTS, 2)
    radius = np.hypot(*x.T)
    assert radius[y[:, 0] == 1].max() < shallow.INNER < shallow.OUTER < radius[y[:, 0] == 0].min()
    assert (np.mod(x * shallow.UNIT, 1) == 0).all()


def test_shallow_classifier() -> None:
    """Four hidden neurons classify every point on both sides; one alone cannot."""
    network = shallow.classifier()
    assert network.parameters == 2 * 4 + 4 + 4 + 1
    x, y = shallow.examples()
    sides = both(network, x)
    assert ((sides.y > 0.5) == y).all()
    assert ((sides.y_fixed > 0.5) == y).all()
    hidden = parameters(network)["hidden.weight"]
    for w in hidden:  # no neuron's own line does
        side = x @ w > 0
        assert 0.25 < (side == y[:, 0]).mean() < 0.75


def test_surface_covers_the_square() -> None:
    """Its points run along x first, then up, from corner to corner."""
    sides = shallow.surface(5)
    x = sides.floats["input"]
    assert x.shape == (25, 2)
    assert x[0].tolist() == [-1.25, -1.25]
    assert x[4].tolist() == [1.25, -1.25]
    assert x[-1].tolist() == [1.25, 1.25]
    assert (sides.y[12] > 0.5, sides.y[0] > 0.5) == (True, False)
