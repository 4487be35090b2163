"""Gradient descent: all examples, some or one at a time, and steps that are too large."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fxpnn.network.graph import Network, Node, chain
from fxpnn.network.layers import Dense, Layer
from fxpnn.textbook import xor
from fxpnn.textbook.lesson import Row, Sides, both, check, formats, rounded
from fxpnn.training import Recipe, Step, descend, parameters
from fxpnn.training.losses import SQUARES

LINE_X = np.array([[-1.5], [-0.5], [0.5], [1.5]])
LINE_Y = 2 * LINE_X + 1
BATCHES = {"batch of all 4": 4, "mini-batches of 2": 2, "single samples": 1}

CURVATURES = (1.0, 6.0)
STEPS = 8


def line() -> Network:
    """Build one linear neuron that knows nothing yet."""
    return chain("line", (1,), {"line": Dense(np.zeros((1, 1)), np.zeros(1))})


def learn_line(batch: int, epochs: int = 100) -> Iterator[Step]:
    """Learn y = 2x + 1 from four points, ``batch`` of them in each step."""
    recipe = Recipe(epochs=epochs, batch=batch, rate=0.25)
    return descend(line(), LINE_X, LINE_Y, recipe, loss=SQUARES, dtype=np.float64)


def learned_line() -> Network:
    """Build the neuron that 100 steps with all four points learn."""
    *_, last = learn_line(len(LINE_X))
    return rounded(last.network)


def augmented_xor() -> Network:
    """Build the learned XOR network without biases."""
    return without_biases(xor.learned())


def without_biases(network: Network) -> Network:
    """Make each bias the weight of a constant 1, which is the first input and passed on as it is.

    The network is a chain of dense and ReLU layers; ReLU of 1 is 1.
    """
    nodes = [replace(node, layer=_augmented(node)) for node in network.nodes]
    last = nodes[-1]
    assert isinstance(last.layer, Dense)
    answer = Dense(last.layer.weight[1:], last.layer.bias[1:])  # nothing reads its constant
    size = network.input_shape[0] + 1
    return Network(f"{network.name}-augmented", (size,), (*nodes[:-1], replace(last, layer=answer)))


def _augmented(node: Node) -> Layer:
    layer = node.layer
    if not isinstance(layer, Dense):
        return layer
    out, inputs = layer.weight.shape
    weight = np.zeros((1 + out, 1 + inputs))
    weight[0, 0] = 1
    weight[1:, 0], weight[1:, 1:] = layer.bias, layer.weight
    return Dense(weight, np.zeros(1 + out))


def quadratic_descent(rate: float) -> Network:
    """Unroll steepest descent on ``(u**2 + 6 v**2) / 2``: each step is one layer.

    The gradient is ``(u, 6 v)``, so a step multiplies u by ``1 - rate`` and v by ``1 - 6 rate``.
    """
    step = Dense(np.diag([1 - rate * c for c in CURVATURES]), np.zeros(2))
    return chain(f"descent-{rate:g}", (2,), {f"step{n}": step for n in range(1, STEPS + 1)})


def quadratic(rate: float) -> Sides:
    """Descend from (1, 1) on both sides, the fixed one in Q7.8."""
    return both(quadratic_descent(rate), [(1, 1)], formats("Q7.8"))


def rows() -> Iterator[Row]:
    """Learn a line in batches of three sizes, drop the biases, descend with two rates."""
    for name, batch in BATCHES.items():
        yield _line(f"a line, {name}", batch)
    yield _bias_as_weight()
    yield _quadratic("rate 0.125 converges", 0.125, (0.875**STEPS, 0.25**STEPS), 0)
    yield _quadratic("rate 0.5 overshoots", 0.5, (0.5**STEPS, (-2.0) ** STEPS), 1)


def _line(name: str, batch: int) -> Row:
    *_, last = learn_line(batch)
    first = next(learn_line(batch))
    sides = both(last.network, LINE_X, formats("Q3.12"))
    learned = np.concatenate([value.reshape(-1) for value in parameters(last.network).values()])
    expected = [
        check("steps in an epoch", len(LINE_X) // batch, last.total // last.epoch),
        check("slope and offset", (2, 1), learned, digits=6),
    ]
    if batch == len(LINE_X):  # rate * mean(x y), rate * mean(y)
        moved = [value.item() for value in parameters(first.network).values()]
        expected.append(check("after the first step", (0.625, 0.25), moved))
    return sides.row(name, expected, learned, np.append(*sides.stored("line")))


def _bias_as_weight() -> Row:
    network, plan = xor.learned(), formats("Q3.12")
    sides = both(network, xor.X, plan)
    ones = np.column_stack([np.ones(len(xor.X)), xor.X])
    augmented = both(without_biases(network), ones, plan)
    expected = (
        check("raw outputs are the same", sides.raw["output"], augmented.raw["output"]),
        check("raw hidden sums too", sides.raw["hidden"], augmented.raw["hidden"][:, 1:]),
    )
    return augmented.row("a bias is the weight of a 1", expected)


def _quadratic(name: str, rate: float, ends: tuple[float, float], saturations: int) -> Row:
    sides = quadratic(rate)
    expected = (
        check(f"u and v after {STEPS} steps from (1, 1)", ends, sides.y),
        check("saturations", saturations, sides.saturations),
    )
    return sides.row(f"quadratic, {name}", expected)
