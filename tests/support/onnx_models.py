"""Small ONNX models for tests, written node by node, and what they must become."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from fxpnn.errors import ModelError
from fxpnn.network.folding import without_normalisation
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array
from fxpnn.onnx import from_model
from fxpnn.onnx.graph.proto import parse
from fxpnn.reference import forward

FLOAT = onnx.TensorProto.FLOAT
MAPS = ("N", 2, 6, 5)
"""The shape of a batch of two maps."""


def floats(*shape: int) -> Array:
    """Make float32 parameters or inputs that look random, the same for the same shape."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def op(kind: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """Make a node; inputs and outputs are names with spaces between, ``-`` for one left out."""
    reads = ["" if text == "-" else text for text in inputs.split()]
    return helper.make_node(kind, reads, outputs.split(), name or None, **attributes)


def model(
    *nodes: onnx.NodeProto,
    shape: Sequence[int | str | None] = ("N", 4),
    weights: Mapping[str, npt.ArrayLike] | None = None,
    outputs: str = "y",
    opset: int = 17,
    kind: int = FLOAT,
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """Make a model that reads ``x`` of ``shape``; weights that are Python floats become float32."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, FLOAT, ()) for name in outputs.split()],
        [weight(name, value) for name, value in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid(d, v) for d, v in {"": opset, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def weight(name: str, value: npt.ArrayLike) -> onnx.TensorProto:
    """Make an initializer."""
    array = np.asarray(value, np.float32 if isinstance(value, float) else None)
    return numpy_helper.from_array(array, name)


def runtime(proto: onnx.ModelProto, x: Array, *, fused: bool = True) -> list[Array]:
    """Run a model in ONNX Runtime, which may fuse operators or take each as it stands."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says of odd models is no result
    # No pool of threads is made: thousands of them, one after another, have once hung a whole run.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    outputs: list[Array] = session.run(None, {session.get_inputs()[0].name: x})
    return outputs


class Form(NamedTuple):
    """A model and the layers that it must become, with spaces between."""

    layers: str
    model: onnx.ModelProto


def form(layers: str, *nodes: onnx.NodeProto, **settings: Any) -> Form:
    """Make a model and say the layers that it must become."""
    return Form(layers, model(*nodes, **settings))


def assert_floats_agree(
    found: Array, wanted: Array, rtol: float = 1e-5, atol: float = 1e-5
) -> None:
    """Compare float32 results of two programs, which add in different orders: not to the bit.

    Where two results must have the same bits, tests compare with ``==`` instead.
    """
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)


def check(case: Form) -> Network:
    """Assert that a model becomes its layers, and that ONNX Runtime computes the same of it.

    So it does where a normalisation of the input is the layers' part.
    """
    network = from_model(case.model)
    assert " ".join(node.op for node in network.nodes) == case.layers
    batch = case.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    x = floats(batch or 3, *network.input_shape)
    wanted = runtime(case.model, x)
    for entered in (network, without_normalisation(network)):
        found = forward(entered, x)
        for name, y in zip(network.outputs, wanted, strict=True):
            assert_floats_agree(found[name], y)
    return network


def refuse(refused: onnx.ModelProto, message: str) -> None:
    """Assert that a model is refused with exactly this message."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        from_model(parse(refused.SerializeToString()))
