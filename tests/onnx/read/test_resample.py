"""Maps that are resized by moves, repeated tensors, depth and space, edges that go on."""

from itertools import product

import numpy as np
import onnx
import pytest

from fxpnn.engine.inference import infer
from fxpnn.network.graph import INPUT
from fxpnn.onnx import from_model
from fxpnn.onnx.read.resample import NEAREST
from fxpnn.onnx.read.resized import COORDINATES
from fxpnn.quantization.quantizer import quantize
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

BLOCKS = ("N", 8, 4, 6)


def scales(*values: float) -> np.ndarray:
    """Give scales as Resize takes them."""
    return np.array(values, np.float32)


FORMS = {
    "nearest of pytorch": form(
        "Take Take",
        op(
            "Resize",
            "x - s",
            "y",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        weights={"s": scales(1, 1, 2, 2)},
        shape=MAPS,
    ),
    "nearest to sizes, by their shape": form(
        "Take Take",
        op("Shape", "x", "n"),
        op("Slice", "n zero two", "m"),
        op("Concat", "m hw", "t", axis=0),
        op("Resize", "x - - t", "y"),
        weights={"zero": [0], "two": [2], "hw": [4, 15]},
        shape=("N", 2, 6, 5),
    ),
    "rows of one axis": form(
        "Take", op("Resize", "x - s", "y"), weights={"s": scales(1, 1, 3)}, shape=("N", 2, 6)
    ),
    "nothing resized": form(
        "Relu", op("Resize", "x - s", "a"), op("Relu", "a", "y"), weights={"s": scales(1, 1)}
    ),
    "upsample": form(
        "Take Take",
        op("Upsample", "x s", "y"),
        weights={"s": scales(1, 1, 2, 3)},
        shape=MAPS,
        opset=9,
    ),
    "upsample of an attribute": form(
        "Take Take", op("Upsample", "x", "y", scales=[1.0, 1.0, 2.0, 1.5]), shape=MAPS, opset=7
    ),
    "resize as it was first": form(
        "Take Take",
        op("Resize", "x s", "y"),
        weights={"s": scales(1, 1, 0.5, 2)},
        shape=MAPS,
        opset=10,
    ),
    "depth to space": form(
        "Reshape Transpose Reshape", op("DepthToSpace", "x", "y", blocksize=2), shape=BLOCKS
    ),
    "pixel shuffle of pytorch": form(
        "Reshape Transpose Reshape",
        op("DepthToSpace", "x", "y", blocksize=2, mode="CRD"),
        shape=BLOCKS,
    ),
    "space to depth": form(
        "Reshape Transpose Reshape", op("SpaceToDepth", "x", "y", blocksize=2), shape=BLOCKS
    ),
    "tile": form("Take Take", op("Tile", "x n", "y"), weights={"n": [1, 1, 2, 3]}, shape=MAPS),
    "expand": form(
        "Take Take",
        op("Expand", "x n", "y"),
        weights={"n": [3, 2, 4]},
        shape=("N", 3, 1, 1),
    ),
    "expand as pytorch writes it": form(
        "AvgPool2D Take Take",
        op("GlobalAveragePool", "x", "a"),
        op("Shape", "x", "n"),
        op("Expand", "a n", "y"),
        shape=(3, 2, 6, 5),
    ),
    "edges that go on": form(
        "Take Take",
        op("Pad", "x p", "y", mode="edge"),
        weights={"p": [0, 0, 1, 2, 0, 0, 2, 0]},
        shape=MAPS,
    ),
    "edges that reflect": form(
        "Take Take",
        op("Pad", "x p", "y", mode="reflect"),
        weights={"p": [0, 0, 3, 1, 0, 0, 2, 4]},
        shape=MAPS,
    ),
    "edges that wrap": form(
        "Take",
        op("Pad", "x p", "y", mode="wrap"),
        weights={"p": [0, 0, 0, 1, 0, 0, 0, 2]},
        shape=MAPS,
        opset=19,
    ),
    "scaled pixels, each twice": form(
        "Take Take Conv2D",
        op("Mul", "x g", "a"),
        op("Resize", "a - s", "b"),
        op("Conv", "b w", "y"),
        weights={"g": floats(2, 1, 1), "s": scales(1, 1, 2, 2), "w": floats(3, 2, 3, 3)},
        shape=MAPS,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_moves_are_read(case: Form) -> None:
    """ONNX Runtime computes the same of each."""
    check(case)


@pytest.mark.parametrize("nearest", NEAREST)
@pytest.mark.parametrize("coordinates", sorted({*COORDINATES} - {"tf_crop_and_resize"}))
def test_nearest_neighbours_are_onnx_runtimes(coordinates: str, nearest: str) -> None:
    """Of each mode: sizes that grow and shrink by odd factors, where middles are ties."""
    for height, width in product((1, 3, 12, 17), (2, 5, 8)):
        attributes = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
        made = model(
            op("Resize", "x - - n", "a", **attributes),
            op("Relu", "a", "y"),
            weights={"n": [1, 2, height, width]},
            shape=(1, 2, 6, 5),
            opset=19,
        )
        layers = ["Take"] * ((height != 6) + (width != 5))
        network = from_model(made)
        check(Form(" ".join([*layers, "Relu"][-len(network.nodes) :]), made))


@pytest.mark.parametrize("size", [(3, 3), (4, 7), (1, 2)])
def test_a_part_is_resized(size: tuple[int, int]) -> None:
    """The nearest neighbours of places that are spread over a part of the map."""
    crop = op("Resize", "x r - n", "y", coordinate_transformation_mode="tf_crop_and_resize")
    roi = np.array([0, 0, 0.1, 0.3, 1, 1, 0.75, 0.9], np.float32)
    weights = {"r": roi, "n": np.array([1, 2, *size])}
    check(Form("Take Take", model(crop, weights=weights, shape=(1, 2, 6, 5))))


def test_a_resized_map_keeps_words() -> None:
    """Its words are the input's own, moved."""
    network = from_model(FORMS["nearest of pytorch"].model)
    x = floats(4, 2, 6, 5)
    fixed = quantize(network, x)
    run = infer(fixed, x, keep=[INPUT])
    assert fixed.formats["y"] == fixed.input_format
    assert np.array_equal(run.raw, run.tensors[INPUT].repeat(2, 2).repeat(2, 3))


def resized(**attributes: str) -> onnx.ModelProto:
    """Make a model that doubles maps in some way."""
    weights = {"s": scales(1, 1, 2, 2)}
    node = op("Resize", "x - s", "y", "", **attributes)
    return model(node, weights=weights, shape=MAPS, opset=18)


def scaled(*values: float, opset: int = 17, mode: str = "nearest") -> onnx.ModelProto:
    """Make a model that resizes maps by other scales."""
    reads = "x - s" if opset > 10 else "x s"
    return model(
        op("Resize", reads, "y", mode=mode), weights={"s": scales(*values)}, shape=MAPS, opset=opset
    )


REFUSED = {
    "an unknown way to weigh": (
        resized(mode="area"),
        "Resize (node y, opset 18): mode must be nearest, linear or cubic, not area",
    ),
    "linear over channels": (
        scaled(1, 2, 2, 2, mode="linear"),
        "Resize (node y, opset 17): mode linear must resize maps or rows, not their channels",
    ),
    "an unknown mode": (
        resized(nearest_mode="odd"),
        "Resize (node y, opset 18): nearest_mode must be one of round_prefer_floor, "
        "round_prefer_ceil, floor, ceil, not odd",
    ),
    "a part beyond the map": (
        model(
            op("Resize", "x r - n", "y", coordinate_transformation_mode="tf_crop_and_resize"),
            weights={"r": scales(0, 0, -0.5, 0, 1, 1, 1, 1), "n": [1, 2, 3, 3]},
            shape=(1, *MAPS[1:]),
        ),
        "Resize (node y, opset 17): roi must lie inside the tensor",
    ),
    "too few ends": (
        model(
            op("Resize", "x r - n", "y", coordinate_transformation_mode="tf_crop_and_resize"),
            weights={"r": scales(0, 1), "n": [1, 2, 3, 3]},
            shape=MAPS,
        ),
        "Resize (node y, opset 17): roi must be 8 numbers, not 2",
    ),
    "an axis twice": (
        model(
            op("Resize", "x - s", "y", axes=[2, -2]),
            weights={"s": scales(2, 2)},
            shape=MAPS,
            opset=18,
        ),
        "Resize (node y, opset 18): axes must be some of the 4, each once, not [2, -2]",
    ),
    "no sizes": (
        model(op("Resize", "x - - n", "y"), weights={"n": [1, 2, 0, 3]}, shape=MAPS),
        "Resize (node y, opset 17): sizes must be 1 or more, not [1, 2, 0, 3]",
    ),
    "an unknown policy": (
        model(
            op("Resize", "x - - n", "y", keep_aspect_ratio_policy="odd"),
            weights={"n": [1, 2, 3, 3]},
            shape=MAPS,
            opset=18,
        ),
        "Resize (node y, opset 18): keep_aspect_ratio_policy must be stretch, not_larger or "
        "not_smaller, not odd",
    ),
    "scales of integers": (
        model(op("Resize", "x - s", "y"), weights={"s": [1, 1, 2, 2]}, shape=MAPS),
        "Resize (node y, opset 17): input 3 must be a few floats, not 4 int64",
    ),
    "linear with less of the edges": (
        model(
            op("Resize", "x - s", "y", mode="linear", antialias=1),
            weights={"s": scales(1, 1, 0.5, 0.5)},
            shape=MAPS,
            opset=18,
        ),
        "Resize (node y, opset 18): antialias and exclude_outside must be 0 where mode is linear",
    ),
    "images": (
        scaled(2, 1, 2, 2),
        "Resize (node y, opset 17): must not resize the images' axis",
    ),
    "too few scales": (
        scaled(1, 2, 2),
        "Resize (node y, opset 17): must have 4 scales or sizes",
    ),
    "a scale of 0": (
        scaled(1, 1, 0, 2),
        "Resize (node y, opset 17): scales must be above 0 and give at most 134217728 values each",
    ),
    "an endless scale": (
        scaled(1, 1, np.inf, 2),
        "Resize (node y, opset 17): scales must be above 0 and give at most 134217728 values each",
    ),
    "a map too large": (
        scaled(1, 1, 1e4, 1e4),
        "Resize (node y, opset 17): its output must hold 1 to 134217728 values, "
        "not (2, 60000, 50000)",
    ),
    "an odd scale of old": (
        scaled(1, 1, 0.7, 1, opset=10),
        "Resize (node y, opset 10): scales below 1 must be those of every so many, not 0.7",
    ),
    "a block that does not divide": (
        model(op("DepthToSpace", "x", "y", blocksize=2), shape=MAPS),
        "DepthToSpace (node y, opset 17): its channels must be a multiple of 4, not 2",
    ),
    "a block of odd maps": (
        model(op("SpaceToDepth", "x", "y", blocksize=2), shape=MAPS),
        "SpaceToDepth (node y, opset 17): its maps must be multiples of 2, not 6 x 5",
    ),
    "a block of nothing": (
        model(op("SpaceToDepth", "x", "y", blocksize=0), shape=MAPS),
        "SpaceToDepth (node y, opset 17): blocksize must be 1 or more, not 0",
    ),
    "depth of vectors": (
        model(op("DepthToSpace", "x", "y", blocksize=1)),
        "DepthToSpace (node y, opset 17): must read maps, not (4,)",
    ),
    "images repeated": (
        model(op("Tile", "x n", "y"), weights={"n": [2, 1]}),
        "Tile (node y, opset 17): must not repeat images",
    ),
    "a repeat of nothing": (
        model(op("Tile", "x n", "y"), weights={"n": [1, 0]}),
        "Tile (node y, opset 17): repeats must be 2 counts of 1 or more, not [1, 0]",
    ),
    "a tile too large": (
        model(op("Tile", "x n", "y"), weights={"n": [1, 1 << 40]}),
        "Tile (node y, opset 17): must make at most 1048592 constant values in all",
    ),
    "an expanded axis": (
        model(op("Expand", "x n", "y"), weights={"n": [1, 8]}),
        "Expand (node y, opset 17): its shape must fit one image's (4,), not be [1, 8]",
    ),
    "expanded images": (
        model(op("Expand", "x n", "y"), weights={"n": [2, 4]}),
        "Expand (node y, opset 17): must not repeat images",
    ),
    "an endless expansion": (
        model(op("Expand", "x n", "y"), weights={"n": [1, 1 << 40]}, shape=("N", 1)),
        "Expand (node y, opset 17): must make at most 1048592 constant values in all",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_move_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """One line says what is in the way; nothing large is made before."""
    refuse(refused, message)
