"""Pools as ONNX describes their windows."""

from typing import Any

import onnx
import pytest

from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse

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
    "auto_pad of a stride above the kernel": form(
        "Conv2D",
        op("Conv", "x k", "y", auto_pad="SAME_UPPER", strides=[2, 2]),
        weights={"k": floats(3, 2, 1, 1)},
        shape=MAPS,
    ),
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


def pool(kind: str, **attributes: Any) -> onnx.ModelProto:
    """Make a model of one pool."""
    return model(op(kind, "x", "y", **attributes), shape=MAPS)


REFUSED = {
    "one axis on maps": (
        pool("MaxPool", kernel_shape=[2]),
        "MaxPool (node y, opset 17): "
        "its kernel must have the one axis of rows or the two of maps, not 1 on (2, 6, 5)",
    ),
    "two axes on rows": (
        model(op("MaxPool", "x", "y", kernel_shape=[2, 2]), shape=("N", 3, 8)),
        "MaxPool (node y, opset 17): "
        "its kernel must have the one axis of rows or the two of maps, not 2 on (3, 8)",
    ),
    "three axes": (
        model(op("MaxPool", "x", "y", kernel_shape=[2, 2, 2]), shape=("N", 3, 8, 8, 8)),
        "MaxPool (node y, opset 17): "
        "its kernel must have the one axis of rows or the two of maps, not 3 on (3, 8, 8, 8)",
    ),
    "a vector": (
        model(op("GlobalAveragePool", "x", "y")),
        "GlobalAveragePool (node y, opset 17): "
        "its kernel must have the one axis of rows or the two of maps, not 0 on (4,)",
    ),
    "another norm": (
        pool("LpPool", kernel_shape=[2, 2], p=1),
        "LpPool (node y, opset 17): p must be 2, not 1",
    ),
    "no such padding": (
        pool("MaxPool", kernel_shape=[2, 2], auto_pad="SOME"),
        "MaxPool (node y, opset 17): "
        "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not SOME",
    ),
    "one stride": (
        pool("AveragePool", kernel_shape=[2, 2], strides=[2]),
        "AveragePool (node y, opset 17): stride must be 2 counts of 1 to 2**31 - 1, not (2,)",
    ),
    "two pads": (
        pool("AveragePool", kernel_shape=[2, 2], pads=[1, 1]),
        "AveragePool (node y, opset 17): padding must be 4 counts of 0 to 2**31 - 1, not (1, 1)",
    ),
    "no padding to the same size": (
        pool("MaxPool", kernel_shape=[1, 1], strides=[6, 1], auto_pad="SAME_UPPER"),
        "MaxPool (node y, opset 17): auto_pad must pad where a stride skips pixels, not SAME_UPPER",
    ),
    "neither yes nor no": (
        pool("MaxPool", kernel_shape=[2, 2], ceil_mode=2),
        "MaxPool (node y, opset 17): ceil_mode must be 0 or 1, not 2",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_window_on_maps_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """What cannot be a pool names its operator, node and opset."""
    refuse(refused, message)
