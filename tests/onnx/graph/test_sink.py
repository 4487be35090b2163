"""Transposes sink behind operators of single values, and cancel."""

import numpy as np
import pytest

from fxpnn.onnx import from_model
from fxpnn.onnx.graph.rewrite import rewrite
from fxpnn.onnx.graph.sink import sink
from fxpnn.onnx.read import model
from tests.support.onnx_models import MAPS, Form, check, floats, form, op

LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
CUBE = (
    op("Transpose", "c", "t", perm=LAST),
    op("Pow", "t three", "p"),
    op("Mul", "p small", "m"),
    op("Transpose", "m", "u", perm=FIRST),
)
NUMBERS = {
    "three": 3.0,
    "small": 0.044715,
    "root": 0.7978845608,
    "one": 1.0,
    "half": 0.5,
    "k": floats(4, 2, 3, 3),
}

FORMS = {
    "a tanh-GELU with its power turned": form(
        "Conv2D GeluTanh",
        op("Conv", "x k", "c"),
        *CUBE,
        op("Add", "c u", "a"),
        op("Mul", "a root", "r"),
        op("Tanh", "r", "h"),
        op("Add", "one h", "g"),
        op("Mul", "half c", "d"),
        op("Mul", "d g", "y"),
        weights=NUMBERS,
        shape=MAPS,
    ),
    "a bias of the last axis": form(
        "Conv2D Relu",
        op("Conv", "x k", "c"),
        op("Transpose", "c", "t", perm=LAST),
        op("Add", "t b", "a"),
        op("Transpose", "a", "u", perm=FIRST),
        op("Relu", "u", "y"),
        weights={**NUMBERS, "b": floats(4)},
        shape=MAPS,
    ),
    "two that are turned alike": form(
        "Conv2D Relu Add Flatten",
        op("Conv", "x k", "c"),
        op("Transpose", "c", "t", perm=LAST),
        op("Relu", "c", "r"),
        op("Transpose", "r", "u", perm=LAST),
        op("Add", "t u", "a"),
        op("Transpose", "a", "z", perm=FIRST),
        op("Flatten", "z", "y"),
        weights=NUMBERS,
        shape=MAPS,
    ),
    "an output that nothing turns": form(
        "Relu",
        op("Transpose", "x", "t", perm=LAST),
        op("Relu", "t", "r"),
        op("Transpose", "r", "y", perm=FIRST),
        shape=MAPS,
    ),
    "one that stays where it is": form(
        "Transpose Relu Flatten",
        op("Transpose", "x", "t", perm=LAST),
        op("Relu", "t", "r"),
        op("Flatten", "r", "y"),
        shape=MAPS,
    ),
    "two that are turned otherwise": form(
        "Relu Transpose Add",
        op("Transpose", "x", "t", perm=[0, 2, 1]),
        op("Relu", "t", "r"),
        op("Transpose", "r", "u", perm=[0, 2, 1]),
        op("Transpose", "u", "v", perm=[0, 2, 1]),
        op("Add", "x v", "y"),
        shape=("N", 3, 3),
    ),
}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Transposes sink in every graph, not only where an operator is left that is not read."""
    monkeypatch.setattr(model, "rewrite", lambda graph: rewrite(sink(graph)))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_what_is_turned_there_and_back_is_not_turned(case: Form) -> None:
    """The layers between are those of maps as they lie; ONNX Runtime computes the same."""
    check(case)


def test_transposes_sink_where_they_divide_a_pattern() -> None:
    """Else layers are those that the model names, in its order."""
    check(FORMS["a tanh-GELU with its power turned"])
    network = from_model(FORMS["an output that nothing turns"].model)
    assert [node.op for node in network.nodes] == ["Transpose", "Relu", "Transpose"]


@pytest.mark.usefixtures("always")
def test_layers_keep_their_names() -> None:
    """An operator that a Transpose passes is still called by its own name."""
    case = form(
        "Conv2D Relu",
        op("Conv", "x k", "c", name="conv"),
        op("Transpose", "c", "t", perm=LAST, name="there"),
        op("Relu", "t", "r", name="relu"),
        op("Transpose", "r", "y", perm=FIRST, name="back"),
        weights={"k": np.ones((4, 2, 3, 3), np.float32)},
        shape=MAPS,
    )
    assert [node.name for node in from_model(case.model).nodes] == ["conv", "relu"]
