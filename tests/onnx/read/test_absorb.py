"""Casts become the formats of layers where that is the same bits, else layers of their own."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from fxpnn.quantization.quantizer import quantize
from tests.support.onnx_models import MAPS, floats, model, op
from tests.support.qonnx_models import QONNX, computed, fixed_values, quant, read


class Case(NamedTuple):
    """The layers that a model must become, the formats of some, and the model's nodes."""

    layers: str
    formats: Mapping[str, str]
    nodes: tuple[onnx.NodeProto, ...]
    settings: Mapping[str, Any] = {}


WEIGHTS = {"w": np.round(floats(3, 4) * 4) / 8, "k": np.round(floats(2, 2, 2, 2) * 4) / 8}
DENSE, CONV = op("Gemm", "h w", "d", transB=1), op("Conv", "h k", "c")
AVERAGE = op("AveragePool", "a", "p", kernel_shape=[2, 2])
ENTRY = quant("x", "h", 2**-4)


def case(layers: str, formats: str, *nodes: onnx.NodeProto, **settings: Any) -> Case:
    """Make a case; ``formats`` holds names and formats with spaces between."""
    words = formats.split()
    return Case(layers, dict(zip(words[::2], words[1::2], strict=True)), nodes, settings)


CASES = {
    "the cast of a dense layer is its own": case(
        "Dense", "input Q3.4 d Q4.3", *ENTRY, DENSE, *quant("d", "y", 0.125)
    ),
    "through a ReLU": case(
        "Dense Relu", "d UQ5.3 r UQ5.3", *ENTRY, DENSE, op("Relu", "d", "r"),
        *quant("r", "y", 0.125, signed=0, rounding_mode="FLOOR"),
    ),
    "through what keeps the order": case(
        "Conv2D MaxPool2D Clip Flatten", "c Q4.3 f Q4.3", *ENTRY, CONV,
        op("MaxPool", "c", "m", kernel_shape=[2, 2]), op("Clip", "m low high", "l"),
        op("Flatten", "l", "f"), *quant("f", "y", 0.125, narrow=1),
        shape=MAPS, weights={"low": -0.5, "high": 6.0},
    ),
    "not through a clip whose limits round otherwise": case(
        "Dense Clip Quantize", "y Q4.3", *ENTRY, DENSE, op("Clip", "d low high", "l"),
        *quant("l", "y", 0.125, rounding_mode="FLOOR"),
        weights={"low": 0.0, "high": 0.35},
    ),
    "a tensor that others read too is cast apart": case(
        "Dense Relu Quantize Add", "r_q Q4.3", *ENTRY, DENSE, op("Relu", "d", "r"),
        *quant("r", "r_q", 0.125), op("Add", "r r_q", "y"),
    ),
    "two casts of one tensor stay two": case(
        "Dense Quantize Quantize Add", "a Q4.3 b Q5.2", *ENTRY, DENSE,
        *quant("d", "a", 0.125), *quant("d", "b", 0.25), op("Add", "a b", "y"),
    ),
    "the same cast twice is one": case(
        "Dense Tanh Add", "d Q4.3", *ENTRY, DENSE, *quant("d", "a", 0.125),
        *quant("d", "b", 0.125), op("Tanh", "a", "t"), op("Add", "t b", "y"),
    ),
    "an addition and a join have casts of their own": case(
        "Dense Add Concat", "d Q3.4 s Q5.2 j Q6.1", *ENTRY, DENSE, *quant("d", "a", 2**-4),
        op("Add", "a a", "s"), *quant("s", "sq", 0.25), op("Concat", "sq a", "j", axis=1),
        *quant("j", "y", 0.5),
    ),
    "a second cast follows the first": case(
        "Dense Quantize", "d Q4.3 y Q5.2", *ENTRY, DENSE, *quant("d", "a", 0.125),
        *quant("a", "y", 0.25),
    ),
    "a cast to the format that is there is none": case(
        "Dense Relu", "d Q4.3", *ENTRY, DENSE, *quant("d", "a", 0.125), op("Relu", "a", "r"),
        *quant("r", "y", 0.125),
    ),
    "a narrower range of the same format is a clip": case(
        "Dense Clip", "d Q4.3 y Q4.3", *ENTRY, DENSE, *quant("d", "a", 0.125),
        *quant("a", "y", 0.125, narrow=1),
    ),
    "a leaky slope takes the modes of its cast": case(
        "Dense LeakyRelu", "d Q4.3", *ENTRY, DENSE, *quant("d", "a", 0.125),
        op("LeakyRelu", "a", "r", alpha=0.25), *quant("r", "y", 0.125, rounding_mode="DOWN"),
    ),
    "the cast of an average is its own": case(
        "Conv2D AvgPool2D", "c Q4.3 p Q2.5", *ENTRY, CONV, *quant("c", "a", 0.125),
        AVERAGE, *quant("p", "y", 2**-5), shape=MAPS,
    ),
    "with its modes, through what keeps the order": case(
        "Conv2D AvgPool2D Relu Flatten", "c Q4.3 p Q4.3", *ENTRY, CONV, *quant("c", "a", 0.125),
        AVERAGE, op("Relu", "p", "r"), op("Flatten", "r", "f"),
        *quant("f", "y", 0.125, narrow=1, rounding_mode="FLOOR"), shape=MAPS,
    ),
    "without a sign": case(
        "AvgPool2D", "p UQ2.3", *quant("x", "a", 0.125), AVERAGE,
        *quant("p", "y", 0.125, 5, signed=0, rounding_mode="HALF_DOWN"), shape=MAPS,
    ),
    "the root of squares too": case(
        "Conv2D L2Pool2D", "c Q4.3 p Q7.0", *ENTRY, CONV, *quant("c", "a", 0.125),
        op("LpPool", "a", "p", kernel_shape=[2, 2]),
        *quant("p", "y", 1.0, rounding_mode="HALF_UP"), shape=MAPS,
    ),
    "two casts of an average are two averages": case(
        "Conv2D AvgPool2D AvgPool2D Concat", "c Q4.3 a Q4.3 b Q2.5 j Q2.5", *ENTRY, CONV,
        *quant("c", "h_q", 0.125), op("AveragePool", "h_q", "p", kernel_shape=[3, 1]),
        *quant("p", "a", 0.125, rounding_mode="FLOOR"), *quant("p", "b", 2**-5),
        op("Concat", "a b", "j", axis=1), *quant("j", "y", 2**-5), shape=MAPS,
    ),
    "the cast of an average that others read is another": case(
        "Conv2D AvgPool2D AvgPool2D", "c Q4.3 p Q4.3 y Q2.5", *ENTRY, CONV,
        *quant("c", "a", 0.125), AVERAGE, *quant("p", "y", 2**-5), shape=MAPS, outputs="p y",
    ),
    "an average before a slope has the finest format": case(
        "Conv2D AvgPool2D LeakyRelu Quantize", "c Q4.3 p Q4.11 y Q4.3", *ENTRY, CONV,
        *quant("c", "a", 0.125), AVERAGE, op("LeakyRelu", "p", "r", alpha=0.25),
        *quant("r", "y", 0.125, rounding_mode="FLOOR"), shape=MAPS,
    ),
    "softmax has its own format": case(
        "Dense Softmax", "p Q0.15", *ENTRY, DENSE, *quant("d", "a", 0.125),
        op("Softmax", "a", "p"), *quant("p", "y", 2**-15, 16),
    ),
    "and is cast to another": case(
        "Dense Softmax Quantize", "y UQ1.7", *ENTRY, DENSE, *quant("d", "a", 0.125),
        op("Softmax", "a", "p"), *quant("p", "y", 2**-7, signed=0),
    ),
    "an input of other modes is finer first": case(
        "Quantize Dense", "input Q3.12 h Q3.4 d Q4.3",
        *quant("x", "h", 2**-4, rounding_mode="FLOOR"), DENSE, *quant("d", "y", 0.125),
    ),
    "an input that is an output stays a layer": case(
        "Quantize", "input UQ4.4 y UQ4.4", *quant("x", "y", 2**-4, signed=0)
    ),
    "outputs stay two": case(
        "Dense Relu Quantize", "d Q4.3 y Q4.3", *ENTRY, DENSE, *quant("d", "a", 0.125),
        op("Relu", "a", "r"), *quant("r", "y", 0.125), outputs="r y",
    ),
    "an output is no more when its cast is one": case(
        "Dense Quantize", "y Q4.3", *ENTRY, DENSE, *quant("d", "y", 0.125), outputs="d y",
    ),
}  # fmt: skip


