"""Models become networks: names, shapes, batches, outputs and scaling are what the file says."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from fxpnn.errors import ModelError
from fxpnn.network.graph import Scaling
from fxpnn.network.layers import Shape
from fxpnn.onnx import from_model, load
from fxpnn.reference import forward
from tests.support.onnx_models import MAPS, assert_floats_agree, floats, model, op, runtime

OPEN = ("N", 2, "H", None)
CONV = model(op("Conv", "x k", "y"), weights={"k": floats(3, 2, 3, 3)}, shape=OPEN)
"""A fully convolutional network of maps of any height and width."""


def test_names_are_those_of_the_file() -> None:
    """A layer has its node's name, or its output's; doubled names are told apart by a number."""
    made = model(
        op("Relu", "x", "a", "twin"),
        op("Tanh", "a", "b", "twin"),
        op("Relu", "b", "input"),
        op("Relu", "input", "y", "last"),
    )
    network = from_model(made)
    assert [node.name for node in network.nodes] == ["twin", "twin_2", "input_2", "last"]
    assert network.name == "test"


@pytest.mark.parametrize("batch", [1, 2, "N", None])
def test_any_batch_runs_any_number_of_images(batch: int | str | None) -> None:
    """A batch that the file fixes does not fix how many images fxpnn runs."""
    nodes = op("Reshape", "x s", "a"), op("Gemm", "a w", "y")
    weights = {"s": np.array([batch if isinstance(batch, int) else -1, 12]), "w": floats(12, 5)}
    network = from_model(model(*nodes, shape=(batch, 3, 4), weights=weights))
    x = floats(7, 3, 4)
    expected = x.reshape(7, 12) @ floats(12, 5)
    assert_floats_agree(forward(network, x)["y"], expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 9, 4)])
def test_sizes_that_are_open_can_be_given(tmp_path: Path, shape: Shape) -> None:
    """Height and width left open are fixed by the caller, and ONNX Runtime agrees."""
    path = tmp_path / "open.onnx"
    path.write_bytes(CONV.SerializeToString())
    x = floats(2, *shape)
    found = forward(load(path, shape), x)["y"]
    assert_floats_agree(found, runtime(CONV, x)[0])


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 4), (2, 4, 4, 1)])
def test_a_shape_must_agree_with_the_file(shape: Shape) -> None:
    """A shape that is given cannot change what the file fixes."""
    message = f"input x must be (2, ?, ?), not ({', '.join(map(str, shape))})"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        from_model(CONV, shape=shape)


def test_a_file_may_leave_shapes_out(tmp_path: Path) -> None:
    """Without any shape of the input, the one that is given holds."""
    made = model(op("Relu", "x", "y"))
    for info in (made.graph.input[0], made.graph.output[0]):
        info.type.tensor_type.ClearField("shape")
    path = tmp_path / "shapeless.onnx"
    path.write_bytes(made.SerializeToString())
    assert load(path, (3, 5)).input_shape == (3, 5)


def test_several_outputs_keep_their_order() -> None:
    """Outputs are the nodes that make them, in the file's order."""
    made = model(op("Relu", "x", "a"), op("Tanh", "a", "b"), outputs="b a")
    assert from_model(made).outputs == ("b", "a")


def test_labels_that_a_classifier_adds_are_left_out() -> None:
    """Integer outputs, and the map of names to probabilities, are what scikit-learn adds."""
    made = model(
        op("Gemm", "x w", "a"),
        op("Softmax", "a", "b"),
        op("ArgMax", "b", "label", axis=1),
        op("ZipMap", "b", "named", domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
        weights={"w": floats(4, 3)},
        outputs="label named",
        domains={"ai.onnx.ml": 1},
    )
    label, named = made.graph.output
    label.type.tensor_type.elem_type = onnx.TensorProto.INT64
    kind = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    key = onnx.TensorProto.INT64
    named.type.CopyFrom(helper.make_sequence_type_proto(helper.make_map_type_proto(key, kind)))
    network = from_model(made)
    assert [node.op for node in network.nodes] == ["Dense", "Softmax"]
    assert network.outputs == ("b",)


def test_an_output_named_twice_is_refused() -> None:
    """Two outputs of one layer would be told apart by nothing."""
    made = model(op("Relu", "x", "a"), op("Identity", "a", "b"), outputs="a b")
    with pytest.raises(ModelError, match=r"^outputs must be unique, not a, a$"):
        from_model(made)


def test_pixels_may_be_cast_by_the_model() -> None:
    """An input of uint8 that is cast at once is a float network's."""
    cast = op("Cast", "x", "a", to=onnx.TensorProto.FLOAT), op("Relu", "a", "y")
    network = from_model(model(*cast, kind=onnx.TensorProto.UINT8))
    assert [node.op for node in network.nodes] == ["Relu"]


def test_scaling_is_read_from_metadata() -> None:
    """Keys that are there hold; the others have their defaults."""
    made = model(op("Relu", "x", "y"), shape=MAPS)
    assert from_model(made).scaling == Scaling()
    made.metadata_props.add(key="fxpnn.scale", value="0.25")
    made.metadata_props.add(key="fxpnn.mean", value="0.5, 1e-3")
    made.metadata_props.add(key="author", value="someone else")
    assert from_model(made).scaling == Scaling(0.25, (0.5, 0.001), (1.0,))


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 22, onnx.defs.onnx_opset_version()])
def test_every_opset_is_read(opset: int) -> None:
    """A network of operators that all opsets have is the same in each."""
    conv = op("Conv", "x k", "a", pads=[1, 1, 1, 1])
    pool = op("MaxPool", "a", "b", kernel_shape=[2, 2], strides=[2, 2])
    dense = op("Flatten", "b", "c"), op("Gemm", "c w b0", "y")
    weights = {"k": floats(3, 2, 3, 3), "w": floats(18, 4), "b0": floats(4)}
    network = from_model(model(conv, pool, *dense, shape=MAPS, weights=weights, opset=opset))
    assert [node.op for node in network.nodes] == ["Conv2D", "MaxPool2D", "Flatten", "Dense"]
