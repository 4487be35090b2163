"""Networks of several inputs: the engine agrees with the golden model, and refuses what is odd."""

import re

import numpy as np
import pytest
from hypothesis import given

from fxpnn import golden
from fxpnn.engine.inference import Engine, infer
from fxpnn.errors import DataError
from fxpnn.fixedpoint.casting import from_float
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.fxp import dumps, loads
from fxpnn.network.graph import Scaling
from fxpnn.network.inputs import FixedInput, entrance, split
from fxpnn.network.layers import Array
from tests.support.agreement import agree, agree_in_dirty_memory
from tests.support.fxp_sample import plain
from tests.support.strategies import NetworkCase
from tests.support.strategies.inputs import of_several_inputs

A, B = QFormat(16, 12), QFormat(8, 3)
INPUTS = (FixedInput("a", (2,), A), FixedInput("b", (1, 2), B))


def joined(scaling: Scaling | None = None) -> FixedNetwork:
    """Build the sum of two inputs of other shapes and formats."""
    nodes = (
        FixedNode("flat", layers.Flatten(), ("b",), B),
        FixedNode("sum", layers.Add(), ("a", "flat"), QFormat(16, 10)),
    )
    return FixedNetwork(
        name="joined", **entrance(INPUTS), nodes=nodes, scaling=scaling or Scaling()
    )


X = {"a": np.array([[1.0, -2.0], [0.25, 9.0]]), "b": np.array([[[3.0, 20.0]], [[0.5, -1.0]]])}


@given(case=of_several_inputs())
def test_engine_agrees_with_the_golden_model(case: NetworkCase) -> None:
    """Every word and count of every layer is that of Python's integers."""
    agree(case)


@given(case=of_several_inputs())
def test_memory_that_held_other_words_changes_nothing(case: NetworkCase) -> None:
    """Each input lies where nothing else is written before it is read."""
    agree_in_dirty_memory(case, 12345)


@given(case=of_several_inputs())
def test_a_file_gives_the_same_network(case: NetworkCase) -> None:
    """All inputs, their names, shapes and formats survive the file, to the byte."""
    content = dumps(case.fixed)
    again = loads(content)
    assert plain(again) == plain(case.fixed)
    assert again.inputs == case.fixed.inputs
    assert dumps(again) == content


@given(case=of_several_inputs())
def test_arrays_by_name_are_the_rows(case: NetworkCase) -> None:
    """Arrays by name, in any order, give what the rows of all give."""
    raw = case.raw.astype(np.int16)
    parts = split(case.fixed.inputs, raw)
    named = dict(reversed(parts.items()))
    assert infer(case.fixed, named).raw.tolist() == infer(case.fixed, raw).raw.tolist()
    assert golden.run(case.fixed, named).counts == golden.run(case.fixed, case.raw).counts


def test_each_input_is_cast_to_its_own_format() -> None:
    """Floats become words of the input's format, and each input counts its own saturations."""
    fixed = joined()
    run = infer(fixed, X, keep=fixed.shapes)
    for it in INPUTS:
        assert run.tensors[it.name].tolist() == from_float(X[it.name], it.format).tolist()
    assert run.layers["a"] == Counts(saturations=1)  # 9 is beyond Q3.12
    assert run.layers["b"] == Counts(saturations=1)  # 20 is beyond Q4.3
    sums = golden.run(fixed, {n: run.tensors[n] for n in "ab"}).raw["sum"]
    assert run.raw.tolist() == sums.tolist()
    assert Engine(fixed)(X).tolist() == sums.tolist()


def test_pixels_beside_floats_are_scaled() -> None:
    """uint8 becomes numbers as the network says, whether or not the other input has floats."""
    pixels = np.array([[[0, 255]], [[7, 128]]], np.uint8)
    fixed = joined(Scaling(1 / 16, (0.5,)))
    floats = infer(fixed, {"a": X["a"], "b": pixels / 16 - 0.5})
    assert infer(fixed, {"a": X["a"], "b": pixels}).raw.tolist() == floats.raw.tolist()
    both = {"a": pixels[:, 0], "b": pixels}
    numbers = {"a": pixels[:, 0] / 16 - 0.5, "b": pixels / 16 - 0.5}
    assert infer(fixed, both).raw.tolist() == infer(fixed, numbers).raw.tolist()


WORDS = np.zeros((2, 2), np.int16)
MAPS = np.zeros((2, 1, 2))


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ({"a": X["a"]}, "images must be arrays named a, b; they lack b"),
        ({**X, "y": MAPS}, "images must be arrays named a, b; they hold y"),
        ({"a": MAPS, "b": MAPS}, "a must be (N, 2), not (2, 1, 2)"),
        ({"a": X["a"][:1], "b": MAPS}, "inputs must hold equally many images, not 1 in a, 2 in b"),
        ({"a": [[1, 2]], "b": MAPS}, "a must be a NumPy array, not a list"),
        (
            {"a": WORDS, "b": MAPS},
            "inputs must all be floats (or pixels), or all raw words, not int16 in a, float64 in b",
        ),
        (
            {"a": WORDS, "b": np.full((2, 1, 2), 200, np.int16)},
            "raw words of b must fit Q4.3, not reach 200..200",
        ),
        (
            X["a"],
            "images must be (N, 4) with N of 1 or more, not (2, 2): rows of all inputs, or arrays "
            "by name, a (N, 2), b (N, 1, 2)",
        ),
        ({"a": X["a"], "b": np.full((2, 1, 2), np.nan)}, "b[0, 0, 0] must be a number, not NaN"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(x: Array, told: str) -> None:
    """Each message names the input and what is wanted of it."""
    with pytest.raises(DataError, match=f"^{re.escape(told)}$"):
        infer(joined(), x)


def test_golden_model_refuses_words_of_no_format() -> None:
    """It names the input whose words they are."""
    told = re.escape("images of b must fit Q4.3, not reach 0..200")
    with pytest.raises(DataError, match=f"^{told}$"):
        golden.run(joined(), {"a": WORDS, "b": np.array([[[0, 200]], [[1, 2]]])})
