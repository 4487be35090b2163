"""Small ONNX models for tests, written node by node."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from fxpnn.layers import Array

FLOAT = onnx.TensorProto.FLOAT


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
    weights: Mapping[str, Array] | None = None,
    outputs: str = "y",
    opset: int = 17,
    kind: int = FLOAT,
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """Make a model that reads ``x`` of ``shape`` and gives ``outputs``."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, FLOAT, ()) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(w), n) for n, w in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid(d, v) for d, v in {"": opset, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def runtime(proto: onnx.ModelProto, x: Array) -> list[Array]:
    """Run a model in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # refusals are the tests' business
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    outputs: list[Array] = session.run(None, {session.get_inputs()[0].name: x})
    return outputs
