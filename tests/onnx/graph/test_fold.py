"""Operators on constants compute what ONNX Runtime computes, within a budget of memory."""

import numpy as np
import onnx
import pytest
from onnx import helper

from fxpnn.network.layers import Array, Dense
from fxpnn.onnx import from_model
from tests.support.onnx_models import assert_floats_agree, floats, model, op, refuse, runtime

INT, FLOAT = np.array([7, -7, 3, 12]), floats(4) ** 2
CASES: dict[str, tuple[onnx.NodeProto, dict[str, Array]]] = {
    "divide integers": (op("Div", "a b", "c"), {"a": INT, "b": np.array([2, 2, -2, 4])}),
    "divide": (op("Div", "a b", "c"), {"a": FLOAT, "b": floats(1)}),
    "add": (op("Add", "a b", "c"), {"a": FLOAT, "b": floats(4, 1)}),
    "subtract": (op("Sub", "a b", "c"), {"a": INT, "b": np.array(3)}),
    "power": (op("Pow", "a b", "c"), {"a": FLOAT, "b": np.array(3)}),
    "negate": (op("Neg", "a", "c"), {"a": INT}),
    "reciprocal": (op("Reciprocal", "a", "c"), {"a": FLOAT}),
    "exponential": (op("Exp", "a", "c"), {"a": FLOAT}),
    "floor": (op("Floor", "a", "c"), {"a": 3 * FLOAT}),
    "cast down": (op("Cast", "a", "c", to=onnx.TensorProto.INT32), {"a": -3 * FLOAT}),
    "expand": (op("Expand", "a b", "c"), {"a": FLOAT, "b": np.array([3, 1])}),
    "gather": (op("Gather", "a b", "c", axis=1), {"a": floats(2, 3), "b": np.array([[2, -1]])}),
    "slice backwards": (
        op("Slice", "a b e d s", "c"),
        {
            "a": floats(3, 5),
            "b": np.array([-1, 0]),
            "e": np.array([-9, 9]),
            "d": np.array([1, 0]),
            "s": np.array([-2, 2]),
        },
    ),
    "fill": (
        op("ConstantOfShape", "a", "c", value=helper.make_tensor("v", 1, [1], [2.5])),
        {"a": np.array([2, 3])},
    ),
    "fill with zeros": (op("ConstantOfShape", "a", "c"), {"a": np.array([2, 3])}),
    "transpose": (op("Transpose", "a", "c"), {"a": floats(2, 3, 4)}),
    "squeeze all": (op("Squeeze", "a", "c"), {"a": floats(1, 3, 1)}),
    "unsqueeze": (op("Unsqueeze", "a b", "c"), {"a": floats(3), "b": np.array([0, -1])}),
    "shape": (op("Shape", "a", "c", start=-2), {"a": floats(2, 3, 4)}),
    "concatenate": (op("Concat", "a b", "c", axis=-1), {"a": floats(2, 1), "b": floats(2, 3)}),
    "clip": (op("Clip", "a b", "c"), {"a": floats(4), "b": np.array(-0.25, np.float32)}),
    "clip integers": (op("Clip", "a - b", "c"), {"a": INT, "b": np.array(4)}),
    "maximum": (op("Max", "a b b", "c"), {"a": floats(4), "b": floats(1)}),
    "minimum": (op("Min", "a b", "c"), {"a": INT, "b": np.array(4)}),
    "compare": (op("Equal", "a b", "c"), {"a": INT, "b": np.array(3)}),
    "less": (op("Less", "a b", "c"), {"a": INT, "b": np.array(7)}),
    "less or equal": (op("LessOrEqual", "a b", "c"), {"a": INT, "b": np.array(7)}),
    "greater": (op("Greater", "a b", "c"), {"a": FLOAT, "b": floats(4, 1)}),
    "greater or equal": (op("GreaterOrEqual", "a b", "c"), {"a": INT, "b": np.array(7)}),
    "and": (op("And", "a b", "c"), {"a": INT > 0, "b": np.array([[True], [False]])}),
    "or": (op("Or", "a b", "c"), {"a": INT > 0, "b": np.array([[True], [False]])}),
    "not": (op("Not", "a", "c"), {"a": INT > 0}),
    "remainder": (op("Mod", "a b", "c"), {"a": INT, "b": np.array([2, 5, -2, -5])}),
    "remainder as in C": (op("Mod", "a b", "c", fmod=1), {"a": floats(4), "b": -FLOAT}),
    "range": (
        op("Range", "a b d", "c"), {"a": np.array(7), "b": np.array(-4), "d": np.array(-3)}
    ),
    "range of floats": (
        op("Range", "a b d", "c"),
        {name: np.array(n, np.float32) for name, n in (("a", 0.5), ("b", 2.6), ("d", 0.7))},
    ),
    "repeat": (op("Tile", "a b", "c"), {"a": floats(2, 3), "b": np.array([3, 2])}),
    "triangle above": (op("Trilu", "a", "c"), {"a": floats(2, 4, 5)}),
    "triangle below": (op("Trilu", "a b", "c", upper=0), {"a": floats(4, 5), "b": np.array(-1)}),
    "replace parts": (
        op("ScatterND", "a b d", "c"),
        {"a": floats(4, 3), "b": np.array([[2], [0]]), "d": floats(2, 3)},
    ),
    "replace values": (
        op("ScatterND", "a b d", "c"),
        {"a": floats(4, 3), "b": np.array([[[2, 1], [0, -1]]]), "d": floats(1, 2)},
    ),
    "multiply matrices": (op("MatMul", "a b", "c"), {"a": floats(2, 3, 4), "b": floats(4, 2)}),
    "multiply and add": (
        op("Gemm", "a b d", "c", transB=1), {"a": floats(2, 3), "b": floats(4, 3), "d": floats(4)},
    ),
    "convolve": (
        op("Conv", "a b", "c", pads=[1, 0, 1, 0]),
        {"a": floats(1, 2, 4, 5), "b": floats(3, 2, 3, 3)},
    ),
    "expand a matrix to many": (
        op("Expand", "a b", "c"), {"a": floats(196, 1), "b": np.array([3, 196, 7])},
    ),
    "choose places": (
        op("GatherND", "a b", "c"), {"a": floats(4, 3, 2), "b": np.array([[[1, 2], [-1, 0]]])},
    ),
    "choose places of each": (
        op("GatherND", "a b", "c", batch_dims=1),
        {"a": floats(2, 3, 4), "b": np.array([[[1], [0]], [[2], [2]]])},
    ),
    "choose of many": (
        op("Gather", "a b", "c", axis=1),
        {"a": floats(4, 700), "b": np.zeros((300, 400), np.int64)},
    ),
    "multiply by a vector": (op("MatMul", "a b", "c"), {"a": floats(3), "b": floats(2, 3, 4)}),
    "sum of three": (
        op("Sum", "a b d", "c"), {"a": floats(2, 3), "b": floats(3), "d": floats(2, 1)},
    ),
    "sum": (op("ReduceSum", "a b", "c"), {"a": floats(2, 3, 4), "b": np.array([0, -1])}),
    "mean": (op("ReduceMean", "a", "c", axes=[1], keepdims=0), {"a": floats(2, 3)}),
    "product": (op("ReduceProd", "a", "c"), {"a": INT}),
    "largest": (op("ReduceMax", "a", "c", axes=[-2]), {"a": floats(2, 3)}),
    "least": (op("ReduceMin", "a", "c", axes=[0]), {"a": floats(2, 3)}),
    "sum of no axes": (
        op("ReduceSum", "a b", "c", noop_with_empty_axes=1),
        {"a": floats(2, 3), "b": np.zeros(0, np.int64)},
    ),
    "ceiling": (op("Ceil", "a", "c"), {"a": 3 * FLOAT}),
    "sine": (op("Sin", "a", "c"), {"a": floats(4)}),
    "cosine": (op("Cos", "a", "c"), {"a": floats(4)}),
    "hyperbolic tangent": (op("Tanh", "a", "c"), {"a": floats(4)}),
    "choose": (
        op("Where", "a b d", "c"),
        {"a": np.array([True, False]), "b": floats(3, 1), "d": floats(2)},
    ),
    "rectify": (op("Relu", "a", "c"), {"a": floats(4)}),
    "magnitude": (op("Abs", "a", "c"), {"a": INT}),
    "logarithm": (op("Log", "a", "c"), {"a": FLOAT}),
    "normalise by statistics of its own": (
        op("BatchNormalization", "a s s s s", "c m v", training_mode=1),
        {"a": floats(1, 3, 8), "s": np.ones(3, np.float32)},
    ),
    "normalise by given statistics": (
        op("BatchNormalization", "a s b s s", "c"),
        {"a": floats(1, 3, 8), "s": floats(3) ** 2, "b": floats(3)},
    ),
    "normalise each row": (
        op("LayerNormalization", "a s -", "c"), {"a": floats(3, 8), "s": floats(8)},
    ),
    "normalise by length": (op("LpNormalization", "a", "c", axis=0), {"a": floats(3, 8)}),
    "sum up to each": (op("CumSum", "a b", "c"), {"a": INT, "b": np.array(0)}),
    "error function": (op("Erf", "a", "c"), {"a": floats(4)}),
    "identity matrix": (op("EyeLike", "a", "c", k=1), {"a": floats(3, 4)}),
    "length": (op("ReduceL2", "a", "c", axes=[1]), {"a": floats(3, 4)}),
    "sum of magnitudes": (op("ReduceL1", "a", "c", axes=[1], keepdims=0), {"a": floats(3, 4)}),
    "sum of squares": (op("ReduceSumSquare", "a", "c"), {"a": floats(3, 4)}),
    "round to even": (op("Round", "a", "c"), {"a": np.array([0.5, 1.5, -2.5], np.float32)}),
    "sigmoid": (op("Sigmoid", "a", "c"), {"a": floats(4)}),
    "sign": (op("Sign", "a", "c"), {"a": INT}),
    "softmax": (op("Softmax", "a", "c", axis=0), {"a": floats(3, 4)}),
    "softplus": (op("Softplus", "a", "c"), {"a": floats(4)}),
    "drop out": (op("Dropout", "a", "c"), {"a": FLOAT}),
}  # fmt: skip


