"""XOR in three ways: by given ReLU weights, by learned ones, and by a product feature."""

from collections.abc import Iterator

import numpy as np

from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Dense, Relu
from fxpnn.textbook.lesson import Row, both, check, formats, rounded
from fxpnn.training import Recipe, train
from fxpnn.training.losses import SQUARES

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])
HIDDEN = ((0, 0), (1, 0), (1, 0), (2, 1))
"""What the two hidden neurons of the given network make of the four inputs."""

SEED = 1
"""A start from which two hidden neurons learn XOR; from most others one of them stops firing."""


def given() -> Network:
    """Build XOR of two ReLU neurons, of weights that were thought out (9 parameters)."""
    hidden = Dense(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0.0, -1.0]))
    output = Dense(np.array([[1.0, -2.0]]), np.array([0.0]))
    return chain("xor-relu", (2,), {"hidden": hidden, "relu": Relu(), "output": output})


def learned() -> Network:
    """Learn the weights of the same network from random ones."""
    generator = np.random.default_rng(SEED)
    layers = {
        "hidden": Dense(generator.normal(size=(2, 2)), np.zeros(2)),
        "relu": Relu(),
        "output": Dense(generator.normal(size=(1, 2)), np.zeros(1)),
    }
    recipe = Recipe(epochs=400, batch=4, rate=0.1, momentum=0.9)
    start = chain("xor-learned", (2,), layers)
    return rounded(train(start, X, Y, recipe, loss=SQUARES, dtype=np.float64))


def by_product() -> Network:
    """Build XOR of one neuron that reads the inputs and their product: x + y - 2xy."""
    neuron = Dense(np.array([[1.0, 1.0, -2.0]]), np.array([0.0]))
    return chain("xor-product", (3,), {"output": neuron})


def features(x: Array) -> Array:
    """Append the product of the two inputs to ``(N, 2)``."""
    return np.column_stack([x, x.prod(axis=1)])


def rows() -> Iterator[Row]:
    """Compute XOR in the three ways, all four examples in one batch."""
    sides = both(given(), X, formats("Q7.8"))
    yield sides.row(
        "ReLU network, given weights",
        (
            check("float outputs", Y, sides.y),
            check("fixed outputs", Y, sides.y_fixed),
            check("float hidden neurons", HIDDEN, sides.floats["relu"]),
            check("fixed hidden neurons", HIDDEN, sides.fixed["relu"]),
            check("parameters", 9, sides.network.parameters),
        ),
    )
    sides = both(learned(), X)
    yield sides.row(
        "ReLU network, learned weights",
        (
            check("float outputs", Y, sides.y, digits=2),
            check("fixed outputs", Y, sides.y_fixed, digits=2),
            check("mean squared error", 0, np.square(sides.y - Y).mean(), digits=4),
        ),
    )
    sides = both(by_product(), features(X), formats("Q7.8"))
    yield sides.row(
        "one neuron, product feature",
        (check("float outputs", Y, sides.y), check("fixed outputs", Y, sides.y_fixed)),
    )
