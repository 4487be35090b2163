"""Files of several inputs as exporters write them: floats, formats and bits."""

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import to_float
from fxpnn.onnx import load
from fxpnn.quantization.quantizer import quantize
from fxpnn.reference import forward
from tests.support.agreement import agree
from tests.support.onnx_models import assert_floats_agree, floats
from tests.support.strategies import NetworkCase

FOLDER = Path(__file__).parents[2] / "vectors" / "onnx" / "inputs"
IMAGES = 64

FLOORS = {"keras-joined": 80, "torch-gated-dynamo": 74, "torch-gated-opset13": 74}
"""The least SQNR of each file's output, in dB: 3 to 4 below what was measured."""


def test_every_file_is_held() -> None:
    """No exported model lies unused in the folder."""
    assert {path.stem for path in FOLDER.glob("*.onnx")} == set(FLOORS)


@pytest.mark.parametrize("name", FLOORS)
def test_an_exported_model_keeps_its_inputs_and_bits(name: str) -> None:
    """Inputs keep their names; engine and golden model agree; the output is near ONNX Runtime's."""
    path = FOLDER / f"{name}.onnx"
    network = load(path)
    assert [it.name for it in network.inputs] == ["image", "beside"]
    x = {it.name: floats(IMAGES, *it.shape) for it in network.inputs}
    wanted = onnxruntime.InferenceSession(path).run(None, x)[0]
    output = network.outputs[0]
    assert_floats_agree(forward(network, x)[output], wanted)
    fixed = quantize(network, x)
    run = infer(fixed, x, keep=fixed.shapes)
    row = [run.tensors[it.name][:1].reshape(1, -1) for it in fixed.inputs]
    agree(NetworkCase(fixed, np.concatenate(row, axis=1)))
    off = to_float(run.raw, fixed.formats[output]) - wanted
    sqnr = 10 * math.log10((wanted**2).sum() / (off**2).sum())
    assert sqnr >= FLOORS[name]
