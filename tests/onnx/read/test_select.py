"""Parts of tensors: Slice, Split, Gather and what exporters make of ``x[:, 1:3]`` and its like."""

import numpy as np
import onnx
import pytest

from fxpnn import infer, to_float
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Slice
from fxpnn.onnx import from_model
from fxpnn.quantization.quantizer import quantize
from tests.support.onnx_models import (
    MAPS,
    Form,
    check,
    floats,
    form,
    model,
    op,
    refuse,
)

LAST = 2**63 - 1
ML = "ai.onnx.ml"

FORMS = {
    "slice of pytorch": form(
        "Slice Slice",
        op("Slice", "x s e a t", "y"),
        weights={"s": [0, 1, -4], "e": [LAST, 2, LAST], "a": [0, 1, 3], "t": [1, 1, 1]},
        shape=MAPS,
    ),
    "slice by attributes": form(
        "Slice", op("Slice", "x", "y", starts=[1], ends=[100], axes=[2]), shape=MAPS, opset=9
    ),
    "slice without axes": form(
        "Slice", op("Slice", "x s e", "y"), weights={"s": [0, 1], "e": [LAST, 3]}
    ),
    "crop of every axis": form(
        "Slice Slice",
        op("Slice", "x s e a", "y"),
        weights={"s": [1, 1], "e": [-1, -2], "a": [2, 3]},
        shape=MAPS,
    ),
    "focus": form(
        "Slice Slice Concat",
        op("Slice", "x zero last high two", "a"),
        op("Slice", "x one last high two", "b"),
        op("Concat", "a b", "y", axis=1),
        weights={
            "zero": [0],
            "one": [1],
            "two": [2],
            "last": [LAST],
            "high": [2],
        },
        shape=MAPS,
    ),
    "slice of everything": form(
        "Relu",
        op("Slice", "x s e i", "a"),
        op("Relu", "a", "y"),
        weights={"s": [0], "e": [4], "i": [1]},
    ),
    "slice backwards": form(
        "Take Take",
        op("Slice", "x s e a t", "y"),
        weights={"s": [4, -1], "e": [0, -LAST], "a": [2, 3], "t": [-2, -1]},
        shape=MAPS,
    ),
    "split by attribute": form(
        "Slice Slice Add",
        op("Split", "x", "a b", axis=1),
        op("Add", "a b", "y"),
        shape=MAPS,
        opset=12,
    ),
    "split by sizes, one part unread": form(
        "Slice Slice Concat",
        op("Split", "x n", "a b c", axis=-1),
        op("Concat", "a c", "y", axis=-1),
        weights={"n": [1, 2, 2]},
        shape=MAPS,
    ),
    "split by a number of outputs": form(
        "Slice Slice Concat",
        op("Split", "x", "a b c", axis=2, num_outputs=3),
        op("Concat", "c a", "y", axis=2),
        shape=("N", 2, 5, 4),
        opset=18,
    ),
    "split to one": form(
        "Relu", op("Split", "x", "a", axis=1), op("Relu", "a", "y"), shape=MAPS, opset=12
    ),
    "unbind": form(
        "Slice Slice Reshape Reshape Mul",
        op("Split", "x", "a b", axis=1),
        op("Squeeze", "a one", "c"),
        op("Squeeze", "b one", "d"),
        op("Mul", "c d", "y"),
        weights={"one": [1]},
        shape=MAPS,
    ),
    "select of pytorch": form(
        "Slice Reshape", op("Gather", "x i", "y", axis=1), weights={"i": np.array(-1)}, shape=MAPS
    ),
    "gather of neighbours": form(
        "Slice", op("Gather", "x i", "y", axis=-1), weights={"i": [1, 2, 3]}, shape=MAPS
    ),
    "gather in steps": form(
        "Slice",
        op("Gather", "x i", "y", axis=2),
        weights={"i": [0, 2, 4]},
        shape=MAPS,
    ),
    "gather in another order": form(
        "Take",
        op("Gather", "x i", "y", axis=1),
        weights={"i": [1, 0]},
        shape=MAPS,
    ),
    "gather of uneven steps, twice the same": form(
        "Take",
        op("Gather", "x i", "y", axis=-1),
        weights={"i": [0, 2, 3, 3]},
        shape=MAPS,
    ),
    "gather as a table in another order": form(
        "Take Reshape",
        op("Gather", "x i", "y", axis=1),
        weights={"i": [[2, 3], [0, 1]]},
    ),
    "scaled features in another order": form(
        "Take Dense",
        op("Mul", "x g", "b"),
        op("ArrayFeatureExtractor", "b i", "a", domain=ML),
        op("Gemm", "a w", "y"),
        weights={"g": floats(4) + 2, "i": [[2, 0]], "w": floats(2, 3)},
        domains={ML: 3},
    ),
    "gather as a table": form(
        "Slice Reshape",
        op("Gather", "x i", "y", axis=1),
        weights={"i": [[1, 2], [3, 4]]},
        shape=("N", 6),
    ),
    "gather of everything": form(
        "Relu",
        op("Gather", "x i", "a", axis=1),
        op("Relu", "a", "y"),
        weights={"i": [0, 1, 2, 3]},
    ),
    "features of scikit-learn": form(
        "Slice Dense",
        op("ArrayFeatureExtractor", "x i", "a", domain=ML),
        op("Gemm", "a w", "y"),
        weights={"i": [[1, 2]], "w": floats(2, 3)},
        domains={ML: 3},
    ),
    "part of a row held as maps": form(
        "Reshape Conv2D Reshape Slice",
        op("Conv", "x w", "a", pads=[1, 1]),
        op("Slice", "a s e a2", "y"),
        weights={"w": floats(3, 2, 3), "s": [1], "e": [3], "a2": [1]},
        shape=("N", 2, 6),
    ),
    "normalised features, then their parts": form(
        "Slice Slice Dense Dense Add",
        op("Sub", "x m", "a"),
        op("Div", "a d", "b"),
        op("Split", "b n", "c e", axis=1),
        op("Gemm", "c w", "f"),
        op("Gemm", "e w", "g"),
        op("Add", "f g", "y"),
        weights={"m": floats(4), "d": floats(4) + 3, "n": [2, 2], "w": floats(2, 3)},
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_parts_are_read(case: Form) -> None:
    """ONNX Runtime computes the same of each."""
    check(case)


def test_parts_stand_where_they_lie() -> None:
    """The layers say which places they keep, counted without the images' axis."""
    network = from_model(FORMS["slice of pytorch"].model)
    kept = [
        (n.layer.axis, n.layer.start, n.layer.stop)
        for n in network.nodes
        if isinstance(n.layer, Slice)
    ]
    assert kept == [(0, 1, 2), (2, 1, 5)]


def test_a_part_keeps_words() -> None:
    """A quantized slice has its input's format, and loses nothing beside."""
    network = from_model(FORMS["gather of neighbours"].model)
    fixed = quantize(network, floats(8, 2, 6, 5))
    assert fixed.formats["y"] == fixed.input_format


def test_another_order_keeps_words() -> None:
    """Joined again, they have a format that holds them all: no word is lost."""
    fixed = quantize(from_model(FORMS["gather in another order"].model), x := floats(8, 2, 6, 5))
    run = infer(fixed, x, keep=[INPUT])
    assert np.array_equal(
        to_float(run.raw, fixed.formats["y"]),
        to_float(run.tensors[INPUT][:, ::-1], fixed.input_format),
    )


REFUSED = {
    "no step": (
        model(op("Slice", "x s e a t", "y"), weights={"s": [3], "e": [0], "a": [1], "t": [0]}),
        "Slice (node y, opset 17): steps must not be 0, not [0]",
    ),
    "an empty part": (
        model(op("Slice", "x s e a", "y"), weights={"s": [2], "e": [2], "a": [1]}),
        "Slice (node y, opset 17): must keep one or more of the 4 along axis 1",
    ),
    "images apart": (
        model(op("Slice", "x s e", "y"), weights={"s": [0], "e": [1]}),
        "Slice (node y, opset 17): must not take images apart",
    ),
    "an axis that is not": (
        model(op("Slice", "x s e a", "y"), weights={"s": [0], "e": [1], "a": [2]}),
        "Slice (node y, opset 17): axis must be inside the 2 axes, not 2",
    ),
    "unequal numbers": (
        model(op("Slice", "x s e a", "y"), weights={"s": [0, 1], "e": [1], "a": [1]}),
        "Slice (node y, opset 17): starts, ends, axes and steps must be as many",
    ),
    "unequal parts": (
        model(op("Split", "x", "a b c", axis=1), op("Concat", "a b c", "y", axis=1), opset=12),
        "Split (node a, opset 12): must split 4 into 3 parts of one size",
    ),
    "parts of another sum": (
        model(
            op("Split", "x n", "a b", axis=1),
            op("Concat", "a b", "y", axis=1),
            weights={"n": [1, 2]},
        ),
        "Split (node a, opset 17): must split 4 into 2 parts of 1 or more",
    ),
    "a place outside": (
        model(op("Gather", "x i", "y", axis=1), weights={"i": [4]}),
        "Gather (node y, opset 17): its index must be inside the 4 along axis 1",
    ),
    "no places": (
        model(op("Gather", "x i", "y", axis=1), weights={"i": np.zeros(0, np.int64)}),
        "Gather (node y, opset 17): its index must be integers, not 0 int64",
    ),
    "features of maps": (
        model(
            op("ArrayFeatureExtractor", "x i", "y", domain=ML),
            weights={"i": [1]},
            shape=MAPS,
            domains={ML: 3},
        ),
        "ai.onnx.ml.ArrayFeatureExtractor (node y, opset 3): "
        "must read a vector of features, not (2, 6, 5)",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_parts_that_are_none_are_refused(refused: onnx.ModelProto, message: str) -> None:
    """One line says what is in the way."""
    refuse(refused, message)
