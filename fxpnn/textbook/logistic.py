"""Logistic regression: 100 points, labels of 1 and -1, plain gradient descent."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Dense, Sigmoid
from fxpnn.reference import sigmoid
from fxpnn.textbook.lesson import Row, both, check, on_grid

POINTS = 100
RATE = 0.1
LOSSES = {0: 69.31, 10: 4.10, 100: 3.30, 1000: 2.73, 10000: 2.32}
"""The loss after so many steps; that of knowing nothing is 100 log 2."""


def points(seed: int = 5) -> tuple[Array, Array]:
    """Draw two overlapping clouds around (1, 1) and (-1, -1): ``(100, 2)`` on a grid of 1/256.

    Labels ``(100,)`` are 1 and -1.
    """
    y = np.repeat([1.0, -1.0], POINTS // 2)
    cloud = np.random.default_rng(seed).normal(scale=0.75, size=(POINTS, 2))
    return on_grid(cloud + y[:, None], 8), y


def descend(x: Array, y: Array, stops: Iterable[int]) -> Iterator[tuple[Array, float]]:
    """Descend from zeros and give weights and bias after each of ``stops`` steps, ascending.

    A step is ``w += rate * sum(y * sigmoid(-y * (w . x + b)) * x)``, and b alike with x = 1.
    """
    w, b, done = np.zeros(x.shape[1]), 0.0, 0
    for stop in stops:
        for _ in range(stop - done):
            pull = y * sigmoid(-y * (x @ w + b))
            w, b = w + RATE * pull @ x, b + RATE * float(pull.sum())
        done = stop
        yield w, b


def loss(w: Array, b: float, x: Array, y: Array) -> float:
    """Compute ``-sum(log(sigmoid(y * (w . x + b))))``."""
    return float(np.logaddexp(0, -y * (x @ w + b)).sum())


def classifier(w: Array, b: float) -> Network:
    """Build the neuron of learned weights; its sigmoid is the probability of label 1."""
    dense = Dense(on_grid(w[None], 10), on_grid([b], 10))
    return chain("logistic-regression", (2,), {"z": dense, "p": Sigmoid()})


def learned() -> Network:
    """Build the neuron that 10,000 steps learn."""
    ((w, b),) = descend(*points(), [max(LOSSES)])
    return classifier(w, b)


def rows() -> Iterator[Row]:
    """Show loss and accuracy after more and more steps; the loss never rises."""
    x, y = points()
    last = math.inf
    for (steps, published), (w, b) in zip(LOSSES.items(), descend(x, y, LOSSES), strict=True):
        sides = both(classifier(w, b), x)
        floats, fixed = (_judged(values["z"][:, 0], y) for values in (sides.floats, sides.fixed))
        expected = (
            check("loss", published, floats[0], digits=2),
            check("loss in fixed point", published, fixed[0], digits=2),
            check("the loss falls", 1, floats[0] < last),
            check("the same points are right", floats[1], fixed[1]),
        )
        last = floats[0]
        yield sides.row(f"loss, accuracy after {steps} steps", expected, floats, fixed)


def _judged(z: Array, y: Array) -> tuple[float, float]:
    """Return the loss, and the share of points on their side of the line."""
    return float(np.logaddexp(0, -y * z).sum()), float((np.where(z >= 0, 1, -1) == y).mean())
