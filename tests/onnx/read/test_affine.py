"""What multiplies and adds is folded into a weighted layer, exactly, or becomes one."""

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn.network.layers import Array, Conv2D, Dense
from fxpnn.onnx import from_model
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

BN = {"s": floats(3) + 2, "b": floats(3), "m": floats(3) / 2, "v": floats(3) ** 2}
"""The parameters of a batch normalization of three channels."""


def conv(*, bias: bool = False) -> dict[str, Array]:
    """Make weights of a 3 x 3 convolution of two maps to three."""
    return {"k": floats(3, 2, 3, 3), **({"kb": floats(3)} if bias else {})}


FORMS = {
    "matmul and add": form(
        "Dense",
        op("MatMul", "x w", "a"),
        op("Add", "b a", "y"),
        weights={"w": floats(4, 3), "b": floats(3)},
    ),
    "dense and batch normalization": form(
        "Dense",
        op("Gemm", "x w", "a"),
        op("BatchNormalization", "a s b m v", "y", epsilon=0.01),
        weights={"w": floats(4, 3), **BN},
    ),
    "normalized vector": form(
        "Dense",
        op("Sub", "x m", "a"),
        op("Div", "a d", "b"),
        op("Gemm", "b w", "y"),
        weights={"m": floats(4), "d": floats(1, 4), "w": floats(4, 3)},
    ),
    "a number less the input": form(
        "Dense",
        op("Sub", "c x", "a"),
        op("Mul", "a x2", "b"),
        op("Gemm", "b w", "y"),
        weights={"c": floats(1), "x2": floats(), "w": floats(4, 3)},
    ),
    "scaler": form(
        "Dense",
        op("Scaler", "x", "a", domain="ai.onnx.ml", offset=[1.0, 2, 3, 4], scale=[0.5, 1, 2, 3]),
        op("Scaler", "a", "b", domain="ai.onnx.ml", offset=[1.0], scale=[0.5]),
        op("Gemm", "b w", "y"),
        weights={"w": floats(4, 3)},
        domains={"ai.onnx.ml": 1},
    ),
    "conv and add": form(
        "Conv2D",
        op("Conv", "x k", "a"),
        op("Add", "a c", "y"),
        weights={**conv(), "c": floats(1, 3, 1, 1)},
        shape=MAPS,
    ),
    "conv and batch normalization": form(
        "Conv2D Relu",
        op("Conv", "x k kb", "a", pads=[1, 1, 1, 1]),
        op("BatchNormalization", "a s b m v", "c"),
        op("Relu", "c", "y"),
        weights={**conv(bias=True), **BN},
        shape=MAPS,
    ),
    "batch normalization spelled out": form(
        "Conv2D",
        op("Conv", "x k", "a"),
        op("Sub", "a c", "d"),
        op("Sqrt", "v", "r"),
        op("Div", "s r", "g"),
        op("Mul", "d g", "y"),
        weights={
            **conv(),
            "c": floats(3, 1, 1),
            "s": floats(3, 1, 1),
            "v": floats(3, 1, 1) ** 2,
        },
        shape=MAPS,
    ),
    "depthwise and batch normalization": form(
        "Conv2D",
        op("Conv", "x k", "a", group=3),
        op("BatchNormalization", "a s b m v", "y"),
        weights={"k": floats(3, 1, 3, 3), **BN},
        shape=("N", 3, 6, 5),
    ),
    "normalized input": form(
        "Conv2D",
        op("Sub", "x m", "a"),
        op("Div", "a d", "b"),
        op("Conv", "b k", "y", group=2),
        weights={"m": floats(2, 1, 1), "d": floats(1, 2, 1, 1), "k": floats(4, 1, 3, 3)},
        shape=MAPS,
    ),
    "scaled input of a padded conv": form(
        "Conv2D",
        op("Mul", "x c", "a"),
        op("Conv", "a k", "y", pads=[1, 1, 1, 1]),
        weights={"c": 1 / 255, **conv()},
        shape=MAPS,
    ),
    "normalized input of padded convs": form(
        "Conv2D Conv2D Add",
        op("Sub", "x m", "a"),
        op("Conv", "a k", "b", pads=[1, 1, 1, 1]),
        op("Conv", "a k", "c", pads=[1, 1, 1, 1]),
        op("Add", "b c", "y"),
        weights={"m": floats(2, 1, 1), **conv()},
        shape=MAPS,
    ),
    "normalized flattened input": form(
        "Transpose Flatten Dense",
        op("Sub", "x m", "a"),
        op("Transpose", "a", "b", perm=[0, 2, 3, 1]),
        op("Flatten", "b", "c"),
        op("Gemm", "c w", "y"),
        weights={"m": floats(2, 1, 1), "w": floats(60, 3)},
        shape=MAPS,
    ),
    "normalized input that is the output": form(
        "Conv2D",
        op("Sub", "x m", "a"),
        op("Div", "a d", "y"),
        weights={"m": floats(2, 1, 1), "d": floats(1)},
        shape=MAPS,
    ),
    "batch normalization behind an activation": form(
        "Conv2D Relu Conv2D Relu",
        op("Conv", "x k", "a"),
        op("Relu", "a", "r"),
        op("BatchNormalization", "r s b m v", "c"),
        op("Relu", "c", "y"),
        weights={**conv(), **BN},
        shape=MAPS,
    ),
    "batch normalization of what others read too": form(
        "Conv2D Conv2D Relu Add Add",
        op("Conv", "x k", "a"),
        op("BatchNormalization", "a s b m v", "c"),
        op("Relu", "c", "r"),
        op("Add", "a c", "d"),
        op("Add", "d r", "y"),
        weights={**conv(), **BN},
        shape=MAPS,
    ),
    "batch normalization first": form(
        "Relu",
        op("BatchNormalization", "x s b m v", "a"),
        op("Relu", "a", "y"),
        weights=BN,
        shape=("N", 3, 6, 5),
    ),
    "scaled activation": form(
        "Relu Conv2D",
        op("Relu", "x", "a"),
        op("Mul", "a c", "b"),
        op("Conv", "b k", "y", pads=[1, 0, 0, 1]),
        weights={"c": floats(2, 1, 1), **conv()},
        shape=MAPS,
    ),
}

