"""Forward passes worked by hand: two sigmoid networks, a softmax, a graph."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from fxpnn.network.graph import INPUT, Network, chain
from fxpnn.network.layers import Array, Dense, Layer, Sigmoid, Softmax
from fxpnn.textbook.lesson import Row, both, check, formats
from fxpnn.textbook.trace import Example, step
from fxpnn.training import backpropagate, parameters

X = np.array([1.0, -2.0])
"""An input that keeps the sums of these large weights where a sigmoid still has a slope."""

LOGITS = (2, 1, -1)
GRAPH_AT = (-2.0, 5.0, -4.0)


def sigmoids(name: str, *weights: Sequence[Sequence[float]]) -> Network:
    """Build layers of sigmoid neurons without biases: z1, a1, z2, a2, ..."""
    layers: dict[str, Layer] = {}
    for i, rows in enumerate(weights, 1):
        layers[f"z{i}"] = Dense(np.array(rows, np.float64), np.zeros(len(rows)))
        layers[f"a{i}"] = Sigmoid()
    return chain(name, (len(weights[0][0]),), layers)


def two_three_one() -> Network:
    """Build the network of 2 inputs, 3 hidden neurons and 1 output."""
    return sigmoids("2-3-1", [[1, 2], [3, 4], [5, 6]], [[7, 8, 9]])


def two_four_one_two() -> Network:
    """Build the network of 2 inputs, layers of 4 and 1, and 2 outputs."""
    return sigmoids("2-4-1-2", [[1, 2], [3, 4], [5, 6], [7, 8]], [[9, 10, 11, 12]], [[13], [14]])


def softmax() -> Network:
    """Build nothing but a softmax of three classes."""
    return chain("softmax", (len(LOGITS),), {"p": Softmax()})


def graph(z: float = GRAPH_AT[2]) -> Network:
    """Build f = (x + y) z as a network: inputs x and y, and z a weight, so that it has a slope."""
    add = Dense(np.ones((1, 2)), np.zeros(1))
    return chain("graph", (2,), {"q": add, "f": Dense(np.array([[z]]), np.zeros(1))})


def example(network: Network, y: Sequence[float]) -> Example:
    """Make a network of ``sigmoids`` an example: all weights learn, biases stay 0."""
    sums = [node.name for node in network.nodes if isinstance(node.layer, Dense)]
    fine = {node.name: "Q0.15" for node in network.nodes if isinstance(node.layer, Sigmoid)}
    learns = tuple(f"{name}.weight" for name in sums)
    return Example(network, X, np.array(y), learns, formats("Q4.11", **fine))


EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {
        "2-3-1": example(two_three_one(), [1.0]),
        "2-4-1-2": example(two_four_one_two(), [1.0, 0.0]),
    }
)
"""The examples that a step can be traced on, by the network's name."""


def rows() -> Iterator[Row]:
    """Run the passes; every number of a step is in ``trace.step`` and printed by the trainer."""
    yield _two_three_one()
    yield _two_four_one_two()
    yield _softmax()
    yield _graph()


def _two_three_one() -> Row:
    done = step(EXAMPLES["2-3-1"])
    values, deltas = done.sides.floats, done.gradients.deltas
    expected = (
        check("z1", (-3, -5, -7), values["z1"]),
        check("z1 in fixed point", (-3, -5, -7), done.sides.fixed["z1"]),
        check("a1", (0.0474, 0.0067, 0.0009), values["a1"], digits=4),
        check("z2", 0.3937, values["z2"], digits=4),
        check("a2", 0.5972, values["a2"], digits=4),
        check("cost", 0.0811, done.cost, digits=4),
        check("delta 2", -0.0969, deltas["z2"], digits=4),
        check("delta 1", (-0.0306, -0.0052, -0.0008), deltas["z1"], digits=4),
        check("new w2", (7.000046, 8.000006, 9.000001), _weight(done.after, "z2"), digits=6),
    )
    return done.sides.row("2-3-1, one step", expected)


def _two_four_one_two() -> Row:
    done = step(EXAMPLES["2-4-1-2"])
    values, deltas = done.sides.floats, done.gradients.deltas
    expected = (
        check("z1", (-3, -5, -7, -9), values["z1"]),
        check("z1 in fixed point", (-3, -5, -7, -9), done.sides.fixed["z1"]),
        check("z2", 0.5053, values["z2"], digits=4),
        check("a2", 0.6237, values["a2"], digits=4),
        check("z3", (8.1080, 8.7317), values["z3"], digits=4),
        check("a3", (0.9997, 0.9998), values["a3"], digits=4),
        check("cost", 0.4998, done.cost, digits=4),
        check("delta 3", (-9.06e-8, 1.61304e-4), deltas["z3"], digits=9),
        check("delta 2", 5.297e-4, deltas["z2"], digits=7),
        check("new w3", (13.000000, 13.999999), _weight(done.after, "z3"), digits=6),
    )
    return done.sides.row("2-4-1-2, one step", expected)


def _softmax() -> Row:
    sides = both(softmax(), [LOGITS], formats("Q3.12"))
    powers = np.exp(LOGITS)
    expected = (
        check("powers of e", (7.39, 2.72, 0.37), powers, digits=2),
        check("their sum", 10.48, powers.sum(), digits=2),
        check("shares", (0.71, 0.26, 0.04), sides.y, digits=2),
        check("shares in fixed point", (0.71, 0.26, 0.04), sides.y_fixed, digits=2),
    )
    return sides.row("softmax of (2, 1, -1)", expected)


def _graph() -> Row:
    """Show f and its three slopes; in fixed point each slope is the change of f for a step of 1."""
    x, y, z = GRAPH_AT
    sides = both(graph(), [(x, y), (x + 1, y), (x, y + 1)], formats("Q7.8"))
    moved = both(graph(z + 1), [(x, y)], formats("Q7.8"))
    found = backpropagate(graph(), _first(sides.floats), {"f": np.ones((1, 1))}, to_input=True)
    slopes = np.append(found.deltas[INPUT], found.parameters["f.weight"])
    changes, fixed_changes = (
        np.append(f[1:], g) - f[0] for f, g in ((sides.y, moved.y), (sides.y_fixed, moved.y_fixed))
    )
    expected = (
        check("f(-2, 5, -4)", -12, sides.y[0]),
        check("slopes by x, y, z", (-4, -4, 3), slopes),
        check("changes for steps of 1 are the slopes", slopes, changes),
        check("changes in fixed point", slopes, fixed_changes),
    )
    floats, fixed = np.append(sides.y[0], slopes), np.append(sides.y_fixed[0], fixed_changes)
    return sides.row("f = (x + y) z and its slopes", expected, floats, fixed)


def _first(values: Mapping[str, Array]) -> dict[str, Array]:
    return {name: batch[:1] for name, batch in values.items()}


def _weight(network: Network, name: str) -> Array:
    return parameters(network)[f"{name}.weight"]
