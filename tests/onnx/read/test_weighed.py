"""Maps that are resized by fractions of any kind: pixels side by side, weighed place by place."""

from typing import Any

import numpy as np
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import to_float
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Conv2D
from fxpnn.onnx import from_model
from fxpnn.quantization.quantizer import quantize
from fxpnn.reference import forward
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

BOTH = "Transpose Take Reshape Conv2D Reshape Transpose " * 2
SIZED: dict[str, tuple[list[int], dict[str, Any], str]] = {
    "linear by three": ([18, 15], {"mode": "linear"}, BOTH),
    "linear to odd sizes": ([7, 9], {"mode": "linear"}, BOTH),
    "linear by corners": (
        [12, 10],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        BOTH,
    ),
    "linear down to fewer places": ([4, 3], {"mode": "linear"}, BOTH),
    "linear by corners to one place": (
        [1, 4],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        "Take Transpose Take Reshape Conv2D Reshape Transpose",
    ),
    "linear along one axis": ([6, 7], {"mode": "linear"}, BOTH[: len(BOTH) // 2]),
    "cubic, twice": ([12, 10], {"mode": "cubic"}, BOTH),
    "cubic as pytorch counts": (
        [8, 15],
        {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel"},
        BOTH,
    ),
    "cubic of another steepness, without what lies outside": (
        [9, 7],
        {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
        BOTH,
    ),
    "cubic from the corner": (
        [4, 8],
        {"mode": "cubic", "coordinate_transformation_mode": "asymmetric"},
        BOTH,
    ),
}


def sized(target: list[int], **attributes: Any) -> Any:
    """Make a model that gives maps a size."""
    node = op("Resize", "x - - n", "y", "", **attributes)
    return model(node, weights={"n": np.array([1, 2, *target])}, shape=(1, 2, 6, 5), opset=18)


@pytest.mark.parametrize(("target", "attributes", "made"), SIZED.values(), ids=SIZED)
def test_places_are_weighed(target: list[int], attributes: dict[str, Any], made: str) -> None:
    """ONNX Runtime computes the same, and words are exact sums but for the casts of two axes."""
    network = check(Form(made.strip(), sized(target, **attributes)))
    x = floats(4, *network.input_shape)
    fixed = quantize(network, x)
    run = infer(fixed, x, keep=[INPUT])
    words = to_float(run.tensors[INPUT], fixed.input_format)
    exact = forward(network, words)[network.outputs[0]]
    lsb = fixed.formats[network.outputs[0]].lsb
    assert np.abs(to_float(run.raw, fixed.formats[network.outputs[0]]) - exact).max() <= 4 * lsb


def test_a_map_of_one_pixel_is_repeated() -> None:
    """Between equal pixels nothing is weighed."""
    node = op("Resize", "x - - n", "y", mode="linear")
    check(form("Take Take", node, weights={"n": np.array([1, 2, 3, 7])}, shape=(1, 2, 1, 1)))


def test_rows_are_weighed_too() -> None:
    """Their one axis is."""
    node = op("Resize", "x - - n", "y", mode="linear")
    made = BOTH[: len(BOTH) // 2].strip()
    check(form(made, node, weights={"n": np.array([1, 2, 7])}, shape=(1, 2, 5)))


def test_linear_weights_are_two_for_each_place() -> None:
    """Each group has the two pixels beside its place, and their weights add up to 1."""
    network = from_model(sized([18, 15], mode="linear"))
    layers = [node.layer for node in network.nodes if isinstance(node.layer, Conv2D)]
    weights: list[Array] = [layer.weight for layer in layers]
    assert [weight.shape for weight in weights] == [(18, 2, 1, 1), (15, 2, 1, 1)]
    assert all((np.abs(weight.sum(axis=1) - 1) <= 2.0**-23).all() for weight in weights)


CORNERS = {"coordinate_transformation_mode": "align_corners"}
CROP = {"coordinate_transformation_mode": "tf_crop_and_resize"}
REFUSED = {
    "antialias": (
        sized([9, 9], mode="cubic", antialias=1),
        "Resize (node y, opset 18): antialias must be 0 where mode is linear or cubic",
    ),
    "ends between places": (
        model(
            op("Resize", "x - s", "y", mode="cubic", **CORNERS),
            weights={"s": np.array([1, 1, 1.5, 1.5], np.float32)},
            shape=MAPS,
        ),
        "Resize (node y, opset 17): scales must give whole sizes where corners are aligned, "
        "not 5 times 1.5; give the sizes",
    ),
    "a part of the map": (
        model(
            op("Resize", "x r - n", "y", mode="linear", **CROP),
            weights={"r": floats(8), "n": np.array([1, 2, 3, 3])},
            shape=(1, 2, 6, 5),
        ),
        "Resize (node y, opset 17): a part that is cropped must be resized to nearest neighbours",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_weighed_is_refused(refused: Any, message: str) -> None:
    """One line says so."""
    refuse(refused, message)