RELU = op("Relu", "x", "r")
ALONE = {
    "a batch normalization of a vector behind an activation": form(
        "Relu Reshape Conv2D Reshape Relu",
        RELU,
        op("BatchNormalization", "r s b m v", "c", "norm"),
        op("Relu", "c", "y"),
        weights=BN,
        shape=("N", 3),
        opset=9,
    ),
    "a scale that is an output": form(
        "Relu Reshape Conv2D Reshape",
        RELU,
        op("Mul", "r c", "y", "last"),
        weights={"c": 2.0},
    ),
    "a bias for each pixel": form(
        "Conv2D Reshape Conv2D Reshape Relu",
        op("Conv", "x k", "a"),
        op("Add", "a c", "b", "pixels"),
        op("Relu", "b", "y"),
        weights={**conv(), "c": floats(4, 3)},
        shape=MAPS,
    ),
    "one less a probability": form(
        "Dense Sigmoid Reshape Conv2D Reshape Concat",
        op("Gemm", "x w", "h"),
        op("Sigmoid", "h", "p"),
        op("Sub", "one p", "q"),
        op("Concat", "q p", "y", axis=1),
        weights={"w": floats(4, 1), "one": np.ones(1, np.float32)},
    ),
    "a vector less another for each element": form(
        "Relu Reshape Conv2D Reshape Tanh",
        RELU,
        op("Sub", "c r", "a"),
        op("Tanh", "a", "y"),
        weights={"c": floats(4)},
    ),
    "negative rows": form(
        "Relu Reshape Conv2D Reshape Relu",
        RELU,
        op("Neg", "r", "n"),
        op("Add", "n c", "a"),
        op("Relu", "a", "y"),
        weights={"c": floats(3, 1)},
        shape=("N", 3, 5),
    ),
    "rows and columns": form(
        "Relu Reshape Conv2D Reshape Relu",
        RELU,
        op("Mul", "r g", "n"),
        op("Add", "n c", "a"),
        op("Relu", "a", "y"),
        weights={"g": floats(5), "c": floats(3, 1)},
        shape=("N", 3, 5),
    ),
    "a negative before a dense layer": form(
        "Dense", op("Neg", "x", "n"), op("Gemm", "n w", "y"), weights={"w": floats(4, 3)}
    ),
}


@pytest.mark.parametrize("case", ALONE.values(), ids=ALONE)
def test_what_no_layer_takes_is_a_layer(case: Form) -> None:
    """It becomes a convolution of maps of one pixel or row, and ONNX Runtime computes the same."""
    check(case)


def test_one_less_a_probability_is_exact() -> None:
    """The fixed network's first column is one less its second, to the bit."""
    case = ALONE["one less a probability"]
    x = floats(300, 4)
    fixed = fxpnn.quantize(from_model(case.model), x)
    got = fxpnn.to_float(fxpnn.infer(fixed, x).raw, fixed.formats[fixed.outputs[0]])
    assert (got[:, 0] == 1 - got[:, 1]).all()


