"""Axes that become one value: means and maxima as pools, sums by ones."""

from fractions import Fraction

import numpy as np
import onnx
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import from_float
from fxpnn.onnx import from_model
from fxpnn.quantization.quantizer import quantize
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

FORMS = {
    "sum of maps in front of weights": form(
        "Reshape Conv2D Reshape Dense",
        op("ReduceSum", "x axes", "a", keepdims=0),
        op("Gemm", "a w", "y"),
        weights={"axes": [2, 3], "w": floats(2, 3)},
        shape=MAPS,
    ),
    "sum of maps at the end": form(
        "Reshape Conv2D Reshape",
        op("ReduceSum", "x axes", "y"),
        weights={"axes": [-2, -1]},
        shape=MAPS,
    ),
    "sum by an attribute": form(
        "Reshape Conv2D Reshape",
        op("ReduceSum", "x", "y", axes=[2, 3], keepdims=0),
        shape=MAPS,
        opset=11,
    ),
    "sum of channels": form(
        "Transpose Reshape Conv2D Reshape",
        op("ReduceSum", "x axes", "y"),
        weights={"axes": [1]},
        shape=MAPS,
    ),
    "sum of a vector": form(
        "Reshape Conv2D Reshape", op("ReduceSum", "x axes", "y"), weights={"axes": [1]}
    ),
    "maximum of maps": form(
        "MaxPool2D Reshape", op("ReduceMax", "x", "y", axes=[2, 3], keepdims=0), shape=MAPS
    ),
    "mean of lines": form("AvgPool2D", op("ReduceMean", "x", "y", axes=[2]), shape=MAPS),
    "maximum of columns": form(
        "MaxPool2D Reshape", op("ReduceMax", "x", "y", axes=[-1], keepdims=0), shape=MAPS
    ),
    "mean of channels": form(
        "Transpose Reshape AvgPool2D Reshape", op("ReduceMean", "x", "y", axes=[1]), shape=MAPS
    ),
    "mean of maps that lie last": form(
        "Transpose Reshape AvgPool2D Reshape",
        op("ReduceMean", "x", "y", axes=[1, 2], keepdims=0),
        shape=MAPS,
    ),
    "maximum of a vector": form("Reshape MaxPool2D Reshape", op("ReduceMax", "x", "y", axes=[1])),
    "mean of all, at the end": form(
        "Reshape AvgPool2D Reshape",
        op("ReduceMean", "x", "y", axes=[1, 2, 3]),
        shape=MAPS,
    ),
    "magnitudes, summed": form(
        "Abs Transpose Reshape Conv2D Reshape",
        op("ReduceL1", "x axes", "y", keepdims=0),
        weights={"axes": [1]},
        opset=18,
        shape=MAPS,
    ),
    "squares, summed": form(
        "Mul Reshape Conv2D Reshape", op("ReduceSumSquare", "x", "y", axes=[-1]), shape=MAPS
    ),
    "squares of no axes": form(
        "Mul",
        op("ReduceSumSquare", "x axes", "y", noop_with_empty_axes=1),
        weights={"axes": np.zeros(0, np.int64)},
        opset=18,
        shape=MAPS,
    ),
    "no axes, nothing done": form(
        "Relu",
        op("ReduceSum", "x axes", "a", noop_with_empty_axes=1),
        op("Relu", "a", "y"),
        weights={"axes": np.zeros(0, np.int64)},
        shape=MAPS,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_reductions_are_pools(case: Form) -> None:
    """ONNX Runtime computes the same of each."""
    check(case)


@pytest.mark.parametrize("name", [name for name in FORMS if name.startswith("sum of")])
def test_a_sum_of_words_is_exact(name: str) -> None:
    """It is the sum of the words as they are, cast once."""
    network = from_model(FORMS[name].model)
    x = floats(20, *network.input_shape)
    fixed = quantize(network, x)
    summed = next(node for node in fixed.nodes if node.op == "Conv2D")
    axes = {"sum of channels": (1,), "sum of a vector": (1,)}.get(name, (2, 3))
    words = from_float(x, fixed.input_format).astype(object).sum(axes)
    gain = Fraction(2) ** (summed.output_format.frac - fixed.input_format.frac)
    found = infer(fixed, x, keep=(summed.name,)).tensors[summed.name]
    wanted = [round(word * gain) for word in words.reshape(-1).tolist()]
    assert found.reshape(-1).tolist() == wanted


REFUSED = {
    "images": (
        model(op("ReduceMean", "x", "y", axes=[0]), shape=MAPS),
        "ReduceMean (node y, opset 17): must not join images",
    ),
    "all axes": (
        model(op("ReduceMax", "x", "y"), shape=MAPS),
        "ReduceMax (node y, opset 17): must not join images",
    ),
    "an axis that is not": (
        model(op("ReduceMax", "x", "y", axes=[4]), shape=MAPS),
        "ReduceMax (node y, opset 17): axes must be inside the 4 axes, not [4]",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_joins_images_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """One line says so."""
    refuse(refused, message)
