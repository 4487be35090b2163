"""The perceptron: its learning rule in exact rationals, and the logic gates that it learns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Dense, Step
from fxpnn.textbook.lesson import Row, both, check, formats

Vector: TypeAlias = tuple[Fraction, ...]
Examples: TypeAlias = Sequence[tuple[Sequence[int], int]]
"""Inputs, without the constant 1, and the answer 0 or 1 to each."""

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
GATES: dict[str, Examples] = {
    "and": [(x, int(x[0] and x[1])) for x in CORNERS],
    "or": [(x, int(x[0] or x[1])) for x in CORNERS],
    "not": [((0,), 1), ((1,), 0)],
    "nand": [(x, int(not (x[0] and x[1]))) for x in CORNERS],
    "xor": [(x, x[0] ^ x[1]) for x in CORNERS],
}
LIMIT = 100
"""Passes over the examples before they are called not separable."""


@dataclass(frozen=True)
class Learned:
    """Weights, the bias first; how many passes it took; how many examples they still get wrong."""

    weights: Vector
    passes: int
    wrong: int


def fires(weights: Vector, x: Sequence[int]) -> int:
    """Answer 1 where ``w . (1, x)`` is not negative, else 0."""
    return int(weights[0] + sum(w * v for w, v in zip(weights[1:], x, strict=True)) >= 0)


def update(weights: Vector, x: Sequence[int], y: int, rate: Fraction) -> Vector:
    """Move the weights by ``rate * (y - answer) * (1, x)``.

    >>> w = update((Fraction(1), Fraction(-1), Fraction(-1)), (0, 0), 0, Fraction(1, 100))
    >>> [float(value) for value in w]
    [0.99, -1.0, -1.0]
    """
    error = y - fires(weights, x)
    return tuple(w + rate * error * v for w, v in zip(weights, (1, *x), strict=True))


def learn(examples: Examples, start: Vector, rate: Fraction, limit: int = LIMIT) -> Learned:
    """Update for one example after the other until a pass finds none wrong, or ``limit`` passes.

    Where a line separates the examples, Rosenblatt's rule finds one after finitely many updates;
    where none does, it would go on for ever.
    """
    weights = start
    for done in range(1, limit + 1):
        right = True
        for x, y in examples:
            right &= fires(weights, x) == y
            weights = update(weights, x, y, rate)
        if right:
            return Learned(weights, done, 0)
    return Learned(weights, limit, sum(fires(weights, x) != y for x, y in examples))


def learn_gate(name: str) -> Learned:
    """Learn a gate from zeros with rate 1: every weight is then an integer."""
    examples = GATES[name]
    return learn(examples, (Fraction(0),) * (1 + len(examples[0][0])), Fraction(1))


def gate(name: str) -> Network:
    """Build the neuron that learned a gate: a weighted sum and a step."""
    weights = learn_gate(name).weights
    return chain(name, (len(weights) - 1,), {"sum": neuron(weights), "step": Step()})


def composed_nand() -> Network:
    """Build NAND as NOT of AND: two neurons in a row, each with the weights it learned."""
    first, second = learn_gate("and").weights, learn_gate("not").weights
    layers = {"and": neuron(first), "and_step": Step(), "not": neuron(second), "not_step": Step()}
    return chain("nand-of-gates", (2,), layers)


def neuron(weights: Vector) -> Dense:
    """Make a weighted sum of rational weights, the bias first."""
    bias, *others = map(float, weights)
    return Dense(np.array([others]), np.array([bias]))


def rows() -> Iterator[Row]:
    """Update once, learn every gate, compose NAND, and stop where no line separates."""
    yield _update_row()
    yield _gate_row("NOT", gate("not"), "not")
    for name in ("and", "or", "nand"):
        yield _gate_row(name.upper(), gate(name), name)
    yield _gate_row("NAND from AND and NOT", composed_nand(), "nand")
    yield _xor_row()


def _update_row() -> Row:
    moved = update((Fraction(1), Fraction(-1), Fraction(-1)), (0, 0), 0, Fraction(1, 100))
    weights = [float(w) for w in moved]
    sides = both(chain("updated", (2,), {"sum": neuron(moved)}), CORNERS, formats("Q1.14"))
    inputs, bias = sides.stored("sum")
    expected = check("weights after one update, rate 0.01", (0.99, -1, -1), weights)
    return sides.row("weights after one update", [expected], weights, np.append(bias, inputs))


def _gate_row(lesson: str, network: Network, name: str) -> Row:
    x, y = zip(*GATES[name], strict=True)
    sides = both(network, x, formats("Q7.8"))
    expected = (check("float answers", y, sides.y), check("fixed answers", y, sides.y_fixed))
    return sides.row(lesson, expected)


def _xor_row() -> Row:
    learned, (x, _) = learn_gate("xor"), zip(*GATES["xor"], strict=True)
    layers = {"sum": neuron(learned.weights), "step": Step()}
    sides = both(chain("xor-perceptron", (2,), layers), x, formats("Q7.8"))
    expected = (
        check("passes until it gives up", LIMIT, learned.passes),
        check("examples are still wrong", 1, learned.wrong > 0),
        check("fixed answers are the float ones", sides.y, sides.y_fixed),
    )
    return sides.row("XOR is not separable", expected)
