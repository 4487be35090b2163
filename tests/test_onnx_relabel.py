"""Values that are moved or joined, with the shape arithmetic that exporters put around it."""

import onnx
import pytest
from onnx import helper

from tests.onnx_models import MAPS, Form, check, floats, form, op

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
    "flatten from behind": form("Flatten", op("Flatten", "x", "y", axis=-3), shape=MAPS),
    "axes as attributes": form(
        "Reshape Reshape Relu",
        op("Unsqueeze", "x", "a", axes=[2, 1]),
        op("Squeeze", "a", "b", axes=[-2]),
        op("Relu", "b", "y"),
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