LOOSE = (
    "a tensor that others read too is cast apart",
    "two casts of one tensor stay two",
    "the same cast twice is one",
    "the cast of an average that others read is another",
    "softmax has its own format",
    "and is cast to another",
)
"""Cases with values that fxpnn rounds and QONNX does not: calibrated, averaged, of tables."""


@pytest.mark.parametrize("name", CASES)
def test_layers_take_the_casts_behind_them(name: str) -> None:
    """The model becomes these layers, in these formats, and computes to the bit what QONNX says."""
    made = CASES[name]
    weights: dict[str, npt.ArrayLike] = {**WEIGHTS, **made.settings.get("weights", {})}
    proto = model(*made.nodes, domains={QONNX: 1}, **{**made.settings, "weights": weights})
    network, plan = read(proto)
    assert " ".join(node.op for node in network.nodes) == made.layers
    x = np.round(floats(40, *network.input_shape) * 200).astype(np.float32) / 64
    fixed = quantize(network, x, plan)
    assert {node: str(fixed.formats[node]) for node in made.formats} == made.formats
    for found, wanted in zip(fixed_values(fixed, x).values(), computed(proto, x), strict=True):
        if name in LOOSE:
            assert np.abs(found - wanted).max() < 0.3
        else:
            assert found.tolist() == wanted.tolist()
