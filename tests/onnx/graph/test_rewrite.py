"""Activations written out in arithmetic are recognised, and only they."""

import pytest

from tests.support.onnx_models import MAPS, Form, check, floats, form, op

NUMBERS = {
    "zero": 0.0,
    "fifth": 0.2,
    "half": 0.5,
    "one": 1.0,
    "three": 3.0,
    "six": 6.0,
    "sixth": 1 / 6,
}

FORMS = {
    "hard swish of a hard sigmoid": form(
        "HardSwish", op("HardSigmoid", "x", "a", alpha=1 / 6), op("Mul", "x a", "y"), shape=MAPS
    ),
    "hard swish divided last": form(
        "HardSwish",
        op("Add", "x three", "a"),
        op("Clip", "a zero six", "b"),
        op("Mul", "x b", "c"),
        op("Div", "c six", "y"),
        weights=NUMBERS,
        shape=MAPS,
    ),
    "hard swish multiplied last": form(
        "HardSwish",
        op("Add", "three x", "a"),
        op("Clip", "a", "b", min=0.0, max=6.0),
        op("Mul", "b x", "c"),
        op("Mul", "sixth c", "y"),
        weights=NUMBERS,
        shape=MAPS,
        opset=10,
    ),
    "hard swish divided first": form(
        "HardSwish",
        op("Add", "x three", "a"),
        op("Clip", "a zero six", "b"),
        op("Div", "b six", "c"),
        op("Mul", "x c", "y"),
        weights=NUMBERS,
        shape=MAPS,
    ),
    "hard sigmoid": form(
        "HardSigmoid",
        op("Add", "x three", "a"),
        op("Clip", "a zero six", "b"),
        op("Mul", "b sixth", "y"),
        weights=NUMBERS,
        shape=MAPS,
    ),
    "hard sigmoid of keras": form(
        "HardSigmoid",
        op("Mul", "x fifth", "a"),
        op("Add", "a half", "b"),
        op("Clip", "b zero one", "y"),
        weights=NUMBERS,
        shape=MAPS,
    ),
    "relu6 with a bias of three": form(
        "Conv2D Clip",
        op("Conv", "x k", "a"),
        op("Add", "a three", "b"),
        op("Clip", "b zero six", "y"),
        weights={"k": floats(3, 2, 3, 3), **NUMBERS},
        shape=MAPS,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_written_out_activations(case: Form) -> None:
    """A pattern becomes one layer, and ONNX Runtime computes the same."""
    check(case)


NOT_ALL_THERE = {
    "clipped at another height": form(
        "Conv2D Clip Flatten Dense",
        op("Conv", "x k", "a"),
        op("Add", "a three", "b"),
        op("Clip", "b zero one", "c"),
        op("Flatten", "c", "d"),
        op("Mul", "d sixth", "e"),
        op("Gemm", "e w", "y"),
        weights={"k": floats(3, 2, 3, 3), "w": floats(36, 2), **NUMBERS},
        shape=MAPS,
    ),
    "clipped from another depth": form(
        "Conv2D Clip Flatten Dense",
        op("Conv", "x k", "a"),
        op("Add", "a three", "b"),
        op("Clip", "b half six", "c"),
        op("Mul", "c sixth", "d"),
        op("Flatten", "d", "e"),
        op("Gemm", "e w", "y"),
        weights={"k": floats(3, 2, 3, 3), "w": floats(36, 2), **NUMBERS},
        shape=MAPS,
    ),
    "another factor": form(
        "Conv2D Clip Flatten Dense",
        op("Conv", "x k", "a"),
        op("Add", "a three", "b"),
        op("Clip", "b zero six", "c"),
        op("Mul", "c fifth", "d"),
        op("Flatten", "d", "e"),
        op("Gemm", "e w", "y"),
        weights={"k": floats(3, 2, 3, 3), "w": floats(36, 2), **NUMBERS},
        shape=MAPS,
    ),
}


@pytest.mark.parametrize("case", NOT_ALL_THERE.values(), ids=NOT_ALL_THERE)
def test_other_arithmetic_stays_what_it_is(case: Form) -> None:
    """Constants that make no pattern are folded like any others."""
    check(case)


def test_a_product_that_is_no_swish_is_a_product() -> None:
    """The gate must be that of the tensor it multiplies."""
    gate = op("Add", "x two", "a"), op("Clip", "a zero six", "b"), op("Mul", "x b", "c")
    weights = {**NUMBERS, "two": 2.0}
    check(
        form(
            "Reshape Conv2D Reshape Clip Mul Reshape Conv2D Reshape",
            *gate,
            op("Div", "c six", "y"),
            weights=weights,
        )
    )
