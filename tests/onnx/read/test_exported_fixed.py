"""What exporters write, in fixed point: the engine is the golden model, and near the floats."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import from_float, to_float
from fxpnn.onnx import load
from fxpnn.quantization.quantizer import quantize
from fxpnn.reference import forward
from tests.support.agreement import agree
from tests.support.onnx_models import floats
from tests.support.strategies import NetworkCase

FOLDER = Path(__file__).parents[2] / "vectors" / "onnx"
IMAGES = 64

FLOORS = {
    "keras-decoder": 65,
    "keras-encoder": 75,
    "keras-gru": 73,
    "keras-lstm": 71,
    "keras-mixer": 83,
    "sklearn-classifier": 66,
    "sklearn-regressor": 77,
    "sklearn-stacking": 80,
    "sklearn-voting": 75,
    "torch-decoder-dynamo": 79,
    "torch-decoder-opset13": 79,
    "torch-efficientnet-dynamo": 75,
    "torch-efficientnet-opset17": 70,
    "torch-einsum-dynamo": 73,
    "torch-einsum-opset17": 73,
    "torch-encoder-dynamo": 78,
    "torch-encoder-opset13": 78,
    "torch-causal-dynamo": 74,
    "torch-causal-opset17": 74,
    "torch-grouped-dynamo": 73,
    "torch-grouped-opset17": 73,
    "torch-gru-dynamo": 73,
    "torch-gru-opset17": 73,
    "torch-layer-dynamo": 81,
    "torch-layer-opset17": 74,
    "torch-lenet-dynamo": 79,
    "torch-lenet-opset11": 76,
    "torch-lstm-dynamo": 83,
    "torch-lstm-opset17": 83,
    "torch-mixer-dynamo": 70,
    "torch-mixer-opset16": 70,
    "torch-mlp-dynamo": 78,
    "torch-mlp-opset9": 77,
    "torch-mobilenet-dynamo": 68,
    "torch-mobilenet-opset10": 74,
    "torch-resnet-dynamo": 79,
    "torch-resnet-opset13": 81,
    "torch-transformer-dynamo": 73,
    "torch-transformer-opset17": 73,
}
"""The least SQNR of each file's outputs, in dB: 3 to 4 below what was measured."""

OFFERED = {
    "torch": "ConvTranspose DepthToSpace Einsum Erf Expand GRU Gelu InstanceNormalization LSTM "
    "LayerNormalization MatMul Mish ReduceMax ReduceMean ReduceSum Resize Selu Tile",
    "keras": "ConvTranspose DepthToSpace Erf GlobalMaxPool LSTM ReduceMax ReduceMean ReduceSum "
    "Resize Selu Softsign SpaceToDepth Tile",
    "sklearn": "Concat Sum",
}
"""Operators that each exporter writes, of those that move, spread, normalise or join."""


@pytest.mark.parametrize("exporter", OFFERED)
def test_what_an_exporter_offers_is_there(exporter: str) -> None:
    """Each operator stands in a file of each exporter that writes it."""
    models = [onnx.load(path) for path in FOLDER.glob(f"{exporter}-*.onnx")]
    found = {node.op_type for model in models for node in model.graph.node}
    assert set(OFFERED[exporter].split()) <= found


def test_every_file_is_held() -> None:
    """No exported model lies unused in the folder."""
    assert {path.stem for path in FOLDER.glob("*.onnx")} == set(FLOORS)


@pytest.mark.parametrize("name", FLOORS)
def test_an_exported_model_keeps_its_bits(name: str) -> None:
    """Engine and golden model agree in every tensor, and the outputs are as near as measured."""
    network = load(FOLDER / f"{name}.onnx")
    x = floats(IMAGES, *network.input_shape)
    fixed = quantize(network, x)
    agree(NetworkCase(fixed, from_float(x[:1], fixed.input_format).astype(np.int16)))
    run, wanted = infer(fixed, x, keep=fixed.outputs), forward(network, x)
    for output in network.outputs:
        off = to_float(run.tensors[output], fixed.formats[output]) - wanted[output]
        sqnr = 10 * math.log10((wanted[output] ** 2).sum() / (off**2).sum())
        assert sqnr >= FLOORS[name]
