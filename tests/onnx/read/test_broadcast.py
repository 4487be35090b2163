"""Operands of several shapes are repeated to one; a power is a product; constants are joined."""

import numpy as np
import pytest

from tests.support.onnx_models import MAPS, Form, check, floats, form, op

SPLIT = (op("Reshape", "x column", "a"), op("Reshape", "x row", "b"))
SHAPES = {"column": np.array([-1, 4, 1]), "row": np.array([-1, 1, 4])}

FORMS = {
    "a sum with one value of each image": form(
        "Reshape AvgPool2D Reshape Take Add",
        op("ReduceMean", "x", "m", axes=[1]),
        op("Add", "m x", "y"),
    ),
    "a difference from the mean of each map": form(
        "AvgPool2D Take Take Conv2D Add",
        op("GlobalAveragePool", "x", "m"),
        op("Sub", "x m", "y"),
        shape=MAPS,
    ),
    "a sum of a row and a column": form(
        "Reshape Reshape Take Take Add", *SPLIT, op("Add", "a b", "y"), weights=SHAPES
    ),
    "a sum of three": form(
        "Reshape Reshape Take Take Take Add Add",
        *SPLIT,
        op("Sum", "a b a", "y"),
        weights=SHAPES,
    ),
    "a sum of tensors and constants": form(
        "Relu Abs Add Add Conv2D",
        op("Relu", "x", "a"),
        op("Abs", "x", "b"),
        op("Sum", "b c a a d", "y"),
        weights={"c": floats(2, 1, 1), "d": floats(1)},
        shape=MAPS,
    ),
    "a sum of one and constants alone": form(
        "Relu Conv2D",
        op("Sum", "c d", "e"),
        op("Relu", "x", "a"),
        op("Sum", "e a c", "y"),
        weights={"c": floats(2, 1, 1), "d": floats(1)},
        shape=MAPS,
    ),
    "a product of a row and a column": form(
        "Reshape Reshape Take Mul", *SPLIT, op("Mul", "a b", "y"), weights=SHAPES
    ),
    "a number as a token": form(
        "Reshape Take Reshape Conv2D Reshape",
        op("Reshape", "x column", "a"),
        op("Mul", "a w", "s"),
        op("Add", "s b", "y"),
        weights={"w": floats(4, 3), "b": floats(1, 4, 3), **SHAPES},
    ),
    "distances from centres": form(
        "Reshape Take Reshape Conv2D Reshape Mul",
        op("Reshape", "x column", "a"),
        op("Sub", "c a", "d"),
        op("Mul", "d d", "y"),
        weights={"c": floats(3), **SHAPES},
    ),
    "a quotient by several": form(
        "Reshape Take Reshape Conv2D Reshape",
        op("Reshape", "x column", "a"),
        op("Div", "a d", "y"),
        weights={"d": 1 + floats(3) ** 2, **SHAPES},
    ),
    "a constant with the same row for each image": form(
        "Dense",
        op("Gemm", "x w", "a"),
        op("Add", "a c", "y"),
        weights={"w": floats(4, 4), "c": np.tile(floats(1, 4), (3, 1))},
        shape=(3, 4),
    ),
    "a square": form("Mul", op("Pow", "x two", "y"), weights={"two": 2.0}),
    "a fourth power": form(
        "Mul Mul Mul", op("Pow", "x n", "y"), weights={"n": np.array(4)}, shape=MAPS
    ),
    "a first power": form("Relu", op("Pow", "x n", "p"), op("Relu", "p", "y"), weights={"n": 1.0}),
    "a class token and positions": form(  # one sum for both
        "Pad Reshape Conv2D Reshape Relu",
        op("Concat", "token x", "a", axis=1),
        op("Add", "a places", "b"),
        op("Relu", "b", "y"),
        weights={"token": floats(1, 1, 4), "places": floats(1, 4, 4)},
        shape=(1, 3, 4),
    ),
    "a class token for a batch of two": form(
        "Pad Reshape Conv2D Reshape",
        op("Expand", "token shape", "tokens"),
        op("Concat", "x tokens", "y", axis=-2),
        weights={"token": floats(1, 1, 4), "shape": np.array([2, 1, 4])},
        shape=(2, 3, 4),
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_operands_become_one_shape(case: Form) -> None:
    """ONNX Runtime computes the same of each."""
    check(case)
