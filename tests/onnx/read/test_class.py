"""Networks that end in a LogSoftmax or an ArgMax give their logits, whose class is the same."""

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

import fxpnn
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import assert_floats_agree, floats, model, op, refuse, runtime

GEMM = op("Gemm", "x w", "h", "logits")
WEIGHTS = {"w": floats(4, 5)}


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_log_softmax_at_the_end(opset: int) -> None:
    """The log-softmax of the network's output is what ONNX Runtime gives; classes are equal."""
    proto = model(GEMM, op("LogSoftmax", "h", "y", axis=1), weights=WEIGHTS, opset=opset)
    network, x = from_model(proto), floats(200, 4)
    assert network.outputs == ("logits",)
    logits, (wanted,) = forward(network, x)["logits"], runtime(proto, x)
    assert_floats_agree(logits - np.log(np.exp(logits).sum(1, keepdims=True)), wanted)
    assert (logits.argmax(1) == wanted.argmax(1)).all()


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axis", [1, -1])
def test_arg_max_at_the_end(axis: int, keepdims: int) -> None:
    """The predictions are what ONNX Runtime's ArgMax gives."""
    choose = op("ArgMax", "h", "y", axis=axis, keepdims=keepdims)
    proto = model(GEMM, choose, weights=WEIGHTS)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    network, x = from_model(proto), floats(200, 4)
    logits, (wanted,) = forward(network, x)["logits"], runtime(proto, x)
    assert (logits.argmax(1) == wanted.reshape(-1)).all()
    sorted_logits = np.sort(logits, 1)
    apart = sorted_logits[:, -1] - sorted_logits[:, -2] > 0.01
    predictions = fxpnn.infer(fxpnn.quantize(network, x), x).predictions
    assert (predictions == wanted.reshape(-1))[apart].all()


def test_log_softmax_and_arg_max_are_refused_inside_a_network() -> None:
    """What reads logarithms or classes needs their values, which the logits are not."""
    reason = "must be an output that alone reads its logits; they are left in its place"
    log = op("LogSoftmax", "h", "l", axis=1)
    refuse(
        model(GEMM, log, op("Relu", "l", "y"), weights=WEIGHTS),
        f"LogSoftmax (node l, opset 17): {reason}",
    )
    refuse(
        model(GEMM, log, op("Relu", "h", "y"), weights=WEIGHTS, outputs="l y"),
        f"LogSoftmax (node l, opset 17): {reason}",
    )


def test_other_axes_are_refused() -> None:
    """Classes are counted along the last axis of a vector, the first of equals."""
    refuse(
        model(GEMM, op("LogSoftmax", "h", "y", axis=0), weights=WEIGHTS),
        "LogSoftmax (node y, opset 17): axis must be the last of vectors, not 0 of 2 axes",
    )
    top = {**WEIGHTS, "k": np.array([3])}
    refuse(
        model(GEMM, op("TopK", "h k", "v y"), weights=top),
        "TopK (node v, opset 17): k must be 1: what it reads has the class of the largest, and no "
        "order",
    )
    top["k"] = np.array([1])
    refuse(
        model(GEMM, op("TopK", "h k", "v y", largest=0), weights=top),
        "TopK (node v, opset 17): largest must be 1",
    )
    refuse(
        model(GEMM, op("ArgMax", "h", "y", axis=1, select_last_index=1), weights=WEIGHTS),
        "ArgMax (node y, opset 17): select_last_index must be 0",
    )


ENDS = {
    "the place of the largest": (op("TopK", "l one", "v a", axis=1), op("Squeeze", "a one", "y")),
    "the largest value": (op("TopK", "l one", "y a"),),
    "a class as 32 bits": (op("ArgMax", "l", "a", axis=1), op("Cast", "a", "y", to=6)),
    "a class without its axis": (op("ArgMax", "l", "a", axis=1), op("Squeeze", "a one", "y")),
    "the class of logarithms": (
        op("LogSoftmax", "l", "a", axis=1),
        op("Identity", "a", "b"),
        op("ArgMax", "b", "y", axis=-1, keepdims=0),
    ),
}


@pytest.mark.parametrize("nodes", ENDS.values(), ids=ENDS)
def test_forms_of_a_class_are_left_out_and_told(
    nodes: tuple[NodeProto, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """The logits stand for whatever exporters write behind them, and a note says so."""
    weights = {"w": floats(4, 3), "one": np.array([1])}
    network = from_model(model(op("Gemm", "x w", "l"), *nodes, weights=weights))
    assert [node.op for node in network.nodes] == ["Dense"]
    assert "left out; the output is what it reads, whose class is the same" in caplog.text


def test_the_logarithm_of_a_softmax_is_left_out() -> None:
    """At the end it keeps the order of the classes."""
    made = model(op("Softmax", "x", "a", axis=1), op("Log", "a", "y"))
    assert [node.op for node in from_model(made).nodes] == ["Softmax"]
