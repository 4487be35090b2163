"""Pools as ONNX describes their windows."""

import pytest

from tests.onnx_models import MAPS, Form, check, floats, form, op

FORMS = {
    **{
        f"auto_pad {mode}": form(
            "Conv2D MaxPool2D AvgPool2D",
            op("Conv", "x k", "a", auto_pad=mode, strides=[2, 1]),
            op("MaxPool", "a", "b", auto_pad=mode, kernel_shape=[2, 1], strides=[1, 1]),
            op("AveragePool", "b", "y", auto_pad=mode, kernel_shape=[1, 1], strides=[3, 2]),
            weights={"k": floats(3, 2, 2, 3)},
            shape=("N", 2, 7, 9),
        )
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
    },
    "ceil mode": form(
        "MaxPool2D AvgPool2D",
        op("MaxPool", "x", "a", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        op("AveragePool", "a", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        shape=MAPS,
    ),
    "whole maps": form(
        "AvgPool2D MaxPool2D AvgPool2D Concat",
        op("GlobalAveragePool", "x", "a"),
        op("GlobalMaxPool", "x", "b"),
        op("ReduceMean", "x", "c", axes=[-1, 2]),
        op("Concat", "a b c", "y", axis=-3),
        shape=MAPS,
    ),
    "mean without its axes": form(
        "AvgPool2D Reshape",
        op("ReduceMean", "x axes", "y", keepdims=0),
        weights={"axes": [2, 3]},
        shape=MAPS,
        opset=18,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_windows(case: Form) -> None:
    """Paddings, modes and whole maps mean what ONNX Runtime takes them for."""
    check(case)
