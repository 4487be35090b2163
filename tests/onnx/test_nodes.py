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
from fxpnn.network.layers import Array
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import assert_floats_agree

OPERATORS = {
    "Abs": "abs",
    "Add": "add",
    "AveragePool": "averagepool",
    "BatchNormalization": "batch_normalization",
    "Clip": "clip",
    "Concat": "concat",
    "Conv": "conv",
    "ConvTranspose": "convtranspose",
    "DepthToSpace": "depthtospace",
    "Div": "div",
    "Dropout": "dropout",
    "Elu": "elu",
    "Expand": "expand",
    "Flatten": "flatten",
    "Gelu": "gelu",
    "Gemm": "gemm",
    "GRU": "gru",
    "GlobalAveragePool": "globalaveragepool",
    "GlobalMaxPool": "globalmaxpool",
    "GroupNormalization": "groupnormalization",
    "HardSigmoid": "hardsigmoid",
    "HardSwish": "hardswish",
    "Identity": "identity",
    "InstanceNormalization": "instance_normalization",
    "LSTM": "lstm",
    "LayerNormalization": "layernormalization",
    "LeakyRelu": "leakyrelu",
    "LpPool": "lppool",
    "MatMul": "matmul",
    "Max": "max",
    "MaxPool": "maxpool",
    "Min": "min",
    "Mish": "mish",
    "Mul": "mul",
    "Neg": "neg",
    "PRelu": "prelu",
    "Pad": "pad",
    "Pow": "pow",
    "RNN": "rnn",
    "ReduceL1": "reducel1",
    "ReduceMax": "reducemax",
    "ReduceMean": "reducemean",
    "ReduceMin": "reducemin",
    "ReduceSum": "reducesum",
    "ReduceSumSquare": "reducesumsquare",
    "Relu": "relu",
    "Reshape": "reshape",
    "Resize": "resize",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "SpaceToDepth": "spacetodepth",
    "Squeeze": "squeeze",
    "Sub": "sub",
    "Sum": "sum",
    "Swish": "swish",
    "Tanh": "tanh",
    "Tile": "tile",
    "Transpose": "transpose",
    "Unsqueeze": "unsqueeze",
}
"""Each operator, and the module of the onnx package that makes its cases."""

ELEMENTWISE = {
    "Abs",
    "Elu",
    "Expand",
    "Selu",
    "Softplus",
    "Softsign",
    "Mish",
    "Gelu",
    "Clip",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Neg",
    "PRelu",
    "Relu",
    "Sigmoid",
    "Swish",
    "Tanh",
    "Tile",
}

JOINING = {"Add", "Max", "Min", "Mul", "Sum", "Concat"}
"""What joins tensors that are all computed from images."""

SHIFTING = {"Sub", "Div", "Pow"}
"""What has one operand that is a constant."""

PASSING = {"Dropout", "Identity"}

RECURRENT = {"GRU", "LSTM", "RNN"}
"""What has the images along the second axis of its input, unless it says otherwise."""

INNER = {
    "Cast": ("cast", "a cast alone is no layer"),
    "Shape": ("shape", "a shape alone is no layer"),
    "QuantizeLinear": ("quantizelinear", "it stands in no pair with its inverse"),
    "DequantizeLinear": ("dequantizelinear", "it stands in no pair with its inverse"),
}
"""Operators that are read inside networks only: their modules, and why not alone."""

