"""Comparisons, and what chooses between tensors: Max, Min, Where and truth values."""

import numpy as np
import onnx
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import to_float
from fxpnn.onnx import from_model
from fxpnn.quantization.quantizer import quantize
from tests.support.onnx_models import FLOAT, MAPS, Form, check, floats, form, model, op, refuse

TABLES = {"w": floats(4, 4), "v": floats(4, 3)}
DENSE = (op("MatMul", "x w", "a"), op("MatMul", "x w", "b"))

FORMS = {
    "max with 0": form("Relu", op("Max", "x zero", "y"), weights={"zero": 0.0}),
    "max with a number first": form("Clip", op("Max", "low x", "y"), weights={"low": -0.5}),
    "max with several": form(
        "Clip", op("Max", "a x b", "y"), weights={"a": -0.5, "b": np.full((1, 4), 0.25, np.float32)}
    ),
    "max of one": form("Relu", op("Max", "x", "m"), op("Relu", "m", "y")),
    "min with a number": form("Clip", op("Min", "x high", "y"), weights={"high": 0.5}),
    "relu6 by min and max": form(
        "Relu Clip",
        op("Max", "x zero", "m"),
        op("Min", "m six", "y"),
        weights={"zero": 0.0, "six": 6.0},
        shape=MAPS,
    ),
    "max of two tensors": form(
        "Relu Reshape Reshape Concat MaxPool2D Reshape", op("Relu", "x", "r"), op("Max", "x r", "y")
    ),
    "max of two maps": form(
        "Abs Reshape Reshape Concat MaxPool2D Reshape",
        op("Abs", "x", "r"),
        op("Max", "r x", "y"),
        shape=MAPS,
    ),
    "max of two tensors and a number": form(
        "Abs Reshape Reshape Concat MaxPool2D Reshape Clip",
        op("Abs", "x", "r"),
        op("Max", "r half x", "y"),
        weights={"half": 0.5},
    ),
    "max of maps and their mean": form(
        "AvgPool2D Take Take Reshape Reshape Concat MaxPool2D Reshape",
        op("GlobalAveragePool", "x", "m"),
        op("Max", "x m", "y"),
        shape=MAPS,
    ),
    "min of two tensors": form(  # both signs are turned in the weights
        "Dense Dense Reshape Reshape Concat MaxPool2D Reshape Dense",
        op("MatMul", "x w", "a"),
        op("MatMul", "x v", "b"),
        op("Min", "a b", "m"),
        op("MatMul", "m v", "y"),
        weights={"w": floats(4, 4), "v": floats(4, 4) / 2},
    ),
    "least along an axis": form(
        "Conv2D MaxPool2D Reshape Reshape Conv2D Reshape",
        op("ReduceMin", "x", "y", axes=[2, 3], keepdims=0),
        shape=MAPS,
    ),
    "step": form(
        "Step",
        op("GreaterOrEqual", "x t", "a"),
        op("Cast", "a", "y", to=FLOAT),
        weights={"t": 0.25},
    ),
    "what is above a number": form(
        "Reshape Conv2D Reshape Step Reshape Conv2D Reshape",
        op("Greater", "x t", "a"),
        op("Cast", "a", "y", to=FLOAT),
        weights={"t": 0.0},
    ),
    "what is below a number": form(
        "Step Dense",
        op("Less", "x t", "a"),
        op("Cast", "a", "f", to=FLOAT),
        op("MatMul", "f w", "y"),
        weights={"t": 0.25, **TABLES},
    ),
    "a number that is not below": form(
        "Step Dense",
        op("LessOrEqual", "t x", "a"),
        op("Cast", "a", "f", to=FLOAT),
        op("MatMul", "f w", "y"),
        weights={"t": 0.25, **TABLES},
    ),
    "a number for each feature": form(
        "Dense Step",
        op("MatMul", "x w", "d"),
        op("GreaterOrEqual", "d t", "a"),
        op("Cast", "a", "y", to=FLOAT),
        weights={"t": floats(4), **TABLES},
    ),
    "one tensor against another": form(
        "Relu Reshape Conv2D Reshape Add Step",
        op("Relu", "x", "r"),
        op("GreaterOrEqual", "x r", "a"),
        op("Cast", "a", "y", to=FLOAT),
    ),
    "truth values": form(
        "Step Step Mul Reshape Reshape Concat MaxPool2D Reshape Dense",
        op("GreaterOrEqual", "x t", "a"),
        op("GreaterOrEqual", "x h", "b"),
        op("And", "a b", "c"),
        op("Or", "a c", "d"),
        op("Not", "d", "e"),
        op("Cast", "e", "f", to=FLOAT),
        op("MatMul", "f w", "y"),
        weights={"t": 0.25, "h": 0.5, **TABLES},
    ),
    "a leaky relu by its sign": form(
        "Reshape Conv2D Reshape Step Reshape Conv2D Reshape Mul Reshape Conv2D Reshape Mul Add",
        op("Greater", "x zero", "c"),
        op("Mul", "x slope", "s"),
        op("Where", "c x s", "y"),
        weights={"zero": 0.0, "slope": 0.25},
    ),
    "a number where a tensor is small": form(
        "Step Mul Reshape Conv2D Reshape Add",
        op("GreaterOrEqual", "x t", "c"),
        op("Where", "c x low", "y"),
        weights={"t": 0.25, "low": -1.0},
    ),
    "zero where a tensor is small": form(
        "Step Mul",
        op("GreaterOrEqual", "x t", "c"),
        op("Where", "c x low", "y"),
        weights={"t": 0.25, "low": 0.0},
    ),
    "numbers by the sign": form(
        "Step Dense",
        op("GreaterOrEqual", "x t", "c"),
        op("Where", "c one two", "f"),
        op("MatMul", "f w", "y"),
        weights={"t": 0.25, "one": 1.0, "two": -2.0, **TABLES},
    ),
    "a mask that is known": form(
        "Dense Dense",
        op("MatMul", "x w", "a"),
        op("Where", "mask a low", "f"),
        op("MatMul", "f v", "y"),
        weights={"mask": np.array([True, False, True, True]), "low": -3.0, **TABLES},
    ),
    "two tensors and a mask that is known": form(
        "Dense Dense Add",
        op("MatMul", "x w", "a"),
        op("MatMul", "x u", "b"),
        op("Where", "mask a b", "y"),
        weights={"mask": np.array([[True, False, True, True]]), "u": floats(4, 4) / 2, **TABLES},
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_choices_are_layers(case: Form) -> None:
    """ONNX Runtime computes the same of each."""
    check(case)


def test_what_is_above_a_word_is_found_to_the_word() -> None:
    """Of words, ``x > t`` is true of the first above t, and false of t itself."""
    case = FORMS["what is above a number"].model
    words = np.array([[0, 1, -1, 2]]) / 2**10
    network = from_model(case)
    fixed = quantize(network, np.concatenate([words, words + 1]))
    run = infer(fixed, words)
    assert to_float(run.raw, fixed.formats[fixed.outputs[0]]).tolist() == [[0, 1, 0, 1]]


REFUSED = {
    "min with a number for each element": (
        model(op("Min", "x c", "y"), weights={"c": floats(4)}),
        "Min (node y, opset 17): its constant must be one number for all elements",
    ),
    "max with a constant of another size": (
        model(op("Max", "x c", "y"), weights={"c": floats(3)}),
        "Max (node y, opset 17): its constant must fit one image's (4,), not be (3,)",
    ),
    "tensors of other sizes": (
        model(op("MatMul", "x v", "a"), op("Max", "x a", "y"), weights=TABLES),
        "Max (node y, opset 17): must read tensors of one shape, or 1 along axes, "
        "not (N, 4) and (N, 3)",
    ),
    "a mask of infinity": (
        model(
            op("Where", "mask x low", "y"),
            weights={"mask": np.array([True, False, True, True]), "low": -np.inf},
        ),
        "output y: its mask of -inf must be read by a Softmax alone",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_chosen_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """What cannot be a choice names its operator, node and opset."""
    refuse(refused, message)
