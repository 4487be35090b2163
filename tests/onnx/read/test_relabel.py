"""Values that are moved or joined, with the shape arithmetic that exporters put around it."""

from typing import Any

import onnx
import pytest
from onnx import helper

from fxpnn.network.graph import MAX_VALUES
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import (
    MAPS,
    Form,
    assert_floats_agree,
    check,
    floats,
    form,
    model,
    op,
    refuse,
    runtime,
)

FORMS = {
    "flatten of pytorch": form(
        "Reshape Dense",
        op("Shape", "x", "a"),
        op("Gather", "a zero", "b", axis=0),
        op("Unsqueeze", "b axes", "c"),
        op("Concat", "c rest", "d", axis=0),
        op("Reshape", "x d", "e"),
        op("Gemm", "e w", "y"),
        weights={
            "zero": 0,
            "axes": [0],
            "rest": [-1],
            "w": floats(60, 3),
        },
        shape=MAPS,
    ),
    "flatten by the product of sizes": form(
        "Reshape",
        op("Shape", "x", "a", start=1),
        op("Slice", "a zero one", "b"),
        op("Slice", "a one three", "c"),
        op("Gather", "c zero", "d"),
        op("Gather", "c one", "e"),
        op("Mul", "d e", "f"),
        op("Mul", "b f", "g"),
        op("Concat", "minus g", "h", axis=0),
        op("Reshape", "x h", "y"),
        weights={
            "zero": [0],
            "one": [1],
            "three": [3],
            "minus": [-1],
        },
        shape=MAPS,
        opset=15,
    ),
    "reshape that copies": form(
        "Reshape", op("Reshape", "x s", "y"), weights={"s": [0, 0, -1]}, shape=MAPS
    ),
    "reshape to a Constant": form(
        "Reshape Reshape",
        op("Constant", "", "s", value_ints=[0, 30, 2]),
        op("Constant", "", "n", value_int=60),
        op("Constant", "", "zero", value_ints=[0]),
        op("Unsqueeze", "n zero", "m"),
        op("Concat", "zero m", "t", axis=0),
        op("Reshape", "x s", "a"),
        op("Reshape", "a t", "y"),
        shape=MAPS,
    ),
    "flatten from behind": form("Flatten", op("Flatten", "x", "y", axis=-3), shape=MAPS),
    "axes as attributes": form(
        "Reshape Reshape Relu",
        op("Unsqueeze", "x", "a", axes=[2, 1]),
        op("Squeeze", "a", "b", axes=[-2]),
        op("Relu", "b", "y"),
        opset=11,
    ),
    "axes that are all of size one": form(
        "Reshape Reshape Reshape",
        op("Unsqueeze", "x", "a", axes=[2, 1]),
        op("Squeeze", "a", "b"),
        op("Squeeze", "b", "y"),
        opset=11,
    ),
    "axes as inputs": form(
        "Reshape Reshape",
        op("Unsqueeze", "x axes", "a"),
        op("Squeeze", "a axes", "y"),
        weights={"axes": [-1]},
    ),
    "pad of attributes": form(
        "Pad", op("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 1, 0, 3], value=0.5), shape=MAPS, opset=10
    ),
    "pad of named axes": form(
        "Pad",
        op("Pad", "x p v axes", "y"),
        weights={"p": [1, 2, 0, 3], "v": -1.0, "axes": [-1, 2]},
        shape=MAPS,
        opset=18,
    ),
    "pad of pytorch": form(
        "Pad",
        op("ConstantOfShape", "four", "z", value=helper.make_tensor("v", 7, [1], [0])),
        op("Concat", "p z", "a", axis=0),
        op("Reshape", "a pairs", "b"),
        op("Slice", "b last first zero back", "c"),
        op("Transpose", "c", "d", perm=[1, 0]),
        op("Reshape", "d flat", "e"),
        op("Cast", "e", "f", to=onnx.TensorProto.INT64),
        op("Pad", "x f v", "y"),
        weights={
            "four": [4],
            "p": [1, 2, 0, 3],
            "pairs": [-1, 2],
            "last": [-1],
            "first": [-(2**63) + 1],
            "zero": [0],
            "back": [-1],
            "flat": [-1],
            "v": 0.0,
        },
        shape=MAPS,
    ),
    "constants before and behind": form(
        "Concat Pad Reshape Conv2D Reshape Relu",
        op("Expand", "c images", "d"),
        op("Concat", "d x x d", "a", axis=-3),
        op("Relu", "a", "y"),
        weights={"c": floats(1, 1, 6, 5), "images": [1, 1, 1, 1]},
        shape=(1, *MAPS[1:]),
    ),
    "a class token, as many as there are images": form(
        "Pad Reshape Conv2D Reshape",
        op("Shape", "x", "s", end=1),
        op("Concat", "s one", "full", axis=0),
        op("Expand", "token full", "t"),
        op("Concat", "t x", "y", axis=1),
        weights={"one": [1, 4], "token": floats(1, 1, 4)},
        shape=("N", 3, 4),
    ),
    "branches": form(
        "Relu Tanh Add Add Add",
        op("Relu", "x", "a"),
        op("Tanh", "x", "b"),
        op("Sum", "a b x", "c"),
        op("Add", "c c", "y"),
        shape=MAPS,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_relabelling(case: Form) -> None:
    """Moving values becomes a relabelling layer, and ONNX Runtime moves them alike."""
    check(case)


def reshape(*shape: int, **attributes: Any) -> onnx.ModelProto:
    """Make a model of one reshape of maps."""
    return model(op("Reshape", "x s", "y", **attributes), weights={"s": list(shape)}, shape=MAPS)


REFUSED = {
    "reshape that mixes images": (
        reshape(-1, 30),
        "output y must have the images as the first axis, each computed for itself, "
        "not as a part of axis 1 of 2",
    ),
    "reshape to another count": (
        reshape(0, 61),
        "Reshape (node y, opset 17): shape must hold 60 values, not (61,)",
    ),
    "reshape to nothing": (
        reshape(1, 0, allowzero=1),
        "Reshape (node y, opset 17): must keep the images apart, not give (1, 0)",
    ),
    "reshape that copies what is not there": (
        reshape(1, 60, 1, 1, 0),
        "Reshape (node y, opset 17): shape must copy axes that are there, not [1, 60, 1, 1, 0]",
    ),
    "reshape to a scalar for each image": (
        model(op("Reshape", "x s", "z"), op("Relu", "z", "y"), weights={"s": [-1]}, shape=("N", 1)),
        "Reshape (node z, opset 17): must leave an axis beside the images'",
    ),
    "reshape to numbers that are no integers": (
        model(op("Reshape", "x s", "y"), weights={"s": floats(2)}),
        "Reshape (node y, opset 17): axes must be at most 32 integers, not 2 float32",
    ),
    "flatten of the images": (
        model(op("Flatten", "x", "y", axis=2), shape=MAPS),
        "output y must have the images as the first axis, each computed for itself, "
        "not as a part of axis 1 of 2",
    ),
    "flatten of an axis too many": (
        model(op("Flatten", "x", "y", axis=5), shape=MAPS),
        "Flatten (node y, opset 17): axis must be inside the 4 axes, not 5",
    ),
    "transpose that is none": (
        model(op("Transpose", "x", "y", perm=[0, 1, 1, 2]), shape=MAPS),
        "Transpose (node y, opset 17): perm must be an order of the 4 axes, not (0, 1, 1, 2)",
    ),
    "squeeze of a longer axis": (
        model(op("Squeeze", "x", "y", axes=[1]), opset=11),
        "Squeeze (node y, opset 11): axes must have size 1, not be [1] of (N, 4)",
    ),
    "squeeze of the images": (
        model(op("Squeeze", "x", "y", axes=[0]), opset=11),
        "Squeeze (node y, opset 11): must not take the images' axis away",
    ),
    "unsqueeze of an axis twice": (
        model(op("Unsqueeze", "x", "y", axes=[1, -3]), opset=11),
        "Unsqueeze (node y, opset 11): axes must each be named once, not [1, -3]",
    ),
    "unsqueeze of an axis too many": (
        model(op("Unsqueeze", "x", "y", axes=[3]), opset=11),
        "Unsqueeze (node y, opset 11): axis must be inside the 3 axes, not 3",
    ),
    "unsqueeze too often": (
        model(op("Unsqueeze", "x", "y", axes=[1] * 33), opset=11),
        "Unsqueeze (node y, opset 11): axes must be at most 32, not 33",
    ),
    "pad that reflects too far": (
        model(op("Pad", "x", "y", pads=[0, 4, 0, 1], mode="reflect"), opset=10),
        "Pad (node y, opset 10): pads must be 0 to 3 for 4 places, not (4, 1)",
    ),
    "pad of another mode": (
        model(op("Pad", "x", "y", pads=[0, 1, 0, 1], mode="mirror"), opset=10),
        "Pad (node y, opset 10): mode must be constant, edge, reflect, wrap, not mirror",
    ),
    "pad of other axes": (
        model(op("Pad", "x", "y", pads=[0, 1]), opset=10),
        "Pad (node y, opset 10): pads must be 4 counts, not 2",
    ),
    "pad of an axis too many": (
        model(op("Pad", "x p - axes", "y"), weights={"p": [1, 1], "axes": [3]}, opset=18),
        "Pad (node y, opset 18): axis must be inside the 2 axes, not 3",
    ),
    "pad of the images": (
        model(op("Pad", "x", "y", pads=[1, 0, 0, 0]), opset=10),
        "Pad (node y, opset 10): pads must not add images",
    ),
    "pad that crops": (
        model(op("Pad", "x", "y", pads=[0, -1, 0, 0]), opset=10),
        "Pad (node y, opset 10): pads must be 1 pairs of counts of 0 or more, not ((-1, 0),)",
    ),
    "concat of images": (
        model(op("Concat", "x x", "y", axis=-2)),
        "Concat (node y, opset 17): must join along another axis than the images'",
    ),
    "concat with a hole": (
        model(op("Concat", "x -", "y", axis=1)),
        "Concat (node y, opset 17): must have an input 2",
    ),
    "concat of a constant between": (
        model(op("Concat", "x c x", "y", axis=1), weights={"c": floats(1, 4)}, shape=(1, 4)),
        "Concat (node y, opset 17): must have its constants before or behind all others, "
        "not between them",
    ),
    "concat of a constant of another size": (
        model(op("Concat", "x c", "y", axis=1), weights={"c": floats(1, 1, 3)}, shape=(1, 2, 4)),
        "Concat (node y, opset 17): must join constants of the same sizes along all other axes, "
        "not (1, 3) to (2, 4)",
    ),
    "concat of a constant with fewer axes": (
        model(op("Concat", "x c", "y", axis=1), weights={"c": floats(4)}),
        "Concat (node y, opset 17): its constants must have 2 axes, not 1",
    ),
    "concat of a constant for one image": (
        model(op("Concat", "x c", "y", axis=1), weights={"c": floats(2, 4)}, shape=(2, 4)),
        "Concat (node y, opset 17): its constant must be the same for all images",
    ),
    "concat of a constant for so many images": (
        model(op("Concat", "x c", "y", axis=1), weights={"c": floats(3, 4)}),
        "Concat (node y, opset 17): its constant must be the same for all images, not of 3 parts",
    ),
    "cast to integers": (
        model(op("Cast", "x", "a", to=onnx.TensorProto.INT8), op("Relu", "a", "y")),
        "Cast (node a, opset 17): must cast to a float type",
    ),
    "dropout in training": (
        model(op("Dropout", "x - t", "y"), weights={"t": True}),
        "Dropout (node y, opset 17): training_mode must be false",
    ),
    "a tensor beyond measure": (
        model(op("Pad", "x", "y", pads=[0, 1 << 40, 0, 0]), opset=10),
        "Pad (node y, opset 10): "
        f"its output must hold 1 to {MAX_VALUES} values, not (1099511627780,)",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_only_move_values_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """What mixes images, or does not fit, names its operator, node and opset."""
    refuse(refused, message)


@pytest.mark.parametrize("last", [op("Squeeze", "s one", "y"), op("Reshape", "s all", "y")])
def test_one_number_for_each_image_keeps_an_axis(last: onnx.NodeProto) -> None:
    """What a regressor's last line squeezes is the same numbers, in a column."""
    weights: dict[str, Any] = {"w": floats(4, 1), "one": [1], "all": [-1]}
    proto = model(op("Gemm", "x w", "s"), last, weights=weights)
    x = floats(5, 4)
    (found,) = forward(from_model(proto), x).values()
    assert found.shape == (5, 1)
    assert_floats_agree(found[:, 0], runtime(proto, x)[0], 1e-6, 0)