SKIPPED = {
    r"(conv|pool)\w*_3d": "its window has three axes; fxpnn has rows and maps",
    r"u?int(8|16|32|64)": "its tensors are integers; fxpnn reads float networks",
    r"training_mode": "it trains: it asks for the running mean and variance",
    r"edge_pad|reflect_pad|wrap_pad": "its tensors are integers; fxpnn reads float networks",
    r"resize_.*(antialias|tf_crop)": "it weighs more than the neighbours, or a part of the map",
    r"resize_down.*(linear|cubic)_align": "it aligns ends that lie between places",
    r"pow(_example|_bcast_array)?$": "its exponent differs from place to place",
    r"(max|min)_float(16|64)": "it is no batch of images",
    r"lppool_(1d_default|2d_(default|same_lower|pads))": "its p is not 2",
    r"matmul_(1d_3d|4d_1d|1d_1d)": "it multiplies by a vector; fxpnn has matrices",
    r"reduce_(l1|max|mean|min|sum|sum_square)_default_axes": "it joins the images",
    r"reduce_sum_empty_axes_input_noop": "it does nothing, and is no layer",
    r"reduce_(l1|max|min|sum|sum_square)_empty_set": "its tensors are empty",
    r"reduce_(max|min)_bool": "its tensors are of truth values",
    r"lstm_with_peepholes": "its gates look at the cell's state",
    r"identity_(sequence|opt)": "its tensors are sequences, or optional",
    r"training_dropout": "it trains: it draws what is dropped",
    r"gemm_default_matrix_bias": "its bias differs for each image",
    r"softmax_axis_0": "its softmax runs over the images of the batch",
    r"flatten_(axis[023]|negative_axis[124])": "it mixes the images of the batch",
    r"layer_normalization_(\dd_axis0|2d_axis_negative_2|3d_axis_negative_3|4d_axis_negative_4)": (
        "it normalises over the images of the batch"
    ),
    r"reshape_(reordered_all|one_dim|allowzero)": "it mixes the images",
    r"transpose_all_permutations_[23]": "it moves the images' axis alone, and is no layer",
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
        for module in (*OPERATORS.values(), *(module for module, _ in INNER.values())):
            importlib.import_module(f"{published.__name__}.{module}")
    cases = [case for case in published._NodeTestCases if len(case.model.graph.node) == 1]
    return [case for case in cases if operator(case) in {*OPERATORS, *INNER}]


def operator(case: Any) -> str:
    """Name the one operator of a case."""
    return str(case.model.graph.node[0].op_type)


def prepare(case: Any) -> Case:
    """Make a case a network with one input and images along the first axis."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph, kind = model.graph, operator(case)
    (x, *weights), (y, *_) = case.data_sets[0]
    if kind == "Tile":
        weights = [np.insert(weights[0], 0, 1)]
    stacked = kind == "MatMul" and min(x.ndim, weights[0].ndim) > 2
    single = getattr(x, "dtype", None) == np.float32
    image = stacked or (kind in JOINING | SHIFTING | PASSING and single)
    alike = kind == "Concat" or all(weight.shape == x.shape for weight in weights)
    if not (joins := stacked or (image and alike and kind in JOINING)):
        for weight, info in zip(weights, case.model.graph.input[1:], strict=True):
            constant(graph, info.name, weight)
    if kind == "LayerNormalization":
        del graph.output[1:]  # the mean and the deviation, which training asks for
    if kind in ELEMENTWISE or image:
        x, y = x[None], y[None]  # the whole tensor is one image
        resize(graph.input[0], x.shape)
    if joins:
        x = select(graph, [x[0], *weights])
    elif image:
        behind(graph, y.size)
        y = y.reshape(1, -1)
    if kind == "Gemm" and any(a.name == "transA" and a.i for a in graph.node[0].attribute):
        x = x.T
    if kind in RECURRENT:
        del graph.output[1:]
        batch_first = any(a.name == "layout" and a.i for a in graph.node[0].attribute)
        x = x if batch_first else x.swapaxes(0, 1)
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


def select(graph: onnx.GraphProto, operands: list[Array]) -> Array:
    """Read the operands as parts of one vector, selected by dense layers; return the vector."""
    total, start = sum(operand.size for operand in operands), 0
    for attribute in graph.node[0].attribute:
        attribute.i += attribute.i >= 0  # Concat's axis, behind that of the batch
    for info, operand in zip(list(graph.input), operands, strict=True):
        name, size = info.name, operand.size
        constant(graph, f"{name}_part", np.eye(total, size, -start, dtype=np.float32))
        constant(graph, f"{name}_shape", np.array([1, *operand.shape]))
        insert(
            graph,
            len(graph.node) - 1,
            helper.make_node("MatMul", ["all", f"{name}_part"], [f"{name}_flat"]),
            helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [name]),
        )
        start += size
    del graph.input[1:]
    graph.input[0].name = "all"
    resize(graph.input[0], (1, total))
    return np.concatenate([operand.reshape(1, -1) for operand in operands], axis=1)


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
    """Say why a case of an operator lies outside the plan, or ``None``."""
    return next((why for names, why in SKIPPED.items() if re.search(names, name)), None)


CASES = load_cases()
ALONE = [case for case in CASES if operator(case) in OPERATORS]
WITHIN = [case for case in CASES if operator(case) in INNER]


@pytest.mark.parametrize("published_case", ALONE, ids=lambda case: case.name.removeprefix("test_"))
def test_published_case(published_case: Any) -> None:
    """The float reference computes what the ONNX project says, or the reader refuses the model."""
    case = prepare(published_case)
    if why := reason(case.name):
        with pytest.raises(ModelError):
            from_model(case.model)
        pytest.skip(why)
    outputs = forward(from_model(case.model), case.x).values()
    for found in outputs:
        wanted = images_first(case.y, found.shape)
        assert_floats_agree(found, wanted, case.rtol, case.atol)  # as the case allows


def images_first(y: Array, shape: tuple[int, ...]) -> Array:
    """Return an array with the images, which may lie along any axis, first; one may have none."""
    turned = [y, y[None], *(np.moveaxis(y, axis, 0) for axis in range(1, y.ndim))]
    return next((array for array in turned if array.shape == shape), y)


@pytest.mark.parametrize("published_case", WITHIN, ids=lambda case: case.name)
def test_published_case_that_is_no_network(published_case: Any) -> None:
    """Operators that are read inside networks only are refused alone."""
    with pytest.raises(ModelError):
        from_model(published_case.model)


def test_how_many_cases_run() -> None:
    """Most of the published cases run; the others are listed with their reasons."""
    counts = Counter(reason(case.name) or "run" for case in ALONE)
    counts.update(INNER[operator(case)][1] for case in WITHIN)
    print("\n".join(f"{count:4} {why}" for why, count in counts.most_common()))
    assert counts["run"] >= 120
    assert {operator(case) for case in ALONE if not reason(case.name)} == set(OPERATORS)
