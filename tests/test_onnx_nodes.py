"""The node tests that the ONNX project publishes, for every operator that fxpnn reads."""

import importlib
import re
import warnings
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.backend.test.case import node as published

from fxpnn.errors import ModelError
from fxpnn.layers import Array
from fxpnn.onnx import from_model
from fxpnn.reference import forward

OPERATORS = {
    "Add": "add",
    "AveragePool": "averagepool",
    "BatchNormalization": "batch_normalization",
    "Clip": "clip",
    "Conv": "conv",
    "Flatten": "flatten",
    "Gemm": "gemm",
    "GlobalAveragePool": "globalaveragepool",
    "HardSigmoid": "hardsigmoid",
    "HardSwish": "hardswish",
    "LeakyRelu": "leakyrelu",
    "LpPool": "lppool",
    "MatMul": "matmul",
    "MaxPool": "maxpool",
    "Mul": "mul",
    "PRelu": "prelu",
    "Pad": "pad",
    "Relu": "relu",
    "Reshape": "reshape",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Squeeze": "squeeze",
    "Swish": "swish",
    "Tanh": "tanh",
    "Transpose": "transpose",
    "Unsqueeze": "unsqueeze",
}
"""Each operator, and the module of the onnx package that makes its cases."""

ELEMENTWISE = {
    "Clip",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "PRelu",
    "Relu",
    "Sigmoid",
    "Swish",
    "Tanh",
}

PAIRED = {"Add", "Mul"}

SKIPPED = {
    r"_[13]d_(default|dilations)": "its window has one or three axes; fxpnn has maps",
    r"u?int(8|16|32|64)": "its tensors are integers; fxpnn reads float networks",
    r"training_mode": "it trains: it asks for the running mean and variance",
    r"edge_pad|reflect_pad|wrap_pad": "fxpnn pads with a constant",
    r"lppool_2d_(default|same_lower|pads)": "its p is not 2",
    r"matmul_(3d|4d|bcast)": "its second matrix differs for each image",
    r"matmul_(1d_3d|4d_1d|1d_1d)": "it multiplies by a vector; fxpnn has matrices",
    r"gemm_default_matrix_bias": "its bias differs for each image",
    r"softmax_axis_0": "its softmax runs over the images of the batch",
    r"flatten_(axis[023]|negative_axis[124])": "it mixes the images of the batch",
    r"squeeze$|unsqueeze_axis_0": "it moves the axis of the batch",
    r"reshape_(reordered_all|one_dim|negative_extended|allowzero)": "it mixes the images",
    r"transpose_(default|all_permutations_[2-5])": "it moves the axis of the batch",
}
"""What lies outside the plan, by the names of the cases; the reader must refuse each."""


class Case(NamedTuple):
    """A model with one input, and what it must make of ``x``."""

    name: str
    model: onnx.ModelProto
    x: Array
    y: Array
    rtol: float
    atol: float


def load_cases() -> list[Any]:
    """Make the published cases of the operators; the public loader would make all 1,884 in 15 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of cases at the limits of float16
        for module in OPERATORS.values():
            importlib.import_module(f"{published.__name__}.{module}")
    cases = [case for case in published._NodeTestCases if len(case.model.graph.node) == 1]
    return [case for case in cases if case.model.graph.node[0].op_type in OPERATORS]


def prepare(case: Any) -> Case:
    """Make a case a network with one input and images along the first axis."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph, kind = model.graph, model.graph.node[0].op_type
    (x, *weights), (y, *_) = case.data_sets[0]
    for weight, info in zip(weights, case.model.graph.input[1:], strict=True):
        constant(graph, info.name, weight)
    if kind in ELEMENTWISE or (kind in PAIRED and x.dtype == np.float32):
        x, y = x[None], y[None]  # the whole tensor is one image
        resize(graph.input[0], x.shape)
    if kind in PAIRED and weights[0].shape == x.shape[1:]:
        select(graph, x.shape)
        x = np.concatenate([x.reshape(1, -1), weights[0].reshape(1, -1)], axis=1)
    elif kind in PAIRED:
        behind(graph, y.size)
        y = y.reshape(1, -1)
    elif kind == "Gemm" and any(
        a.name == "transA" and a.i for a in case.model.graph.node[0].attribute
    ):
        x = x.T
    return Case(case.name, model, x, y, case.rtol, case.atol)


def resize(info: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    """Give an input or output another shape."""
    info.type.tensor_type.ClearField("shape")
    for size in shape:
        info.type.tensor_type.shape.dim.add(dim_value=size)


def insert(graph: onnx.GraphProto, where: int, *nodes: onnx.NodeProto) -> None:
    """Insert nodes before the node ``where``."""
    rest = list(graph.node)
    graph.ClearField("node")
    graph.node.extend([*rest[:where], *nodes, *rest[where:]])


def constant(graph: onnx.GraphProto, name: str, array: Array) -> None:
    """Add a weight."""
    graph.initializer.append(numpy_helper.from_array(array, name))


def select(graph: onnx.GraphProto, shape: tuple[int, ...]) -> None:
    """Read the two operands as the halves of one vector, selected by dense layers."""
    size = int(np.prod(shape))
    constant(graph, "first", np.eye(2 * size, size, dtype=np.float32))
    constant(graph, "second", np.eye(2 * size, size, -size, dtype=np.float32))
    constant(graph, "full", np.array(shape))
    insert(
        graph,
        0,
        helper.make_node("MatMul", ["both", "first"], ["flat_x"]),
        helper.make_node("MatMul", ["both", "second"], ["flat_y"]),
        helper.make_node("Reshape", ["flat_x", "full"], ["x"]),
        helper.make_node("Reshape", ["flat_y", "full"], ["y"]),
    )
    del graph.input[1], graph.initializer[0]
    graph.input[0].name = "both"
    resize(graph.input[0], (1, 2 * size))


def behind(graph: onnx.GraphProto, size: int) -> None:
    """Put a dense layer behind the last node that changes nothing."""
    constant(graph, "identity", np.eye(size, dtype=np.float32))
    insert(
        graph,
        len(graph.node),
        helper.make_node("Flatten", [graph.output[0].name], ["flat"]),
        helper.make_node("Gemm", ["flat", "identity"], ["result"]),
    )
    graph.output[0].name = "result"
    resize(graph.output[0], (1, size))


def reason(name: str) -> str | None:
    """Say why a case lies outside the plan, or ``None``."""
    return next((why for names, why in SKIPPED.items() if re.search(names, name)), None)


CASES = load_cases()


@pytest.mark.parametrize("published_case", CASES, ids=lambda case: case.name.removeprefix("test_"))
def test_published_case(published_case: Any) -> None:
    """The float reference computes what the ONNX project says, or the reader refuses the model."""
    case = prepare(published_case)
    if why := reason(case.name):
        with pytest.raises(ModelError):
            from_model(case.model)
        pytest.skip(why)
    outputs = forward(from_model(case.model), case.x).values()
    for found in outputs:
        np.testing.assert_allclose(found, case.y, rtol=case.rtol, atol=case.atol)


def test_how_many_cases_run() -> None:
    """Most of the published cases run; the others are listed with their reasons."""
    counts = Counter(reason(case.name) or "run" for case in CASES)
    print("\n".join(f"{count:4} {why}" for why, count in counts.most_common()))
    assert counts["run"] >= 100
    assert {case.model.graph.node[0].op_type for case in CASES if not reason(case.name)} == set(
        OPERATORS
    )
