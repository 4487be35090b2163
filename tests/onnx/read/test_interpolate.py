"""Maps that are resized by linear interpolation are convolved."""

import numpy as np
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import to_float
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Conv2D
from fxpnn.quantization.quantizer import quantize
from fxpnn.reference import forward
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op


def scales(*values: float) -> Array:
    """Give scales as Resize takes them."""
    return np.array(values, np.float32)


LINEAR = {
    "twice, centred": (scales(1, 1, 2, 2), {}, "Take Take Conv2D Reshape Transpose Reshape"),
    "by four and one": (scales(1, 1, 4, 1), {}, "Take Conv2D Reshape Transpose Reshape"),
    "as pytorch counts": (
        scales(1, 1, 2, 8),
        {"coordinate_transformation_mode": "pytorch_half_pixel"},
        "Take Take Conv2D Reshape Transpose Reshape",
    ),
    "from the corner": (
        scales(1, 1, 4, 2),
        {"coordinate_transformation_mode": "asymmetric"},
        "Take Take Conv2D Reshape Transpose Reshape",
    ),
    "halves": (scales(1, 1, 0.5, 0.25), {}, "Conv2D"),
    "up and down": (
        scales(1, 1, 2, 0.5),
        {"coordinate_transformation_mode": "half_pixel_symmetric"},
        "Take Conv2D Reshape Transpose Reshape",
    ),
    "to one place": (
        scales(1, 1, 0.25, 0.125),
        {"coordinate_transformation_mode": "pytorch_half_pixel"},
        "Conv2D",
    ),
    "down from the corner": (
        scales(1, 1, 0.5, 0.5),
        {"coordinate_transformation_mode": "asymmetric"},
        "Conv2D",
    ),
}


@pytest.mark.parametrize(("by", "attributes", "made"), LINEAR.values(), ids=LINEAR)
def test_linear_interpolation_is_a_convolution(
    by: Array, attributes: dict[str, str], made: str
) -> None:
    """Its weights are words, exactly, and the words that it gives are the exact ones, cast once."""
    node = op("Resize", "x - s", "y", "", mode="linear", **attributes)
    read = model(node, weights={"s": by}, shape=("N", 3, 6, 8), opset=19)
    network = check(Form(made, read))
    x = floats(4, 3, 6, 8)
    fixed = quantize(network, x)
    (raw,) = (node.layer for node in fixed.nodes if isinstance(node.layer, Conv2D))
    (layer,) = (node.layer for node in network.nodes if isinstance(node.layer, Conv2D))
    (conv,) = (node for node in fixed.nodes if isinstance(node.layer, Conv2D))
    fracs = conv.fracs(len(raw.weight)).reshape(-1, 1, 1, 1)
    assert np.array_equal(np.ldexp(raw.weight.astype(float), -fracs), layer.weight)
    run = infer(fixed, x, keep=[INPUT])
    words = to_float(run.tensors[INPUT], fixed.input_format)
    exact = forward(network, words)[network.outputs[0]]
    fmt = fixed.formats[network.outputs[0]]
    assert np.abs(to_float(run.raw, fmt) - exact).max() <= fmt.lsb / 2


def test_rows_are_interpolated_as_maps() -> None:
    """So is what an Upsample of old says, from the corner."""
    rows = ("N", 2, 6)
    check(
        form(
            "Reshape Take Conv2D Reshape Transpose Reshape",
            op("Resize", "x - s", "y", mode="linear"),
            weights={"s": scales(1, 1, 2)},
            shape=rows,
        )
    )
    check(
        form(
            "Take Take Conv2D Reshape Transpose Reshape",
            op("Upsample", "x s", "y", mode="linear"),
            weights={"s": scales(1, 1, 2, 2)},
            shape=MAPS,
            opset=9,
        )
    )
