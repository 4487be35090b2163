"""XOR in three ways, exact in floats and in 16 bits."""

import numpy as np
import pytest

from fxpnn.network.graph import Network
from fxpnn.reference import forward
from fxpnn.textbook import xor
from fxpnn.textbook.lesson import both, formats
from tests.support.cli_runner import fxp


def test_given_weights() -> None:
    """The hidden rows and the outputs are those of the lecture, exactly, on both sides."""
    sides = both(xor.given(), xor.X, formats("Q7.8"))
    for values in (sides.floats, sides.fixed):
        assert values["relu"].tolist() == [[0, 0], [1, 0], [1, 0], [2, 1]]
        assert values["output"].tolist() == [[0], [1], [1], [0]]
    assert sides.raw["output"].tolist() == [[0], [256], [256], [0]]
    assert (sides.saturations, sides.disagreements, sides.lsb) == (0, 0, 0)


def test_inspect_counts_nine_parameters() -> None:
    """The command line counts 4 weights and 2 biases, then 2 weights and 1 bias."""
    done = fxp("inspect", "models/textbook/xor-relu.onnx", "--json")
    assert done.status == 0
    assert done.json["totals"]["parameters"] == 9
    assert [layer["parameters"] for layer in done.json["layers"]] == [6, 0, 3]


@pytest.mark.parametrize("network", [xor.learned(), xor.given()], ids=["learned", "given"])
def test_answers_on_both_sides_of_a_half(network: Network) -> None:
    """Learned or given, the network tells the four examples apart, and not by a hair."""
    y = forward(network, xor.X, np.float64)["output"]
    assert np.abs(y - xor.Y).max() < 0.001


def test_learning_is_repeatable() -> None:
    """The same seed learns the same network."""
    first, second = (forward(xor.learned(), xor.X, np.float64)["output"] for _ in range(2))
    assert first.tolist() == second.tolist()


def test_product_feature() -> None:
    """One neuron computes x + y - 2xy, which is XOR of zeros and ones."""
    assert xor.features(xor.X).tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]]
    sides = both(xor.by_product(), xor.features(xor.X), formats("Q7.8"))
    assert sides.y.tolist() == sides.y_fixed.tolist() == xor.Y.tolist()
