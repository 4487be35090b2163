"""Every way to write a dense layer or convolution, and what is folded into it."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fxpnn.layers import Array
from tests.onnx_models import MAPS, Form, check, floats, form, model, op

BN = {"s": floats(3) + 2, "b": floats(3), "m": floats(3) / 2, "v": floats(3) ** 2}
"""The parameters of a batch normalization of three channels."""


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
    "matmul and add": form(
        "Dense",
        op("MatMul", "x w", "a"),
        op("Add", "b a", "y"),
        weights={"w": floats(4, 3), "b": floats(3)},
    ),
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
    "batch normalization": form(
        "Dense",
        op("Gemm", "x w", "a"),
        op("BatchNormalization", "a s b m v", "y", epsilon=0.01),
        weights={"w": floats(4, 3), **BN},
    ),
    "normalized input": form(
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
        "Conv2D Conv2D Conv2D Add",
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
    "scaled activation": form(
        "Relu Conv2D",
        op("Relu", "x", "a"),
        op("Mul", "a c", "b"),
        op("Conv", "b k", "y", pads=[1, 0, 0, 1]),
        weights={"c": floats(2, 1, 1), **conv()},
        shape=MAPS,
    ),
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


@pytest.mark.parametrize("case", DENSE.values(), ids=DENSE)
def test_dense_layers(case: Form) -> None:
    """What computes a dense layer becomes one, and ONNX Runtime computes the same."""
    check(case)


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions(case: Form) -> None:
    """What computes a convolution becomes one, and ONNX Runtime computes the same."""
    check(case)
