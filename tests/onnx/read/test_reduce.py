"""Axes that become one value: means, sums and maxima as pools."""

import numpy as np
import onnx
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import to_float
from fxpnn.onnx import from_model
from fxpnn.quantization.quantizer import quantize
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

FORMS = {
    "sum of maps, whose weights take it in": form(
        "AvgPool2D Reshape Dense",
        op("ReduceSum", "x axes", "a", keepdims=0),
        op("Gemm", "a w", "y"),
        weights={"axes": [2, 3], "w": floats(2, 3)},
        shape=MAPS,
    ),
    "sum of maps at the end": form(
        "AvgPool2D Conv2D", op("ReduceSum", "x axes", "y"), weights={"axes": [-2, -1]}, shape=MAPS
    ),
    "sum by an attribute": form(
        "AvgPool2D Reshape Reshape Conv2D Reshape",
        op("ReduceSum", "x", "y", axes=[2, 3], keepdims=0),
        shape=MAPS,
        opset=11,
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


def test_a_sum_of_words_is_close() -> None:
    """It is off by the rounding of its mean, once for each value, and by that of its own format."""
    network = from_model(FORMS["sum of maps at the end"].model)
    x = floats(20, 2, 6, 5)
    fixed = quantize(network, x)
    off = to_float(infer(fixed, x).raw, fixed.formats[fixed.outputs[0]]) - x.sum(
        (2, 3), keepdims=True
    )
    step = fixed.input_format.lsb
    assert np.abs(off).max() <= 30 * step + fixed.formats[fixed.outputs[0]].lsb


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
