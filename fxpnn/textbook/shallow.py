"""A shallow classifier: four sigmoid neurons enclose what no line separates."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Dense, Sigmoid
from fxpnn.textbook.lesson import Row, Sides, both, check, rounded
from fxpnn.training import Recipe, train
from fxpnn.training.losses import BINARY_CROSS_ENTROPY

POINTS, HIDDEN = 200, 4
UNIT = 256
"""Points lie on a grid of 1/256, so that a 16-bit word holds them exactly."""

INNER, OUTER, EDGE = 0.5, 0.8, 1.25
"""The disc of label 1 ends at ``INNER``, the ring of label 0 reaches from ``OUTER`` to ``EDGE``."""


class Examples(NamedTuple):
    """Points ``(N, 2)`` and labels ``(N, 1)`` of 0 and 1."""

    x: Array
    y: Array


def examples(seed: int = 0) -> Examples:
    """Draw a disc inside a ring, every point together with its opposite.

    The middle of two opposite points is 0, of either label: 0 lies inside the hull of both, so no
    line has them on different sides.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(-int(EDGE * UNIT), int(EDGE * UNIT), (20 * POINTS, 2)) / UNIT
    radius = np.sqrt(np.square(drawn).sum(axis=1))
    disc = drawn[radius < INNER][: POINTS // 4]
    ring = drawn[(radius > OUTER) & (radius < EDGE)][: POINTS // 4]
    x = np.concatenate([disc, -disc, ring, -ring])
    return Examples(x, np.repeat([[1.0], [0.0]], POINTS // 2, axis=0))


def classifier(seed: int = 0) -> Network:
    """Learn the disc with cross-entropy, from random weights."""
    generator = np.random.default_rng(seed)
    layers = {
        "hidden": Dense(generator.normal(size=(HIDDEN, 2)), np.zeros(HIDDEN)),
        "sigmoid": Sigmoid(),
        "output": Dense(generator.normal(size=(1, HIDDEN)), np.zeros(1)),
        "p": Sigmoid(),
    }
    recipe = Recipe(epochs=800, batch=POINTS, rate=0.5, momentum=0.9)
    start = chain("shallow", (2,), layers)
    return rounded(
        train(start, *examples(), recipe, loss=BINARY_CROSS_ENTROPY, dtype=np.float64), 10
    )


def surface(side: int = 81) -> Sides:
    """Run the classifier on a square grid of ``side**2`` points, rows from bottom to top."""
    axis = np.rint(np.linspace(-EDGE, EDGE, side) * UNIT) / UNIT
    x, y = np.meshgrid(axis, axis)
    return both(classifier(), np.column_stack([x.ravel(), y.ravel()]))


def rows() -> Iterator[Row]:
    """Classify the points, then the whole square."""
    x, y = examples()
    sides = both(classifier(), x)
    floats, fixed = (float(((p > 0.5) == y).mean()) for p in (sides.y, sides.y_fixed))
    expected = (
        check("accuracy", 1, floats),
        check("accuracy in fixed point", 1, fixed),
        check("the middle of each label is 0", np.zeros(4), [*x[:100].mean(0), *x[100:].mean(0)]),
        check("parameters", 17, sides.network.parameters),
    )
    yield sides.row("disc in a ring, accuracy", expected, floats, fixed)
    sides = surface()
    inside, inside_fixed = ((p > 0.5).mean() for p in (sides.y, sides.y_fixed))
    flips = float(((sides.y > 0.5) != (sides.y_fixed > 0.5)).mean())
    yield sides.row(
        "decision surface, share inside",
        [check("at most 0.1 % of it flips", 1, flips <= 0.001)],
        inside,
        inside_fixed,
    )
