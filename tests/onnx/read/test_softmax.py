"""Masks of attention, added to what a softmax reads, hide places from it and cost no format."""

from typing import Any

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn.network.layers import Array, MaskedSoftmax
from fxpnn.onnx import from_model
from tests.support.onnx_models import Form, check, floats, form, model, op, refuse

TOKENS = ("N", 4, 4)
LEAST = float(np.finfo(np.float32).min)
CAUSAL = ((0, 1), (0, 2), (0, 3), (0, 4))
SCORES = op("MatMul", "x w", "s")
SCORED = "Transpose Reshape Conv2D Reshape Transpose"
WEIGHTS = {"w": floats(4, 4)}


def mask(value: float) -> Array:
    """Make a causal mask of four tokens."""
    return np.triu(np.full((4, 4), value, np.float32), 1)


def added(m: Array, layers: str = "MaskedSoftmax", **softmax: Any) -> Form:
    """Add a mask to scores."""
    nodes = SCORES, op("Add", "s m", "a"), op("Softmax", "a", "y", **softmax)
    return form(f"{SCORED} {layers}", *nodes, weights={**WEIGHTS, "m": m}, shape=TOKENS)


FORMS = {
    "minus infinity": added(mask(-np.inf)),
    "the least float": added(mask(LEAST)),
    "the least of half precision": added(mask(-65504)),
    "minus ten thousand": added(mask(-10000)),
    "chosen by a triangle": form(
        f"{SCORED} MaskedSoftmax",
        SCORES,
        op("Trilu", "ones", "lower", upper=0),
        op("Cast", "lower", "seen", to=9),
        op("Where", "seen s least", "a"),
        op("Softmax", "a", "y"),
        weights={**WEIGHTS, "ones": np.ones((4, 4), np.float32), "least": -np.inf},
        shape=TOKENS,
    ),
    "chosen the other way": form(
        f"{SCORED} MaskedSoftmax",
        SCORES,
        op("Where", "hidden least s", "a"),
        op("Softmax", "a", "y"),
        weights={**WEIGHTS, "hidden": mask(1) != 0, "least": LEAST},
        shape=TOKENS,
    ),
    "heads that share it, scaled before": form(
        "MatMul Conv2D MaskedSoftmax",
        op("MatMul", "x x", "s"),
        op("Mul", "s scale", "h"),
        op("Add", "h m", "a"),
        op("Softmax", "a", "y", axis=-1),
        weights={"scale": 0.5, "m": mask(-np.inf)},
        shape=("N", 3, 4, 4),
    ),
    "with positions": form(
        "MatMul Reshape Conv2D Reshape MaskedSoftmax",
        op("MatMul", "x x", "s"),
        op("Add", "s b", "c"),
        op("Add", "c m", "a"),
        op("Softmax", "a", "y"),
        weights={"b": floats(4, 4), "m": mask(LEAST)},
        shape=TOKENS,
    ),
    "padding of all sequences": added(np.array([[0, 0, 0, -np.inf]], np.float32)),
    "along another axis": added(mask(-np.inf).T, axis=1),
    "all behind an axis, as before opset 13": form(
        f"{SCORED} Reshape MaskedSoftmax Reshape",
        SCORES,
        op("Add", "s m", "a"),
        op("Softmax", "a", "y", axis=1),
        weights={**WEIGHTS, "m": np.repeat([[0.0, 0, 0, -1e9]], 4, 0).astype(np.float32).T},
        shape=TOKENS,
        opset=11,
    ),
    "reshaped between": form(
        "MatMul Reshape MaskedSoftmax",
        op("MatMul", "x x", "s"),
        op("Add", "s m", "a"),
        op("Reshape", "a flat", "f"),
        op("Softmax", "f", "y"),
        weights={"m": mask(-np.inf), "flat": np.array([-1, 12, 4])},
        shape=("N", 3, 4, 4),
    ),
    "not far enough below": added(mask(-100), "Reshape Conv2D Reshape Softmax"),
    "holes": added(np.array([[0, -1e4, 0, 0]], np.float32), "Softmax"),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_masks_become_spans(case: Form) -> None:
    """ONNX Runtime computes the same of each."""
    check(case)


def test_tokens_see_those_before_them() -> None:
    """All heads have the spans of one."""
    (node,) = (
        n
        for n in from_model(FORMS["heads that share it, scaled before"].model).nodes
        if isinstance(n.layer, MaskedSoftmax)
    )
    assert isinstance(node.layer, MaskedSoftmax)
    assert node.layer.spans == CAUSAL


def test_a_mask_costs_no_format() -> None:
    """The scores keep theirs: what is hidden is no value of any tensor."""
    plain = model(SCORES, op("Softmax", "s", "y"), weights=WEIGHTS, shape=TOKENS)
    images, formats = floats(50, 4, 4), []
    for proto in (plain, FORMS["minus infinity"].model, FORMS["minus ten thousand"].model):
        fixed = fxpnn.quantize(from_model(proto), images)
        formats.append([str(node.output_format) for node in fixed.nodes])
    assert formats[0] == formats[1] == formats[2]


@pytest.mark.parametrize(
    ("hidden", "node", "message"),
    [
        (
            [[0, -np.inf, 0, 0]],
            op("Softmax", "a", "y"),
            "Softmax (node y, opset 17): its mask of -inf must leave one run of places of each "
            "vector",
        ),
        (
            [[-np.inf] * 4],
            op("Softmax", "a", "y"),
            "Softmax (node y, opset 17): its mask of -inf must leave one run of places of each "
            "vector",
        ),
        (
            [[0, 0, 0, -np.inf]],
            op("Relu", "a", "y"),
            "Relu (node y, opset 17): its mask of -inf must be read by a Softmax alone",
        ),
        (
            [[0, 0, 0, -np.inf]],
            op("MatMul", "a w", "y"),
            "MatMul (node y, opset 17): its mask of -inf must be read by a Softmax alone",
        ),
        (
            [[0, 0, 0, np.inf]],
            op("Softmax", "a", "y"),
            "Add (node a, opset 17): its parameters must be finite",
        ),
        (
            [[0, 0, 0, np.nan]],
            op("Softmax", "a", "y"),
            "Add (node a, opset 17): its parameters must be finite",
        ),
    ],
)
def test_masks_that_are_refused(hidden: Array, node: onnx.NodeProto, message: str) -> None:
    """In one line."""
    weights = {**WEIGHTS, "m": np.array(hidden, np.float32)}
    refuse(model(SCORES, op("Add", "s m", "a"), node, weights=weights, shape=TOKENS), message)
