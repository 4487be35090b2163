"""What a model does to its input before the first layer is its normalisation, no layer's part."""

import numpy as np
import onnx
import pytest

from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Dense
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import assert_floats_agree, floats, model, op, runtime

WEIGHTS: dict[str, Array] = {
    "w": floats(4, 3),
    "m": np.array([3, -2, 5, 0], np.float32),
    "s": np.array([2, 4, 0.5, 8], np.float32),
    "one": np.array(0.25, np.float32),
    "v": np.array([4, 1, 16, 0.25], np.float32),
}
ML = {"domain": "ai.onnx.ml"}
SCALER = op("Scaler", "x", "b", offset=[3.0, -2, 5, 0], scale=[0.5, 0.25, 2, 0.125], **ML)
BATCH_NORM = op("BatchNormalization", "x s m m v", "b", epsilon=0.0)
GEMM = op("Gemm", "b w", "y")


def read(*nodes: onnx.NodeProto) -> tuple[Network, onnx.ModelProto]:
    """Read a model of these nodes."""
    made = model(*nodes, weights=WEIGHTS, domains={"ai.onnx.ml": 3})
    return from_model(made), made


@pytest.mark.parametrize(
    "nodes",
    [
        (op("Sub", "x m", "a"), op("Div", "a s", "b")),
        (op("Mul", "x one", "a"), op("Add", "m a", "b")),
        (op("Identity", "x", "a"), op("Neg", "a", "c"), op("Sub", "m c", "b")),
        (SCALER,),
        (BATCH_NORM,),
    ],
)
def test_constants_at_the_start_are_the_normalisation(nodes: tuple[onnx.NodeProto, ...]) -> None:
    """The weights behind them stay as they are, and the network computes what the model does."""
    network, made = read(*nodes, GEMM)
    assert network.normalisation is not None
    (node,) = network.nodes
    assert isinstance(node.layer, Dense)
    assert np.array_equal(node.layer.weight, WEIGHTS["w"].T)
    x = floats(9, 4)
    assert_floats_agree(forward(network, x)[network.outputs[0]], runtime(made, x)[0])


@pytest.mark.parametrize(
    ("nodes", "weight"),
    [
        ((op("Flatten", "b", "f"), op("Gemm", "f w", "y")), floats(12, 3)),
        ((op("Conv", "b w", "y"),), floats(2, 3, 3)),
    ],
)
def test_values_that_are_moved_first_are_normalised(
    nodes: tuple[onnx.NodeProto, ...], weight: Array
) -> None:
    """A flatten, or rows that are held as maps, stand between it and the weights."""
    scale = op("Mul", "x s", "b")
    weights = {"s": np.array([[2], [500], [0.25]], np.float32), "w": weight}
    made = model(scale, *nodes, weights=weights, shape=("N", 3, 4))
    network = from_model(made)
    assert network.normalisation is not None
    x = floats(9, 3, 4)
    assert_floats_agree(forward(network, x)[network.outputs[0]], runtime(made, x)[0])


@pytest.mark.parametrize(
    "nodes",
    [
        (op("Relu", "x", "r"), op("Sub", "r m", "b"), GEMM),
        (op("Sub", "x m", "b"), op("Add", "b x", "c"), op("Gemm", "c w", "y")),
        (op("Mul", "x one", "y"),),
    ],
)
def test_what_else_reads_the_input_leaves_it_as_it_is(nodes: tuple[onnx.NodeProto, ...]) -> None:
    """A layer in between, a second reader of the input, or nothing behind it."""
    network, made = read(*nodes)
    assert network.normalisation is None
    x = floats(9, 4)
    assert_floats_agree(forward(network, x)[network.outputs[0]], runtime(made, x)[0])