@pytest.mark.parametrize(("node", "weights"), CASES.values(), ids=CASES)
def test_constants_are_folded(node: onnx.NodeProto, weights: dict[str, Array]) -> None:
    """The bias that a chain of constant operators makes is the one that ONNX Runtime makes."""
    nodes = (
        node,
        op("Cast", "c", "f", to=onnx.TensorProto.FLOAT),
        op("Reshape", "f all", "bias"),
        op("Gemm", "x w bias", "y"),
    )
    chain = {**weights, "all": np.array([-1])}
    probe = model(*nodes[:3], weights=chain, outputs="bias")
    (bias,) = runtime(probe, floats(1, 4))
    folded = from_model(model(*nodes, weights={**chain, "w": floats(4, bias.size)}))
    layer = folded["y"].layer
    assert isinstance(layer, Dense)
    assert_floats_agree(layer.bias, bias, 1e-6, 1e-7)


REFUSED = {
    "divide by zero": (
        op("Div", "a b", "c"), {"a": INT, "b": np.array(0)},
        "Div (node c, opset 17): its divisor must not be 0",
    ),
    "a remainder of zero": (
        op("Mod", "a b", "c"), {"a": INT, "b": np.array(0)},
        "Mod (node c, opset 17): its divisor must not be 0",
    ),
    "a range from nothing": (
        op("Range", "a b d", "c"), {"a": floats(0), "b": np.array(4), "d": np.array(1)},
        "Range (node c, opset 17): its input 1 must be one number, not 0",
    ),
    "a range of tiny steps": (
        op("Range", "a b d", "c"),
        {"a": np.array(0.0), "b": np.array(1e300), "d": np.array(1e-300)},
        "Range (node c, opset 17): must have finite ends, and a step other than 0",
    ),
    "a triangle beside many diagonals": (
        op("Trilu", "a b", "c"), {"a": floats(2, 2), "b": np.zeros(2, np.int64)},
        "Trilu (node c, opset 17): its input 2 must be one number, not 2",
    ),
    "a range without a step": (
        op("Range", "a b d", "c"), {"a": np.array(0), "b": np.array(4), "d": np.array(0)},
        "Range (node c, opset 17): must have finite ends, and a step other than 0",
    ),
    "a range of billions": (
        op("Range", "a b d", "c"), {"a": np.array(0), "b": np.array(2**40), "d": np.array(1)},
        "Range (node c, opset 17): must make at most 1048600 constant values in all",
    ),
    "what ONNX's Python refuses": (
        op("EyeLike", "a", "c"), {"a": floats(2, 3, 4)},
        "EyeLike (node c, opset 17): cannot run on its constants: EyeLike only accept 1D or 2D "
        "tensors not (2, 3, 4).",
    ),
    "a tile of billions": (
        op("Tile", "a b", "c"), {"a": INT, "b": np.array([2**40])},
        "Tile (node c, opset 17): must make at most 1048616 constant values in all",
    ),
    "a matrix of billions": (
        op("MatMul", "a b", "c"), {"a": floats(9999, 1), "b": floats(1, 9999)},
        "MatMul (node c, opset 17): must make at most 1208560 constant values in all",
    ),
    "an empty matrix of billions": (
        op("MatMul", "a b", "c"), {"a": floats(9999, 0), "b": floats(0, 9999)},
        "MatMul (node c, opset 17): must make at most 1048576 constant values in all",
    ),
    "a sum of empty products of billions": (
        op("Gemm", "a b", "c", transA=1), {"a": floats(0, 9999), "b": floats(0, 9999)},
        "Gemm (node c, opset 17): must make at most 1048576 constant values in all",
    ),
    "a map of billions": (
        op("Conv", "a b", "c", pads=[9999] * 4),
        {"a": floats(1, 1, 2, 2), "b": floats(1, 1, 1, 1)},
        "Conv (node c, opset 17): must make at most 1048616 constant values in all",
    ),
    "a kernel of billions": (
        op("Conv", "a b", "c", dilations=[1, 10**9], pads=[0, 0, 0, 10**9]),
        {"a": floats(1, 1, 1, 1), "b": floats(1, 1, 1, 2)},
        "Conv (node c, opset 17): must make at most 1048600 constant values in all",
    ),
    "a kernel said to have billions": (
        op("Conv", "a b", "c", kernel_shape=[1, 10**9], pads=[0, 0, 0, 10**9]),
        {"a": floats(1, 1, 1, 1), "b": floats(1, 1, 1, 2)},
        "Conv (node c, opset 17): must make at most 1048600 constant values in all",
    ),
    "a margin of billions": (
        op("Conv", "a b", "c", strides=[1, 10**9], pads=[0, 0, 0, 10**9 + 1]),
        {"a": floats(1, 1, 1, 1), "b": floats(1, 1, 1, 2)},
        "Conv (node c, opset 17): must make at most 1048600 constant values in all",
    ),
    "a map of no size": (
        op("Conv", "a b", "c"), {"a": floats(1, 1, 2, 2), "b": floats(1, 1, 3, 3)},
        "Conv (node c, opset 17): must make at most 1048680 constant values in all",
    ),
    "an expansion to billions": (
        op("Expand", "a b", "c"), {"a": floats(9999, 1), "b": np.array([9999])},
        "Expand (node c, opset 17): must make at most 1128576 constant values in all",
    ),
    "a choice of billions of places": (
        op("GatherND", "a b", "c"), {"a": floats(1, 9999), "b": np.zeros((9999, 1), np.int64)},
        "GatherND (node c, opset 17): must make at most 1208560 constant values in all",
    ),
    "a choice of billions": (
        op("Gather", "a b", "c"), {"a": floats(1, 9999), "b": np.zeros(9999, np.int64)},
        "Gather (node c, opset 17): must make at most 1208560 constant values in all",
    ),
    "parts that are added": (
        op("ScatterND", "a b d", "c", reduction="add"),
        {"a": INT, "b": np.array([[1]]), "d": np.array([2])},
        "ScatterND (node c, opset 17): reduction must be none",
    ),
    "shapes that do not fit": (
        op("Add", "a b", "c"), {"a": INT, "b": np.arange(3)},
        "Add (node c, opset 17): cannot run on its constants: "
        "operands could not be broadcast together with shapes (4,) (3,)",
    ),
    "an axis that is not there": (
        op("Gather", "a b", "c", axis=3), {"a": INT, "b": INT},
        "Gather (node c, opset 17): cannot run on its constants: "
        "axis 3 is out of bounds for array of dimension 1",
    ),
    "an input left out": (
        op("Concat", "a -", "c", axis=0), {"a": INT},
        "Concat (node c, opset 17): must have an input 2",
    ),
    "a type of text": (
        op("Cast", "a", "c", to=onnx.TensorProto.STRING),
        {"a": INT},
        "Cast (node c, opset 17): type must be 8 to 64-bit numbers, not STRING",
    ),
    "a shape of text": (
        op("ConstantOfShape", "a", "c"), {"a": FLOAT},
        "ConstantOfShape (node c, opset 17): axes must be at most 32 integers, not 4 float32",
    ),
    "a shape of a thousand axes": (
        op("Expand", "a b", "c"), {"a": FLOAT, "b": np.ones(1000, np.int64)},
        "Expand (node c, opset 17): axes must be at most 32 integers, not 1000 int64",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("node", "weights", "message"), REFUSED.values(), ids=REFUSED)
def test_constants_that_cannot_be_are_refused(
    node: onnx.NodeProto, weights: dict[str, Array], message: str
) -> None:
    """What cannot run names its operator, node and opset."""
    refuse(model(node, op("Add", "x c", "y"), weights=weights), message)


def test_constants_of_other_kinds_are_refused() -> None:
    """A Constant of text is no number."""
    refuse(
        model(op("Constant", "", "c", "text", value_string=b"a"), op("Add", "x c", "y")),
        "Constant (node text, opset 17): its value must be a tensor of numbers",
    )
