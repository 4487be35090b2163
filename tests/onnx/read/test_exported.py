"""Models that are files: those of PyTorch, Keras and scikit-learn, and fxpnn's own."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from fxpnn.datasets import load_data
from fxpnn.onnx import from_model, load, to_model
from fxpnn.reference import forward
from tests.support.onnx_models import assert_floats_agree, floats, runtime

FOLDER = Path(__file__).parents[2] / "vectors" / "onnx"
BUNDLED = sorted((Path(__file__).parents[3] / "models").glob("*.onnx"))
RESIDUAL = "Conv2D Relu Conv2D Add Relu"
SHRINKING = "Conv2D Relu Conv2D Conv2D Add Relu"
MOBILE = (
    "Conv2D HardSwish Conv2D Clip Conv2D HardSwish Conv2D Add HardSigmoid Concat "
    "AvgPool2D Reshape Dense"
)
EXCITED = "AvgPool2D Conv2D Silu Conv2D Sigmoid Mul"
EFFICIENT = f"Conv2D Silu Conv2D Silu Conv2D Silu {EXCITED} Conv2D Add Conv2D HardSwish AvgPool2D"
DECODER = (
    "Conv2D Gelu Reshape Pad Reshape Conv2D Selu Take Take Conv2D Mish Take Take Conv2D "
    "Reshape Transpose Reshape Conv2D Reshape Transpose Reshape Clip"
)
SCALED = SUMMED = "Reshape Conv2D Reshape"
MIXED = "Take Take Add MaxPool2D"
JOINED = f"{SUMMED} MaxPool2D Reshape Reshape AvgPool2D Reshape {SUMMED} Reshape MaxPool2D Reshape"
ENCODER = f"Reshape Transpose Reshape Conv2D Softsign AvgPool2D Take Take Add Conv2D {MIXED}"
MIXER = (
    "LayerNorm Reshape Conv2D GeluTanh Conv2D Reshape Add Reshape LayerNorm Reshape Conv2D Gelu "
    "Reshape Pad Reshape Conv2D Add Reshape Reshape LayerNorm Reshape Transpose Reshape AvgPool2D "
    "Reshape Dense"
)
LINEAR = "Transpose Reshape Conv2D Reshape Transpose"
HEADS = "Reshape Transpose Reshape Reshape Transpose Transpose MatMul Conv2D Softmax MatMul"
GROUPED = (
    "Conv2D Reshape LayerNorm Reshape Conv2D Relu Conv2D Reshape LayerNorm Reshape Conv2D "
    "LeakyRelu MaxPool2D Reshape Dense"
)
TURNED = (
    "Reshape Transpose Reshape Transpose Reshape Transpose Transpose MatMul Conv2D Softmax MatMul"
)
OWN = (
    "Pad Transpose Reshape Reshape Conv2D Reshape Conv2D Reshape Transpose Reshape Reshape "
    "Transpose Reshape Slice Reshape Slice Reshape Slice Reshape Reshape Transpose Reshape "
    "Transpose Reshape Transpose Transpose MatMul Conv2D Softmax MatMul Transpose Reshape "
    "Transpose Reshape Conv2D Reshape Transpose Reshape Conv2D Reshape Add LayerNorm "
    f"{LINEAR} Gelu {LINEAR} Add LayerNorm Slice Reshape Dense"
)
CAUSAL = (
    f"{LINEAR} Reshape Reshape Transpose Reshape Slice Reshape Slice Reshape Slice Reshape Reshape "
    "Transpose Reshape Transpose Reshape Transpose Transpose MatMul Conv2D MaskedSoftmax MatMul "
    f"Transpose Reshape {LINEAR} Add LayerNorm {LINEAR} Relu {LINEAR} Add LayerNorm {LINEAR}"
)
PART = "Transpose Reshape Conv2D Reshape Transpose Reshape"
EINSUM = (
    f"{PART} {PART} {PART} Transpose Transpose MatMul Conv2D Softmax Transpose MatMul Transpose "
    f"Reshape {LINEAR} Add"
)
LSTM = (
    f"{LINEAR} Reshape Slice Quantize Slice Sigmoid Slice Tanh Slice Slice Mul Quantize Tanh Mul "
    + 5 * "Dense Slice Add Slice Sigmoid Slice Tanh Slice Slice Slice Mul Mul Add Tanh Mul "
    + "Concat Reshape Reshape Slice Reshape Dense"
)
GRU = (
    f"{LINEAR} Reshape Slice Quantize Sigmoid Slice Slice Reshape Conv2D Reshape Slice Add Tanh "
    "HardSigmoid Mul Quantize "
    + 5
    * "Dense Slice Slice Slice Add Sigmoid Slice Slice Mul Slice Add Tanh HardSigmoid Mul Mul Add "
).rstrip()
BOTH = (
    f"{GRU} {GRU} Concat Reshape Concat Reshape Reshape {LINEAR} Slice Reshape Slice Reshape "
    "Concat Dense"
)
UNROLLED = (
    3 * "Slice Slice Slice Reshape Dense "
    + f"Slice Slice Slice {SCALED} Sigmoid {SCALED} Add Tanh {SCALED} Sigmoid {SCALED} "
    + f"Mul {SCALED} Add "
    + f"Dense Slice Slice Add Sigmoid Mul Add Tanh Slice Add Sigmoid {SCALED} Mul Mul Add " * 2
    + "Dense"
)
LAYERS = {
    "torch-lstm-dynamo": LSTM,
    "torch-lstm-opset17": LSTM,
    "torch-gru-dynamo": BOTH,
    "torch-gru-opset17": BOTH,
    "keras-lstm": LSTM,
    "keras-gru": UNROLLED,
    "torch-causal-dynamo": CAUSAL,
    "torch-causal-opset17": CAUSAL,
    "torch-einsum-dynamo": EINSUM,
    "torch-einsum-opset17": EINSUM,
    "torch-layer-dynamo": OWN,
    "torch-layer-opset17": OWN,
    "torch-transformer-dynamo": f"LayerNorm {LINEAR} Slice Slice Slice {TURNED} "
    f"Transpose Reshape {LINEAR} Add LayerNorm {LINEAR} Gelu {LINEAR} Add "
    "Transpose Reshape AvgPool2D Reshape Dense",
    "torch-transformer-opset17": f"LayerNorm {LINEAR} Slice Slice Slice {HEADS} "
    f"Transpose Reshape {LINEAR} Add LayerNorm {LINEAR} Gelu {LINEAR} Add "
    "Transpose Reshape AvgPool2D Reshape Dense",
    "torch-mlp-opset9": "Reshape Dense Relu Dense Softmax",
    "torch-mlp-dynamo": "Reshape Dense Relu Dense Softmax",
    "torch-lenet-opset11": "Conv2D Tanh AvgPool2D Pad Conv2D PRelu MaxPool2D Flatten "
    "Dense Silu Dense",
    "torch-lenet-dynamo": "Conv2D Tanh AvgPool2D Conv2D PRelu MaxPool2D Reshape Dense Silu Dense",
    "torch-resnet-opset13": f"Conv2D Relu MaxPool2D {RESIDUAL} {SHRINKING} AvgPool2D Flatten Dense",
    "torch-resnet-dynamo": f"Conv2D Relu MaxPool2D {RESIDUAL} {SHRINKING} AvgPool2D Reshape Dense",
    "torch-mobilenet-opset10": MOBILE,
    "torch-mobilenet-dynamo": MOBILE,
    "torch-efficientnet-opset17": f"{EFFICIENT} Reshape Dense Relu Dense HardSigmoid "
    "Reshape Reshape Mul AvgPool2D Flatten Dense",
    "torch-efficientnet-dynamo": f"{EFFICIENT} Reshape Dense Relu Dense HardSigmoid "
    "Reshape Mul AvgPool2D Reshape Dense",
    "sklearn-classifier": "Dense Relu Dense Softmax",
    "sklearn-regressor": "Dense Tanh Dense Reshape",
    "sklearn-stacking": "Dense Dense Relu Dense Reshape Concat Dense",
    "sklearn-voting": f"Dense Softmax Dense Relu Dense Softmax {SCALED} {SCALED} Add",
    "torch-decoder-opset13": DECODER,
    "torch-decoder-dynamo": DECODER,
    "torch-encoder-opset13": f"{ENCODER} Flatten {JOINED} Concat Dense",
    "torch-encoder-dynamo": f"{ENCODER} Reshape {JOINED} Concat Dense",
    "torch-mixer-opset16": MIXER,
    "torch-mixer-dynamo": MIXER,
    "torch-grouped-opset17": GROUPED,
    "torch-grouped-dynamo": GROUPED,
    "keras-decoder": "Transpose Conv2D Gelu Reshape Pad Reshape Conv2D Selu "
    "Reshape Take Transpose Reshape Reshape Take Reshape Transpose Conv2D Mish Take Take Conv2D "
    "Reshape Transpose Reshape Conv2D Reshape Transpose Reshape Clip Clip Transpose",
    "keras-encoder": "Reshape Reshape Transpose Reshape Conv2D Transpose Softsign Transpose Conv2D "
    "HardSwish AvgPool2D Reshape MaxPool2D Reshape Transpose Transpose Reshape Conv2D "
    "Reshape Transpose Reshape MaxPool2D Reshape Concat Dense",
    "keras-mixer": "LayerNorm Reshape Reshape Take Reshape Reshape Transpose Conv2D Reshape "
    "Transpose Gelu LayerNorm Reshape Transpose Conv2D Reshape HardSigmoid "
    "Reshape AvgPool2D Reshape Dense Softmax",
}


def float_outputs(path: Path) -> onnx.ModelProto:
    """Read a model without the labels that a classifier adds to its probabilities."""
    model = onnx.load(path)
    outputs = list(model.graph.output)
    for node in model.graph.node:
        if node.op_type == "ZipMap":
            outputs = [onnx.helper.make_tensor_value_info(node.input[0], 1, None)]
    model.graph.ClearField("output")
    model.graph.output.extend(outputs)
    return model


def test_every_file_is_tested() -> None:
    """No exported model lies unused in the folder."""
    assert {path.stem for path in FOLDER.glob("*.onnx")} == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_an_exported_model_is_read(name: str) -> None:
    """A model has the layers it was built of, and ONNX Runtime computes the same of an image."""
    path = FOLDER / f"{name}.onnx"
    network, model = load(path), float_outputs(path)
    assert " ".join(node.op for node in network.nodes) == LAYERS[name]
    x = floats(3, *network.input_shape)
    found = forward(network, x)
    for i in range(3):  # most were exported with a batch of one
        for output, y in zip(network.outputs, runtime(model, x[i : i + 1]), strict=True):
            assert_floats_agree(found[output][i], y[0])


@pytest.mark.parametrize("name", LAYERS)
def test_an_exported_model_can_be_handed_on(name: str) -> None:
    """What was read is written as a model that computes the same, and reads back the same."""
    network = load(FOLDER / f"{name}.onnx")
    written = to_model(network)
    x = floats(3, *network.input_shape)
    found = forward(network, x)
    for output, y in zip(network.outputs, runtime(written, x), strict=True):
        assert_floats_agree(found[output], y)
    again = to_model(from_model(written))
    if any(node.op == "Quantize" for node in network.nodes):  # an Identity, which nothing needs
        written, again = again, to_model(from_model(again))
    assert again == written


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_a_bundled_model_runs_in_onnx_runtime(path: Path) -> None:
    """A trained network computes of real digits what ONNX Runtime computes, and keeps its bytes."""
    network = load(path)
    images = load_data("mnist").x[:200].astype(np.float32) * np.float32(network.scaling.scale)
    found = forward(network, images.reshape(-1, *network.input_shape))
    for output, y in zip(network.outputs, runtime(onnx.load(path), images), strict=True):
        assert_floats_agree(found[output], y)
    assert to_model(network).SerializeToString(deterministic=True) == path.read_bytes()
