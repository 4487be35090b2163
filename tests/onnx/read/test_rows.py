"""One-dimensional convolutions and pools are two-dimensional ones on maps of height 1."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import (
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

ROWS = ("N", 4, 11)
KERNEL = {"k": floats(6, 4, 3), "kb": floats(6)}


def conv(**attributes: Any) -> onnx.NodeProto:
    """Make a convolution of rows."""
    return op("Conv", "x k kb", "c", **attributes)


def pool(kind: str, layers: str, **attributes: Any) -> Form:
    """Make a model that pools rows."""
    return form(layers, op(kind, "x", "y", **attributes), shape=ROWS)


BN = {name: floats(6, i + 1)[:, 0] for i, name in enumerate("sbm")} | {"v": floats(6) ** 2}
FORMS = {
    "convolution, pool and a dense layer": form(
        "Reshape Conv2D Relu MaxPool2D Flatten Dense",
        conv(pads=[1, 1]),
        op("Relu", "c", "r"),
        op("MaxPool", "r", "p", kernel_shape=[2], strides=[2]),
        op("Flatten", "p", "f"),
        op("Gemm", "f w", "y"),
        weights={**KERNEL, "w": floats(30, 2)},
        shape=ROWS,
    ),
    "batch normalization folded behind": form(
        "Reshape Conv2D Reshape",
        conv(strides=[2], dilations=[2], pads=[2, 1]),
        op("BatchNormalization", "c s b m v", "y"),
        weights={**KERNEL, **BN},
        shape=ROWS,
    ),
    "groups": form(
        "Reshape Conv2D Reshape",
        op("Conv", "x k", "y", group=2, auto_pad="SAME_UPPER"),
        weights={"k": floats(6, 2, 4)},
        shape=ROWS,
    ),
    "a residual": form(
        "Reshape Conv2D Relu Conv2D Add Relu Reshape",
        op("Conv", "x k", "a", pads=[1, 1]),
        op("Relu", "a", "b"),
        op("Conv", "b k", "c", pads=[1, 1]),
        op("Add", "c x", "s"),
        op("Relu", "s", "y"),
        weights={"k": floats(4, 4, 3)},
        shape=ROWS,
    ),
    "squeeze and excite": form(
        "Reshape Conv2D AvgPool2D Sigmoid Mul Reshape",
        conv(),
        op("GlobalAveragePool", "c", "g"),
        op("Sigmoid", "g", "h"),
        op("Mul", "c h", "y"),
        weights=KERNEL,
        shape=ROWS,
    ),
    "branches": form(
        "Reshape Conv2D Relu Reshape Reshape Concat Reshape Conv2D Reshape",
        conv(pads=[1, 1]),
        op("Relu", "c", "r"),
        op("Concat", "r c", "j", axis=1),
        op("Conv", "j q", "y"),
        weights={**KERNEL, "q": floats(2, 12, 3)},
        shape=ROWS,
    ),
    "softmax of rows": form(
        "Reshape Conv2D Reshape Softmax",
        conv(),
        op("Softmax", "c", "y"),
        weights=KERNEL,
        shape=ROWS,
    ),
    "transposed": form(
        "Reshape Conv2D Reshape Transpose",
        conv(),
        op("Transpose", "c", "y", perm=[0, 2, 1]),
        weights=KERNEL,
        shape=ROWS,
    ),
    "padded": form(
        "Reshape Conv2D Reshape Pad",
        conv(),
        op("Pad", "c p", "y"),
        weights={**KERNEL, "p": np.array([0, 0, 1, 0, 0, 2])},
        shape=ROWS,
    ),
    "maps of height 1 themselves": form(
        "Reshape Conv2D Reshape Conv2D",
        conv(),
        op("Unsqueeze", "c a", "u"),
        op("Conv", "u q", "y"),
        weights={**KERNEL, "a": np.array([2]), "q": floats(2, 6, 1, 3)},
        shape=ROWS,
    ),
    "slopes": form(
        "Reshape Conv2D PRelu Reshape",
        conv(),
        op("PRelu", "c s", "y"),
        weights={**KERNEL, "s": floats(6, 1)},
        shape=ROWS,
    ),
    "a scale behind an activation": form(
        "Reshape Conv2D Sigmoid Conv2D Reshape",
        conv(),
        op("Sigmoid", "c", "p"),
        op("Sub", "one p", "y"),
        weights={**KERNEL, "one": 1.0},
        shape=ROWS,
    ),
    "a scale before": form(
        "Reshape Conv2D Reshape",
        op("Mul", "x g", "n"),
        op("Conv", "n k", "y"),
        weights={"k": floats(6, 4, 3), "g": floats(4, 1)},
        shape=ROWS,
    ),
    "a gain for each element before": form(
        "Reshape Conv2D Reshape",
        op("Mul", "x g", "n"),
        op("Conv", "n k", "y"),
        weights={"k": floats(6, 4, 3), "g": floats(4, 11)},
        shape=ROWS,
    ),
    "max pool": pool(
        "MaxPool", "Reshape MaxPool2D Reshape", kernel_shape=[3], strides=[2], pads=[1, 1]
    ),
    "hanging pool": pool(
        "MaxPool", "Reshape MaxPool2D Reshape", kernel_shape=[2], strides=[2], ceil_mode=1
    ),
    "average pool": pool(
        "AveragePool",
        "Reshape AvgPool2D Reshape",
        kernel_shape=[3],
        pads=[1, 1],
        count_include_pad=1,
    ),
    "norm pool": pool("LpPool", "Reshape L2Pool2D Reshape", kernel_shape=[3]),
    "global average": pool("GlobalAveragePool", "Reshape AvgPool2D Reshape"),
    "global maximum": pool("GlobalMaxPool", "Reshape MaxPool2D Reshape"),
    "mean of rows": pool("ReduceMean", "Reshape AvgPool2D Reshape", axes=[-1], keepdims=0),
    "maximum of rows": pool("ReduceMax", "Reshape MaxPool2D Reshape", axes=[2]),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_rows(case: Form) -> None:
    """Rows are relabelled once on the way in and once on the way out; ONNX Runtime agrees."""
    check(case)


@st.composite
def convolutions(draw: st.DrawFn) -> onnx.ModelProto:
    """Draw a convolution of rows whose window fits."""
    groups, kernel, dilation = (draw(st.integers(1, n)) for n in (3, 4, 3))
    pads = [draw(st.integers(0, 3)) for _ in range(2)]
    span = dilation * (kernel - 1) + 1
    length = draw(st.integers(max(1, span - sum(pads)), 12))
    weight = floats(2 * groups, 2, kernel)
    attributes: dict[str, Any] = {"group": groups, "pads": pads, "dilations": [dilation]}
    node = op("Conv", "x k", "y", strides=[draw(st.integers(1, 3))], **attributes)
    return model(node, weights={"k": weight}, shape=("N", 2 * groups, length))


@given(proto=convolutions())
def test_convolutions_of_rows(proto: onnx.ModelProto) -> None:
    """Whatever padding, stride, dilation and groups: as ONNX Runtime."""
    network = from_model(proto)
    x = floats(2, *network.input_shape)
    (found,) = forward(network, x).values()
    assert_floats_agree(found, runtime(proto, x)[0])


REFUSED = {
    "a kernel of maps": (
        model(op("Conv", "x k", "y"), weights={"k": floats(6, 4, 1, 3)}, shape=ROWS),
        "Conv (node y, opset 17): its kernel must have the one axis of rows or the two of maps, "
        "not 2 on (4, 11)",
    ),
    "a window that does not fit": (
        model(op("Conv", "x k", "y"), weights={"k": floats(6, 4, 12)}, shape=ROWS),
        "Conv (node y, opset 17): kernel must fit its padded input: width 12 is over 11",
    ),
    "other channels": (
        model(op("Conv", "x k", "y"), weights={"k": floats(6, 3, 3)}, shape=ROWS),
        "Conv (node y, opset 17): input must have 3 maps (3 x 1 groups), not 4",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_window_on_rows_is_refused(refused: onnx.ModelProto, message: str) -> None:
    """What cannot slide over rows names its operator, node and opset."""
    refuse(refused, message)
