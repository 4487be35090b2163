"""Products of matrices: by constants along an axis, and of two tensors, against ONNX Runtime."""

import numpy as np
import onnx
import pytest

from fxpnn.network.layers import Conv2D
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

ROWS = ("N", 3, 4)
ADDED = op("MatMul", "x w", "a"), op("Add", "a b", "y")
BEFORE = op("MatMul", "w x", "a"), op("Add", "a b", "y")
SCALED = op("Add", "a b", "c"), op("Mul", "c half", "y")
LINEAR = "Transpose Reshape Conv2D Reshape Transpose"
STACK = "Reshape Conv2D Reshape"

FORMS = {
    "rows by a matrix": form(
        LINEAR, *ADDED, weights={"w": floats(4, 5), "b": floats(5)}, shape=ROWS
    ),
    "a bias of one value": form(
        LINEAR, *ADDED, weights={"w": floats(4, 5), "b": floats(1)}, shape=ROWS
    ),
    "rows of maps": form(
        "Transpose Conv2D Transpose",
        *ADDED,
        weights={"w": floats(5, 7), "b": floats(7)},
        shape=MAPS,
    ),
    "rows of more axes": form(
        LINEAR, *ADDED, weights={"w": floats(3, 2), "b": floats(2)}, shape=("N", 2, 4, 2, 3)
    ),
    "a matrix for each map": form(
        LINEAR, *ADDED, weights={"w": floats(2, 5, 7), "b": floats(2, 1, 7)}, shape=MAPS
    ),
    "a scale and a bias that are one for each map": form(
        LINEAR,
        *ADDED[:1],
        *SCALED,
        weights={"w": floats(2, 5, 7), "b": floats(2, 1, 1), "half": 0.5},
        shape=MAPS,
    ),
    "a scale and a bias that are one for each map, by columns": form(
        STACK,
        *BEFORE[:1],
        *SCALED,
        weights={"w": floats(2, 7, 6), "b": floats(2, 1, 1), "half": 0.5},
        shape=MAPS,
    ),
    "one for all of an axis": form(
        LINEAR,
        *ADDED,
        weights={"w": floats(1, 4, 3, 2), "b": floats(4, 1, 2)},
        shape=("N", 2, 4, 2, 3),
    ),
    "a matrix by columns": form(
        STACK, *BEFORE, weights={"w": floats(5, 3), "b": floats(5, 1)}, shape=ROWS
    ),
    "a matrix by each map's columns": form(
        STACK, *BEFORE, weights={"w": floats(2, 7, 6), "b": floats(2, 7, 1)}, shape=MAPS
    ),
    "a matrix by all maps' columns": form(
        "Transpose Conv2D Transpose",
        *BEFORE,
        weights={"w": floats(1, 1, 7, 6), "b": floats(7, 1)},
        shape=MAPS,
    ),
    "a bias for each row is a layer": form(
        f"{LINEAR} Reshape Conv2D Reshape",
        *ADDED,
        weights={"w": floats(4, 5), "b": floats(3, 5)},
        shape=ROWS,
    ),
    "what is shared keeps its bias apart": form(
        f"{LINEAR} Reshape Conv2D Reshape Add",
        op("MatMul", "x w", "a"),
        op("Add", "a b", "c"),
        op("Add", "a c", "y"),
        weights={"w": floats(5, 5), "b": floats(5)},
        shape=("N", 3, 5),
    ),
    "two layers and an activation": form(
        f"{LINEAR} Relu {LINEAR}",
        *ADDED[:1],
        op("Add", "a b", "c"),
        op("Relu", "c", "d"),
        op("MatMul", "d v", "e"),
        op("Mul", "e half", "y"),
        weights={"w": floats(4, 5), "b": floats(5), "v": floats(5, 2), "half": 0.5},
        shape=ROWS,
    ),
    "what is folded ahead": form(
        LINEAR,
        op("Mul", "x g", "c"),
        op("MatMul", "c w", "y"),
        weights={"w": floats(4, 5), "g": floats(4)},
        shape=ROWS,
    ),
    "two tensors": form(
        "Transpose MatMul",
        op("Transpose", "x", "t", perm=[0, 2, 1]),
        op("MatMul", "x t", "y"),
        shape=ROWS,
    ),
    "heads that are merged with the image, turned, and parted": form(
        "Transpose MatMul",
        op("Reshape", "x merged", "m"),
        op("Transpose", "m", "t", perm=[0, 2, 1]),
        op("Reshape", "t parted", "p"),
        op("MatMul", "x p", "y"),
        weights={"merged": np.array([-1, 6, 5]), "parted": np.array([1, 2, 5, 6])},
        shape=(1, *MAPS[1:]),
    ),
    "heads that are merged with the image, multiplied, weighed and parted": form(
        "Transpose MatMul Softmax Reshape",
        op("Reshape", "x merged", "m"),
        op("Transpose", "m", "t", perm=[0, 2, 1]),
        op("MatMul", "m t", "p"),
        op("Softmax", "p", "s", axis=-1),
        op("Reshape", "s parted", "y"),
        weights={"merged": np.array([-1, 6, 5]), "parted": np.array([-1, 2, 3, 12])},
        shape=MAPS,
    ),
    "rows that are merged with the image": form(
        f"Reshape {LINEAR} Relu {LINEAR} Reshape",
        op("Reshape", "x merged", "m"),
        op("MatMul", "m w", "a"),
        op("Add", "a b", "c"),
        op("Relu", "c", "d"),
        op("Gemm", "d v b", "e"),
        op("Reshape", "e parted", "y"),
        weights={
            "merged": np.array([-1, 5]),
            "w": floats(5, 4),
            "b": floats(4),
            "v": floats(4, 4),
            "parted": np.array([-1, 2, 6, 4]),
        },
        shape=MAPS,
    ),
    "one that repeats": form(
        "Slice Transpose MatMul",
        op("Slice", "x zero one axis", "s"),
        op("Transpose", "s", "t", perm=[0, 1, 3, 2]),
        op("MatMul", "x t", "y"),
        weights={"zero": np.array([0]), "one": np.array([1]), "axis": np.array([1])},
        shape=MAPS,
    ),
    "a scale of a factor goes behind": form(
        "Transpose MatMul Reshape Conv2D Reshape",
        op("Mul", "x half", "h"),
        op("Transpose", "h", "t", perm=[0, 2, 1]),
        op("MatMul", "h t", "a"),
        op("Mul", "a half", "y"),
        weights={"half": 0.5},
        shape=ROWS,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_matrices_become_layers(case: Form) -> None:
    """A constant's are convolutions of one place, which take a bias in; ONNX Runtime agrees."""
    network = check(case)
    for node in network.nodes:
        if isinstance(node.layer, Conv2D):
            assert node.layer.window.kernel == (1, 1)


REFUSED = {
    "a vector": (
        model(op("MatMul", "x w", "y"), weights={"w": floats(4)}, shape=ROWS),
        "B must be a matrix, not (4,)",
    ),
    "rows of another size": (
        model(op("MatMul", "x w", "y"), weights={"w": floats(5, 3)}, shape=ROWS),
        "must multiply rows of 5 values, not 4",
    ),
    "more matrices": (
        model(op("MatMul", "x w", "y"), weights={"w": floats(3, 5, 3)}, shape=MAPS),
        "its constant must have one matrix for all images, or one for each of (2,), not (3,)",
    ),
    "a matrix for each image": (
        model(op("MatMul", "x w", "y"), weights={"w": floats(2, 4, 3)}, shape=(2, 3, 4)),
        "its constant must be the same for all images",
    ),
    "a matrix by images": (
        model(op("MatMul", "w x", "y"), weights={"w": floats(4, 1)}),
        "must multiply a matrix by matrices, not (4, 1) by (N, 4)",
    ),
    "images by images": (
        model(op("MatMul", "x x", "y")),
        "must multiply each image's matrices by its own, not (N, 4) by (N, 4)",
    ),
    "two tensors that do not fit": (
        model(op("MatMul", "x x", "y"), shape=ROWS),
        "branches must be (..., m, k) and (..., k, n), not (3, 4) and (3, 4)",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_mixes_images_or_does_not_fit_is_refused(
    refused: onnx.ModelProto, message: str
) -> None:
    """In one line."""
    refuse(refused, f"MatMul (node y, opset 17): {message}")
