"""Activations and softmax as the opsets write them."""

import numpy as np
import onnx
import pytest

from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

FORMS = {
    "silu": form("Silu", op("Sigmoid", "x", "a"), op("Mul", "a x", "y"), shape=MAPS),
    "silu and its gate": form(
        "Sigmoid Silu Add",
        op("Sigmoid", "x", "a"),
        op("Mul", "x a", "b"),
        op("Add", "a b", "y"),
        shape=MAPS,
    ),
    "elu": form("Elu", op("Elu", "x", "y"), shape=MAPS),
    "elu of another slope": form(
        "Relu Clip Elu Conv2D Add", op("Elu", "x", "y", alpha=0.5), shape=MAPS
    ),
    "selu": form("Selu", op("Selu", "x", "y"), shape=MAPS),
    "selu of other numbers": form(
        "Relu Conv2D Clip Elu Conv2D Add", op("Selu", "x", "y", alpha=1.5, gamma=2.0), shape=MAPS
    ),
    "hard tanh": form("Clip", op("Clip", "x l h", "y"), weights={"l": -1.0, "h": 1.0}, shape=MAPS),
    "softsign": form("Softsign", op("Softsign", "x", "y"), shape=MAPS),
    "softsign written out": form(
        "Softsign",
        op("Abs", "x", "a"),
        op("Add", "one a", "b"),
        op("Div", "x b", "y"),
        weights={"one": 1.0},
        shape=MAPS,
    ),
    "sigmoid written out": form(
        "Sigmoid",
        op("Neg", "x", "a"),
        op("Exp", "a", "b"),
        op("Add", "b one", "c"),
        op("Reciprocal", "c", "y"),
        weights={"one": 1.0},
        shape=MAPS,
    ),
    "sigmoid as a quotient": form(
        "Sigmoid",
        op("Mul", "minus x", "a"),
        op("Exp", "a", "b"),
        op("Add", "one b", "c"),
        op("Div", "one c", "y"),
        weights={"one": 1.0, "minus": -1.0},
        shape=MAPS,
    ),
    "gelu": form("Gelu", op("Gelu", "x", "y"), shape=MAPS, opset=20),
    "gelu by tanh": form(
        "GeluTanh", op("Gelu", "x", "y", approximate="tanh"), shape=MAPS, opset=20
    ),
    "gelu of pytorch": form(
        "Gelu",
        op("Div", "x root", "a"),
        op("Erf", "a", "b"),
        op("Add", "b one", "c"),
        op("Mul", "x c", "d"),
        op("Mul", "d half", "y"),
        weights={"root": 2**0.5, "one": 1.0, "half": 0.5},
        shape=MAPS,
    ),
    "gelu of keras": form(
        "Gelu",
        op("Mul", "x root", "a"),
        op("Erf", "a", "b"),
        op("Add", "one b", "c"),
        op("Mul", "half x", "d"),
        op("Mul", "c d", "y"),
        weights={"root": 0.5**0.5, "one": 1.0, "half": 0.5},
        shape=MAPS,
    ),
    "gelu whose gate has halves": form(
        "Relu Gelu",
        op("Relu", "x", "r"),
        op("Div", "r root", "a"),
        op("Erf", "a", "b"),
        op("Mul", "b half", "c"),
        op("Add", "c half", "d"),
        op("Mul", "d r", "y"),
        weights={"root": 2**0.5, "half": 0.5},
        shape=MAPS,
    ),
    "gelu of a product": form(
        "Tanh Mul Gelu",
        op("Tanh", "x", "s"),
        op("Mul", "s x", "sx"),
        op("Mul", "sx root", "a"),
        op("Erf", "a", "b"),
        op("Add", "b one", "c"),
        op("Mul", "c half", "d"),
        op("Mul", "d sx", "y"),
        weights={"root": 0.5**0.5, "one": 1.0, "half": 0.5},
        shape=MAPS,
    ),
    "gelu of gpt": form(
        "GeluTanh",
        op("Pow", "x three", "a"),
        op("Mul", "a cubic", "b"),
        op("Add", "x b", "c"),
        op("Mul", "c angle", "d"),
        op("Tanh", "d", "e"),
        op("Add", "e one", "f"),
        op("Mul", "x half", "g"),
        op("Mul", "g f", "y"),
        weights={
            "three": 3.0,
            "cubic": 0.044715,
            "angle": (2 / np.pi) ** 0.5,
            "one": 1.0,
            "half": 0.5,
        },
        shape=MAPS,
    ),
    "no gelu: another root": form(
        "Conv2D Tanh Conv2D Mul Conv2D",
        op("Mul", "x root", "a"),
        op("Tanh", "a", "b"),
        op("Add", "b one", "c"),
        op("Mul", "c x", "d"),
        op("Mul", "d half", "y"),
        weights={"root": 0.75, "one": 1.0, "half": 0.5},
        shape=MAPS,
    ),
    "mish of onnx": form("Mish", op("Mish", "x", "y"), shape=MAPS, opset=18),
    "celu": form("Relu Clip Conv2D Elu Conv2D Add", op("Celu", "x", "y", alpha=2.0), shape=MAPS),
    "celu of slope 1": form("Elu", op("Celu", "x", "y"), shape=MAPS),
    "softplus of pytorch, with a steeper bend": form(
        "Softplus Conv2D",
        op("Mul", "x b", "a"),
        op("Softplus", "a", "c"),
        op("Div", "c b", "y"),
        weights={"b": 2.0},
        shape=MAPS,
    ),
    "mish": form(
        "Mish",
        op("Softplus", "x", "a"),
        op("Tanh", "a", "b"),
        op("Mul", "x b", "y"),
        shape=MAPS,
    ),
    "abs": form("Abs", op("Abs", "x", "y"), shape=MAPS),
    "clip of attributes": form("Clip", op("Clip", "x", "y", min=-0.5), opset=7),
    "clip of inputs": form("Clip", op("Clip", "x - h", "y"), weights={"h": 0.5}),
    "clip whose limits cross": form(
        "Clip", op("Clip", "x l h", "y"), weights={"l": 1.0, "h": -1.0}
    ),
    "prelu of all maps": form(
        "PRelu", op("PRelu", "x s", "y"), weights={"s": floats(1)}, shape=MAPS
    ),
    "prelu of each map": form(
        "PRelu", op("PRelu", "x s", "y"), weights={"s": floats(2, 1, 1)}, shape=MAPS
    ),
    "prelu of each value": form(
        "Reshape PRelu Reshape", op("PRelu", "x s", "y"), weights={"s": floats(2, 6, 5)}, shape=MAPS
    ),
    "prelu of each column": form(
        "Reshape PRelu Reshape", op("PRelu", "x s", "y"), weights={"s": floats(5)}, shape=MAPS
    ),
    "softmax": form("Softmax", op("Softmax", "x", "y")),
    "softmax over maps": form("Softmax", op("Softmax", "x", "y", axis=1), shape=MAPS),
    "softmax before opset 13": form(
        "Reshape Softmax Reshape", op("Softmax", "x", "y"), shape=MAPS, opset=11
    ),
    "softmax of the last axes before opset 13": form(
        "Reshape Softmax Reshape", op("Softmax", "x", "y", axis=-2), shape=MAPS, opset=11
    ),
    "softmax of one-pixel maps before opset 13": form(
        "Softmax", op("Softmax", "x", "y"), shape=("N", 5, 1, 1), opset=11
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_activations(case: Form) -> None:
    """An activation becomes one layer, and ONNX Runtime computes the same."""
    check(case)


REFUSED = {
    "softmax over the images": (
        model(op("Softmax", "x", "y", axis=0)),
        "Softmax (node y, opset 17): axis must be one of the 2 axes but the images', not 0",
    ),
    "softmax over an axis too many": (
        model(op("Softmax", "x", "y", axis=2), opset=11),
        "Softmax (node y, opset 11): axis must be inside the 2 axes, not 2",
    ),
    "limits that are no numbers": (
        model(op("Clip", "x l", "y"), weights={"l": floats(4)}),
        "Clip (node y, opset 17): its min must be one number, not 4",
    ),
    "celu of no curve": (
        model(op("Celu", "x", "y", alpha=0.0)),
        "Celu (node y, opset 17): alpha must be more than 0, not 0",
    ),
    "celu that turns": (
        model(op("Celu", "x", "y", alpha=-1.0)),
        "Celu (node y, opset 17): alpha must be more than 0, not -1",
    ),
    "slopes of another size": (
        model(op("PRelu", "x s", "y"), weights={"s": floats(3)}),
        "PRelu (node y, opset 17): its constant must fit one image's (4,), not be (3,)",
    ),
    "slopes for each of too many values": (
        model(op("PRelu", "x s", "y"), weights={"s": floats(8193)}, shape=("N", 8193, 8193)),
        "PRelu (node y, opset 17): must make at most 1114120 constant values in all",
    ),
    "swish of another slope": (
        model(op("Swish", "x", "y", alpha=2.0), opset=24),
        "Swish (node y, opset 24): alpha must be 1, not 2.0",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_activation_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """What cannot be an activation names its operator, node and opset."""
    refuse(refused, message)
