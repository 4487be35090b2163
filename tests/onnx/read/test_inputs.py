"""ONNX models of several inputs: names and order are kept, and floats are those of ONNX Runtime."""

import logging
import re

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from fxpnn import compare, explain, infer, quantize
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.inputs import Input
from fxpnn.onnx import from_model, to_model
from fxpnn.onnx.read.model import Wanted, read_model
from fxpnn.onnx.write.dialects import Dialect, Qdq, Qonnx
from fxpnn.onnx.write.quantized import to_quantized_model
from fxpnn.quantization.quantizer import propose
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import forward, predict
from tests.support.onnx_models import FLOAT, op
from tests.support.two_inputs import arrays, two_inputs

INPUTS = (Input("image", (1, 6, 6)), Input("beside", (3,)))


@pytest.fixture(scope="module")
def network() -> Network:
    """Read the model."""
    return from_model(two_inputs())


@pytest.fixture(scope="module")
def fixed(network: Network) -> FixedNetwork:
    """Quantize it on 200 images."""
    return quantize(network, arrays(200))


def run_onnx(model: onnx.ModelProto, x: dict[str, np.ndarray]) -> np.ndarray:
    """Run ONNX Runtime on arrays by name."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, x)[0])


def test_inputs_keep_their_names_and_order(network: Network) -> None:
    """They stand before all layers, in the file's order."""
    assert network.inputs == INPUTS
    assert [*network.shapes][:3] == ["image", "beside", "conv"]
    assert network.image_shape == (39,)


def test_floats_are_those_of_onnx_runtime(network: Network) -> None:
    """So they are for the model as written back, whose inputs have the same names."""
    x = arrays(5, seed=1)
    wanted = run_onnx(two_inputs(), x)
    np.testing.assert_allclose(forward(network, x)["softmax"], wanted, atol=1e-6)
    np.testing.assert_allclose(predict(network, x)["softmax"], wanted, atol=1e-6)
    written = to_model(network)
    np.testing.assert_allclose(run_onnx(written, x), wanted, atol=1e-6)
    again = from_model(written)
    assert again.inputs == INPUTS
    assert np.array_equal(forward(again, x)["softmax"], forward(network, x)["softmax"])


def test_each_input_gets_a_format_of_its_own(fixed: FixedNetwork) -> None:
    """The range of one takes no bits from the other."""
    image, beside = fixed.inputs
    assert (image.format, beside.format) == (QFormat(16, 14), QFormat(16, 8))


def test_16_bits_lose_nothing_that_matters(network: Network, fixed: FixedNetwork) -> None:
    """A comparison counts each input's losses by its name; what explains them is known too."""
    x = arrays(100, seed=2)
    report = compare(network, fixed, x)
    assert [layer.name for layer in report.layers][:2] == ["image", "beside"]
    assert [layer.op for layer in report.layers][:2] == ["Input", "Input"]
    assert report.accuracy.flips == 0
    assert min(layer.sqnr_db or 0 for layer in report.layers) > 50
    coarse = quantize(network, arrays(200), Settings(word=4))
    found = explain(network, coarse, x, calibration=arrays(200))
    assert [layer.name for layer in found.layers][:2] == ["image", "beside"]
    assert found.given.flips


@pytest.mark.parametrize("kind", [Qonnx, Qdq])
def test_quantized_onnx_gives_the_same_integers(fixed: FixedNetwork, kind: type[Dialect]) -> None:
    """The cast of each input is in the file, and reading it calibrates nothing."""
    if kind is Qdq:
        fixed = quantize(from_model(two_inputs()), arrays(200), Settings(word=8))
    network, given = read_model(to_quantized_model(fixed, kind))
    again = propose(network, None, Plan().completed(given)).fixed
    assert again.inputs == fixed.inputs
    x = arrays(20, seed=3)
    assert infer(again, x).raw.tolist() == infer(fixed, x).raw.tolist()


def test_calibration_reports_each_input(network: Network) -> None:
    """A feature whose words are all one is told by its input and place."""
    x = arrays(100)
    x["beside"][:, 1] *= 1e-6
    notes = propose(network, x).notes
    assert notes[0] == (
        "beside: Q6.9 turns all values of channel 1 into one word; features of unequal range lose "
        "less if all are scaled to one range before"
    )


def test_what_nothing_reads_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """It is told; a model of which one input is left has a network of one."""
    made = two_inputs()
    made.graph.input.append(helper.make_tensor_value_info("mask", FLOAT, ["N", 9]))
    with caplog.at_level(logging.WARNING):
        assert from_model(made).inputs == INPUTS
    assert caplog.messages == ["pair: input mask: left out; nothing reads it"]
    one = helper.make_graph(
        [op("Relu", "beside", "y")], "one", made.graph.input, [made.graph.output[0]]
    )
    one.output[0].name = "y"
    opsets = [helper.make_opsetid("", 17)]
    alone = from_model(helper.make_model(one, opset_imports=opsets, ir_version=8))
    assert alone.inputs == (Input("input", (3,)),)


def test_sizes_that_are_open_are_given_by_name() -> None:
    """A mapping gives them, or what is asked for the sizes of one."""
    made = two_inputs(sizes=False)
    asked = []

    def seen(sizes: tuple[int, ...], name: str) -> tuple[int, ...]:
        asked.append((sizes, name))
        return (3,)

    assert from_model(made, shape={"beside": (3,)}).inputs == INPUTS
    assert from_model(made, shape=seen).inputs == INPUTS
    assert asked == [((0,), "beside")]


def odd_batches() -> onnx.ModelProto:
    """Make a model whose inputs have other numbers of images."""
    made = two_inputs()
    for info, batch in zip(made.graph.input, (2, 3), strict=True):
        info.type.tensor_type.shape.dim[0].dim_value = batch
    return made


@pytest.mark.parametrize(
    ("made", "shape", "message"),
    [
        (
            two_inputs(sizes=False),
            None,
            "input beside leaves sizes open; a shape must be given for (?)",
        ),
        (
            two_inputs(),
            {"beide": (3,)},
            "shapes must be of its inputs (image, beside), not of beide",
        ),
        (two_inputs(), (3,), "shapes must be given by the names of its inputs: image, beside"),
        (
            odd_batches(),
            None,
            "inputs must have one size of the batch, not 2 in image, 3 in beside",
        ),
    ],
)
def test_refusals(made: onnx.ModelProto, shape: Wanted, message: str) -> None:
    """They name the input."""
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        from_model(made, shape=shape)
