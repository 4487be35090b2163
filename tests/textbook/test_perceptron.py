"""The perceptron's rule: one update by hand, every gate, and an end where no line separates."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.network.layers import Dense
from fxpnn.reference import forward
from fxpnn.textbook.perceptron import (
    CORNERS,
    GATES,
    LIMIT,
    composed_nand,
    fires,
    gate,
    learn,
    learn_gate,
    rows,
    update,
)
from fxpnn.training import parameters

ZERO = (Fraction(0),) * 3


def test_one_update() -> None:
    """One update of w = (1, -1, -1) by x = (1, 0, 0), y = 0, rate 0.01 gives (0.99, -1, -1)."""
    moved = update((Fraction(1), Fraction(-1), Fraction(-1)), (0, 0), 0, Fraction(1, 100))
    assert moved == (Fraction(99, 100), Fraction(-1), Fraction(-1))


def test_right_answers_move_nothing() -> None:
    """Where the answer is right, the weights stay."""
    weights = (Fraction(1), Fraction(2), Fraction(-5))
    assert update(weights, (1, 0), 1, Fraction(1)) == weights
    assert update(weights, (0, 1), 0, Fraction(1)) == weights


@pytest.mark.parametrize(
    ("name", "answers"),
    [("and", [0, 0, 0, 1]), ("or", [0, 1, 1, 1]), ("nand", [1, 1, 1, 0]), ("not", [1, 0])],
)
@pytest.mark.parametrize("rate", [Fraction(1, 100), Fraction(1)])
def test_gates_are_learned(name: str, answers: list[int], rate: Fraction) -> None:
    """Every gate is learned from any of two starts with any of two rates."""
    examples = GATES[name]
    assert [y for _, y in examples] == answers
    for start in (ZERO, (Fraction(1), Fraction(-1), Fraction(-1))):
        learned = learn(examples, start[: 1 + len(examples[0][0])], rate, limit=1000)
        assert learned.wrong == 0
        assert [fires(learned.weights, x) for x, _ in examples] == answers


def test_learned_weights_are_exact_in_any_word() -> None:
    """From zeros with rate 1 every weight is a small integer."""
    for name in ("and", "or", "nand", "not"):
        assert all(w.denominator == 1 and abs(w) < 8 for w in learn_gate(name).weights)


def test_xor_is_given_up() -> None:
    """Four corners that no line separates end after the limit, some of them wrong."""
    for limit in (1, 7, LIMIT):
        learned = learn(GATES["xor"], ZERO, Fraction(1), limit)
        assert learned.passes == limit
        assert learned.wrong > 0


@given(st.tuples(*[st.integers(-3, 3)] * 3), st.lists(st.tuples(*[st.integers(-3, 3)] * 2)))
def test_what_a_line_separates_is_learned(line: tuple[int, ...], points: list[list[int]]) -> None:
    """Examples that some line separates are learned, and then all of them are right."""
    examples = [(x, int(line[0] + line[1] * x[0] + line[2] * x[1] >= 0)) for x in points]
    learned = learn(examples, ZERO, Fraction(1), limit=5000)
    assert learned.wrong == 0
    assert all(fires(learned.weights, x) == y for x, y in examples)


def test_networks_hold_the_learned_weights() -> None:
    """The neuron's bias is the weight of the constant input; NAND is NOT after AND."""
    bias, *weights = map(float, learn_gate("and").weights)
    found = parameters(gate("and"))
    assert found["sum.weight"].tolist() == [weights]
    assert found["sum.bias"].tolist() == [bias]
    network = composed_nand()
    assert [node.op for node in network.nodes] == ["Dense", "Step", "Dense", "Step"]
    answers = forward(network, np.array(CORNERS, np.float64))["not_step"]
    assert answers.reshape(-1).tolist() == [1, 1, 1, 0]
    assert isinstance(network["and"].layer, Dense)


def test_stored_weights_of_the_update() -> None:
    """In 16 bits 0.99 is the nearest multiple of 2**-28 or 2**-14; the others are exact."""
    row = next(rows())
    assert row.floats == (0.99, -1, -1)
    assert abs(row.fixed[0] - 0.99) <= 2.0**-29
    assert row.fixed[1:] == (-1, -1)