FORMS["the rows of all images as so many, as LeViT's"] = form(
    "Reshape Conv2D Reshape Tanh",
    op("Reshape", "x rows", "r"),
    op("BatchNormalization", "r s b m v", "c"),
    op("Tanh", "c", "t"),
    op("Reshape", "t parted", "y"),
    weights={"rows": np.array([-1, 3]), "parted": np.array([-1, 4, 3]), **BN},
    shape=("N", 4, 3),
)
FORMS["a difference of values"] = form(
    "Relu Reshape Conv2D Reshape Add", op("Relu", "x", "r"), op("Sub", "x r", "y")
)


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_folding(case: Form) -> None:
    """Nothing of the arithmetic is left as a layer, and ONNX Runtime computes the same."""
    check(case)


REFUSED = {
    "a batch normalization of other channels": (
        model(op("BatchNormalization", "x s b m v", "y"), weights=BN, shape=MAPS),
        "BatchNormalization (node y, opset 17): its parameters must be (2), not (3,)",
    ),
    "a negative variance": (
        model(
            op("Conv", "x k", "a"),
            op("BatchNormalization", "a s b m v", "y"),
            weights={**conv(), **BN, "v": -(floats(3) ** 2)},
            shape=MAPS,
        ),
        "BatchNormalization (node y, opset 17): its variance must be above 0",
    ),
    "a scale that is not a number": (
        model(
            op("Conv", "x k", "a"),
            op("BatchNormalization", "a s b m v", "y"),
            weights={**conv(), **BN, "s": floats(3) * np.nan},
            shape=MAPS,
        ),
        "BatchNormalization (node y, opset 17): its parameters must be finite",
    ),
    "a batch normalization in training": (
        model(
            op("Conv", "x k", "a"),
            op("BatchNormalization", "a s b m v", "y", training_mode=1),
            weights={**conv(), **BN},
            shape=MAPS,
        ),
        "BatchNormalization (node y, opset 17): training_mode must be 0",
    ),
    "a value for each of too many elements": (
        model(
            op("Sub", "x m", "a"),
            op("Flatten", "a", "b"),
            op("Relu", "b", "y"),
            weights={"m": floats(8193)},
            shape=("N", 8193, 8193),
        ),
        "Flatten (node b, opset 17): must make at most 1114120 constant values in all",
    ),
    "a constant for each image": (
        model(op("Add", "x c", "y"), weights={"c": floats(2, 4)}, shape=(2, 4)),
        "Add (node y, opset 17): its constant must be the same for all images",
    ),
    "a constant that grows the tensor": (
        model(op("Mul", "x c", "y"), weights={"c": floats(2, 1, 4)}),
        "Mul (node y, opset 17): its constant must fit one image's (4,), not be (2, 1, 4)",
    ),
    "a division by zero": (
        model(op("Div", "x c", "y"), weights={"c": 0.0}),
        "Div (node y, opset 17): its divisor must not be 0",
    ),
    "a scaler of another size": (
        model(
            op("Scaler", "x", "y", domain="ai.onnx.ml", scale=[1.0, 2.0]),
            domains={"ai.onnx.ml": 1},
        ),
        "ai.onnx.ml.Scaler (node y, opset 1): its constant must fit one image's (4,), not be (2,)",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_folded_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """What finds no layer to be folded into names its operator, node and opset."""
    refuse(refused, message)


def test_batch_normalization_is_folded_exactly() -> None:
    """The folded weights are those of float64 arithmetic, not of float32."""
    weights = {**conv(bias=True), **BN}
    nodes = op("Conv", "x k kb", "a"), op("BatchNormalization", "a s b m v", "y", epsilon=0.125)
    layer = from_model(model(*nodes, weights=weights, shape=MAPS))["a"].layer
    assert isinstance(layer, Conv2D)
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    gain = exact["s"] / np.sqrt(exact["v"] + 0.125)
    assert np.array_equal(layer.weight, exact["k"] * gain[:, None, None, None])
    assert np.array_equal(layer.bias, exact["kb"] * gain + (exact["b"] - exact["m"] * gain))


def test_weights_that_nothing_is_folded_into_keep_their_bits() -> None:
    """A bias added by an operator of its own leaves float32 weights as they are."""
    weights = {"w": floats(4, 3), "b": floats(3)}
    made = model(op("MatMul", "x w", "a"), op("Add", "a b", "y"), weights=weights)
    layer = from_model(made)["a"].layer
    assert isinstance(layer, Dense)
    assert {layer.weight.dtype, layer.bias.dtype} == {np.dtype(np.float32)}
    assert np.array_equal(layer.weight, weights["w"].T)
    assert np.array_equal(layer.bias, weights["b"])
