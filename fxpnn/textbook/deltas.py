"""Losses at work: what each costs, and the delta from which backpropagation starts."""

import math
from collections.abc import Iterator

import numpy as np

from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Dense, Sigmoid, Softmax
from fxpnn.textbook.lesson import Row, Sides, both, check, formats
from fxpnn.training import CROSS_ENTROPY, Loss, backpropagate
from fxpnn.training.losses import BINARY_CROSS_ENTROPY, MEAN_SQUARES, SQUARES, cost

LOGITS = (2, 1, -1)
FIRST = np.array([[1.0, 0.0, 0.0]])
ZEROS = np.zeros((1, 2))


def wrong_neurons() -> Network:
    """Build two neurons that answer 1 with 0.82 (w = 0.6, b = 0.9) and 0.98 (w = b = 2), not 0.

    Source: M. Nielsen, "Neural Networks and Deep Learning", chapter 3: the more wrong they are,
    the more slowly they learn from squared errors.
    """
    dense = Dense(np.array([[0.6], [2.0]]), np.array([0.9, 2.0]))
    return chain("wrong-neurons", (1,), {"z": dense, "a": Sigmoid()})


def classes() -> Network:
    """Build a softmax of three sums that are the inputs themselves."""
    layers = {"z": Dense(np.eye(3), np.zeros(3)), "a": Softmax()}
    return chain("three-classes", (3,), layers)


def rows() -> Iterator[Row]:
    """Give each loss its row; the fixed deltas are made of the fixed outputs."""
    yield _squares()
    yield _cross_entropy()
    yield _log_likelihood()


def _squares() -> Row:
    sides = both(wrong_neurons(), [[1.0]], formats("Q3.12", a="Q0.15"))
    a, b = sides.y, sides.y_fixed
    value, deltas = _of_sums(sides, SQUARES, ZEROS)
    mean, doubled = _of_sums(sides, MEAN_SQUARES, ZEROS)
    expected = (
        check("outputs", (0.82, 0.98), a, digits=2),
        check("half the squares' sum, their mean", (0.816, 0.816), (value, mean), digits=3),
        check("deltas are (a - y) a (1 - a)", a * a * (1 - a), deltas, digits=15),
        check("deltas", (0.122, 0.017), deltas, digits=3),
        check("of two outputs the mean has the same", deltas, doubled, digits=15),
    )
    return sides.row("squares, sigmoid: deltas", expected, deltas, b * b * (1 - b))


def _cross_entropy() -> Row:
    sides = both(wrong_neurons(), [[1.0]], formats("Q3.12", a="Q0.15"))
    value, deltas = _of_sums(sides, BINARY_CROSS_ENTROPY, ZEROS)
    expected = (
        check("cost is the sum of log(1 + exp(z))", _softplus(1.5) + _softplus(4), value, digits=9),
        check("deltas are a - y", sides.y, deltas),
        check("deltas", (0.82, 0.98), deltas, digits=2),
    )
    return sides.row("cross-entropy, sigmoid: deltas", expected, deltas, sides.y_fixed)


def _log_likelihood() -> Row:
    sides = both(classes(), [LOGITS], formats("Q3.12"))
    value, deltas = _of_sums(sides, CROSS_ENTROPY, FIRST)
    expected = (
        check("cost is -log of the right share", -math.log(sides.y[0, 0]), value, digits=15),
        check("cost", 0.349, value, digits=3),
        check("deltas are a - y", sides.y - FIRST, deltas),
        check("deltas", (-0.29, 0.26, 0.04), deltas, digits=2),
    )
    return sides.row("log-likelihood, softmax: deltas", expected, deltas, sides.y_fixed - FIRST)


def _of_sums(sides: Sides, loss: Loss, y: Array) -> tuple[float, Array]:
    """Return the float side's cost and its derivative by the sums z."""
    found = cost(loss, sides.network, sides.floats, y)
    return found.value, backpropagate(sides.network, sides.floats, found.deltas).deltas["z"]


def _softplus(z: float) -> float:
    return math.log1p(math.exp(z))
