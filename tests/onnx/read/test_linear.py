"""Every way to write a dense layer or convolution, and what is folded into it."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fxpnn.network.layers import Array
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse


def conv(*, bias: bool = False) -> dict[str, Array]:
    """Make weights of a 3 x 3 convolution of two maps to three."""
    return {"k": floats(3, 2, 3, 3), **({"kb": floats(3)} if bias else {})}


def listed() -> onnx.ModelProto:
    """Make a model that lists its weights as inputs of the graph, as before IR 4."""
    made = model(op("Gemm", "x w b", "y"), weights={"w": floats(4, 3), "b": floats(3)})
    for tensor in made.graph.initializer:
        info = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        made.graph.input.append(info)
    made.ir_version = 3
    return made


def constant(name: str, array: Array) -> onnx.NodeProto:
    """Make a Constant node."""
    return op("Constant", "", name, value=numpy_helper.from_array(array))


DENSE = {
    "gemm": form("Dense", op("Gemm", "x w b", "y"), weights={"w": floats(4, 3), "b": floats(3)}),
    "gemm without C": form("Dense", op("Gemm", "x w", "y"), weights={"w": floats(4, 3)}),
    "gemm of every attribute": form(
        "Dense",
        op("Gemm", "x w b", "y", transB=1, alpha=0.5, beta=-3.0),
        weights={"w": floats(3, 4), "b": floats(1, 3)},
    ),
    "gemm with one number for all": form(
        "Dense", op("Gemm", "x w b", "y"), weights={"w": floats(4, 3), "b": floats()}
    ),
    "gemm of a transposed input": form(
        "Relu Dense",
        op("Relu", "x", "a"),
        op("Transpose", "a", "t", perm=[1, 0]),
        op("Gemm", "t w", "y", transA=1),
        weights={"w": floats(4, 3)},
    ),
    "transposed twice": form(
        "Relu", op("Transpose", "x", "a"), op("Transpose", "a", "b"), op("Relu", "b", "y")
    ),
    "matmul": form("Dense", op("MatMul", "x w", "y"), weights={"w": floats(4, 3)}),
    "weights listed as inputs": Form("Dense", listed()),
    "weights in nodes": form(
        "Dense",
        constant("w", floats(4, 2)),
        op("Constant", "", "b", value_floats=[0.5, -0.25]),
        op("Constant", "", "c", value_float=2.0),
        op("Gemm", "x w b", "a"),
        op("Mul", "a c", "y"),
    ),
    "weights computed from others": form(
        "Dense",
        op("Reshape", "flat s", "w"),
        op("Transpose", "w", "wt", perm=[1, 0]),
        op("Cast", "half", "b", to=onnx.TensorProto.FLOAT),
        op("Gemm", "x wt b", "y"),
        weights={
            "flat": floats(12),
            "s": [3, -1],
            "half": floats(3).astype(np.float16),
        },
    ),
    "a batch fixed at one": form(
        "Dense", op("Gemm", "x w", "y"), weights={"w": floats(4, 3)}, shape=(1, 4)
    ),
    "a batch without a name": form(
        "Dense", op("Gemm", "x w", "y"), weights={"w": floats(4, 3)}, shape=(None, 4)
    ),
    "what changes nothing": form(
        "Relu",
        op("Identity", "x", "a"),
        op("Dropout", "a", "b"),
        op("Cast", "b", "c", to=onnx.TensorProto.FLOAT),
        op("Mul", "c one", "d"),
        op("Concat", "d", "e", axis=1),
        op("Relu", "e", "y"),
        weights={"one": np.ones(4, np.float32)},
    ),
}

CONVOLUTIONS = {
    "conv": form("Conv2D", op("Conv", "x k kb", "y"), weights=conv(bias=True), shape=MAPS),
    "channels last": form(
        "Transpose Conv2D Transpose Relu Reshape Dense Softmax",
        op("Transpose", "x", "a", perm=[0, 3, 1, 2]),
        op("Conv", "a k kb", "b"),
        op("Transpose", "b", "c", perm=[0, 2, 3, 1]),
        op("Relu", "c", "d"),
        op("Reshape", "d s", "e"),
        op("MatMul", "e w", "f"),
        op("Softmax", "f", "y"),
        weights={**conv(bias=True), "s": [-1, 36], "w": floats(36, 3)},
        shape=("N", 6, 5, 2),
    ),
}


MEAN = op("GlobalAveragePool", "x", "a")
PRODUCTS = {
    "a gate that is no sigmoid": form("Relu Mul", op("Relu", "x", "a"), op("Mul", "x a", "y")),
    "a hard sigmoid that makes no swish": form(
        "HardSigmoid Mul", op("HardSigmoid", "x", "a"), op("Mul", "a x", "y")
    ),
    "a square": form("Tanh Mul", op("Tanh", "x", "a"), op("Mul", "a a", "y")),
    "squeeze and excite": form(
        "AvgPool2D Conv2D Relu Conv2D Sigmoid Mul",
        MEAN,
        op("Conv", "a k", "b"),
        op("Relu", "b", "c"),
        op("Conv", "c l", "d"),
        op("Sigmoid", "d", "e"),
        op("Mul", "e x", "y"),
        weights={"k": floats(1, 2, 1, 1), "l": floats(2, 1, 1, 1)},
        shape=MAPS,
    ),
    "squeeze and excite by dense layers": form(
        "AvgPool2D Flatten Dense HardSigmoid Reshape Mul",
        MEAN,
        op("Flatten", "a", "b"),
        op("MatMul", "b w", "c"),
        op("HardSigmoid", "c", "d"),
        op("Reshape", "d s", "e"),
        op("Mul", "x e", "y"),
        weights={"w": floats(2, 2), "s": [0, 2, 1, 1]},
        shape=MAPS,
    ),
    "a swish of a scaled map": form(
        "Conv2D Conv2D Sigmoid Mul",
        op("Conv", "x k", "a"),
        op("Mul", "a g", "b"),
        op("Sigmoid", "b", "c"),
        op("Mul", "a c", "y"),
        weights={**conv(), "g": 1.702},
        shape=MAPS,
    ),
}


@pytest.mark.parametrize("case", PRODUCTS.values(), ids=PRODUCTS)
def test_products(case: Form) -> None:
    """Branches are multiplied, in either order, and ONNX Runtime computes the same."""
    check(case)


@pytest.mark.parametrize("case", DENSE.values(), ids=DENSE)
def test_dense_layers(case: Form) -> None:
    """What computes a dense layer becomes one, and ONNX Runtime computes the same."""
    check(case)


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions(case: Form) -> None:
    """What computes a convolution becomes one, and ONNX Runtime computes the same."""
    check(case)


RELU = op("Relu", "x", "r")
REFUSED = {
    "a stack of matrices": (
        model(op("Gemm", "x w", "y"), weights={"w": floats(2, 4, 3)}),
        "Gemm (node y, opset 17): B must be a matrix, not (2, 4, 3)",
    ),
    "a vector": (
        model(op("MatMul", "x w", "y"), weights={"w": floats(4)}),
        "MatMul (node y, opset 17): B must be a matrix, not (4,)",
    ),
    "a matrix of another size": (
        model(op("MatMul", "x w", "y"), weights={"w": floats(5, 3)}),
        "MatMul (node y, opset 17): input must be (5), not (4)",
    ),
    "weights that depend on the input": (
        model(op("Gemm", "x x", "y")),
        "Gemm (node y, opset 17): input 2 must be a constant",
    ),
    "an input that does not": (
        model(op("Gemm", "w x", "y"), weights={"w": floats(4, 4)}),
        "Gemm (node y, opset 17): input 1 must depend on the network's input",
    ),
    "a bias of another size": (
        model(op("Gemm", "x w b", "y"), weights={"w": floats(4, 3), "b": floats(2)}),
        "Gemm (node y, opset 17): C must be one row of 3 values, not (2,)",
    ),
    "a bias that is a column": (
        model(op("Gemm", "x w b", "y"), weights={"w": floats(4, 3), "b": floats(3, 1)}),
        "Gemm (node y, opset 17): C must be one row of 3 values, not (3, 1)",
    ),
    "an input that is not transposed": (
        model(RELU, op("Gemm", "r w", "y", transA=1), weights={"w": floats(4, 3)}),
        "Gemm (node y, opset 17): transA must make the images the rows of A",
    ),
    "maps that are transposed": (
        model(
            op("Transpose", "x", "t", perm=[1, 0, 2, 3]),
            op("Conv", "t k", "y"),
            weights={"k": floats(3, 2, 3, 3)},
            shape=MAPS,
        ),
        "Conv (node y, opset 17): must have the images as the first axis, each computed for "
        "itself, not as axis 2 of 4",
    ),
    "weights that are none": (
        model(op("Gemm", "x w", "y"), weights={"w": np.ones((0, 1 << 40), np.float32)}),
        "Gemm (node y, opset 17): its weights must be some, not (0, 1099511627776)",
    ),
    "weights of one axis": (
        model(op("Conv", "x k", "y"), weights={"k": floats()}, shape=MAPS),
        "Conv (node y, opset 17): "
        "its kernel must have the one axis of rows or the two of maps, not 0 on (2, 6, 5)",
    ),
    "weights of integers": (
        model(op("Conv", "x k", "y"), weights={"k": np.ones((1, 2, 3, 3), np.int8)}, shape=MAPS),
        "Conv (node y, opset 17): its weights must be floats, not int8",
    ),
    "groups that do not divide": (
        model(op("Conv", "x k", "y", group=2), weights={"k": floats(3, 1, 3, 3)}, shape=MAPS),
        "Conv (node y, opset 17): groups must divide the 3 output maps, not 2",
    ),
    "a kernel that is too large": (
        model(op("Conv", "x k", "y"), weights={"k": floats(3, 2, 7, 3)}, shape=MAPS),
        "Conv (node y, opset 17): kernel must fit its padded input: height 7 is over 6",
    ),
    "branches of two shapes": (
        model(op("Conv", "x k", "a"), op("Add", "a x", "y"), weights=conv(), shape=MAPS),
        "Add (node y, opset 17): must read tensors of one shape, or 1 along axes, "
        "not (N, 3, 4, 3) and (N, 2, 6, 5)",
    ),
    "branches of other ranks": (
        model(op("Flatten", "x", "f"), op("Mul", "f x", "y"), shape=MAPS),
        "Mul (node y, opset 17): must read tensors of one shape, or 1 along axes, "
        "not (N, 60) and (N, 2, 6, 5)",
    ),
    "a root": (
        model(op("Pow", "x p", "y"), weights={"p": 0.5}),
        "Pow (node y, opset 17): its exponent must be one of 1 to 8, not 0.5",
    ),
    "a quotient of branches": (
        model(RELU, op("Div", "x r", "y")),
        "Div (node y, opset 17): its divisor must be a constant",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_dense_layer_or_convolution_is_refused(
    refused: onnx.ModelProto, message: str
) -> None:
    """What cannot be a layer, or be folded into one, names its operator, node and opset."""
    refuse(refused, message)
