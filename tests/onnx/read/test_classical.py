"""Linear models of ``ai.onnx.ml``, as scikit-learn's converter writes them."""

from typing import Any

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import (
    assert_floats_agree,
    check,
    floats,
    form,
    model,
    refuse,
    runtime,
)
from tests.support.onnx_models import op as node

ML = {"ai.onnx.ml": 1}


def op(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Make a node of the domain."""
    return node(kind, inputs, outputs, domain="ai.onnx.ml", **attributes)


def linear(kind: str, outputs: str, rows: int, **attributes: Any) -> onnx.NodeProto:
    """Make a linear model with some coefficients."""
    given = {"coefficients": floats(rows * 4), "intercepts": floats(rows), **attributes}
    return op(kind, "x", outputs, **given)


def classifier(outputs: str = "label y", rows: int = 3, **attributes: Any) -> onnx.NodeProto:
    """Make a linear classifier with the labels 0, 1, ..."""
    given = {"classlabels_ints": list(range(rows)), **attributes}
    return linear("LinearClassifier", outputs, rows, **given)


@pytest.mark.parametrize(
    ("targets", "transform", "layers"),
    [(1, "NONE", ""), (3, "NONE", ""), (3, "LOGISTIC", " Sigmoid"), (3, "SOFTMAX", " Softmax")],
)
def test_regressors(targets: int, transform: str, layers: str) -> None:
    """A regressor is a dense layer, and ONNX Runtime computes the same."""
    regressor = linear("LinearRegressor", "y", targets, targets=targets, post_transform=transform)
    check(form(f"Dense{layers}", regressor, domains=ML))


@pytest.mark.parametrize(
    ("transform", "layers"), [("NONE", ""), ("LOGISTIC", " Sigmoid"), ("SOFTMAX", " Softmax")]
)
@pytest.mark.parametrize("rows", [2, 3])
def test_classifiers(transform: str, layers: str, rows: int) -> None:
    """A classifier is a dense layer with its scores as output; the label is left out."""
    check(form(f"Dense{layers}", classifier(rows=rows, post_transform=transform), domains=ML))


def test_a_scaler_before_is_folded() -> None:
    """A Scaler becomes part of the weights, and a Normalizer behind a softmax is nothing."""
    check(
        form(
            "Dense Softmax",
            op("Scaler", "x", "n", offset=[0.5, 1.0, -1.0, 0.0], scale=[2.0, 0.5, 1.0, 4.0]),
            op(
                "LinearClassifier",
                "n",
                "label s",
                coefficients=floats(12),
                intercepts=floats(3),
                classlabels_ints=[0, 1, 2],
                post_transform="SOFTMAX",
            ),
            op("Normalizer", "s", "y", norm="L1"),
            domains=ML,
        )
    )


@pytest.mark.parametrize(
    "share", [op("Normalizer", "s", "y", norm="L1"), node("LpNormalization", "s", "y", p=1)]
)
def test_shares_of_a_sum_at_the_end_are_left_out(
    share: onnx.NodeProto, caplog: pytest.LogCaptureFixture
) -> None:
    """Scores have the class of their shares; of one against the rest each is a sigmoid."""
    proto = model(classifier("label s", post_transform="LOGISTIC"), share, domains=ML)
    network, x = from_model(proto), floats(50, 4)
    assert [node.op for node in network.nodes] == ["Dense", "Sigmoid"]
    found = forward(network, x)[network.outputs[0]]
    assert (found.argmax(1) == runtime(proto, x)[0].argmax(1)).all()
    assert "left out; the output is what it reads, whose class is the same" in caplog.text


def test_a_label_alone_stands_for_the_scores(caplog: pytest.LogCaptureFixture) -> None:
    """Where a model gives nothing but the label, it is the prediction."""
    proto = model(classifier("y scores"), domains=ML)
    proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    x = floats(50, 4)
    fixed = fxpnn.quantize(from_model(proto), x)
    told = "labels left out; the output is the scores of its classes, in order"
    assert caplog.messages == [f"test: ai.onnx.ml.LinearClassifier (node y, opset 1): {told}"]
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert np.array_equal(fxpnn.infer(fixed, x).predictions, runtime(proto, x)[0])


def test_intercepts_may_be_left_out() -> None:
    """They are 0 then."""
    proto = model(op("LinearRegressor", "x", "y", coefficients=floats(4), targets=1), domains=ML)
    (found,) = forward(from_model(proto), x := floats(5, 4)).values()
    assert_floats_agree(found, x @ floats(4)[:, None])


REGRESSOR, CLASSIFIER, NORMALIZER = (
    f"ai.onnx.ml.{kind} (node y, opset 1): "
    for kind in ("LinearRegressor", "LinearClassifier", "Normalizer")
)
REFUSED = {
    "another transform": (
        linear("LinearRegressor", "y", 1, post_transform="PROBIT"),
        f"{REGRESSOR}post_transform must be one of NONE, LOGISTIC, SOFTMAX, not PROBIT",
    ),
    "a transform of one target": (
        linear("LinearRegressor", "y", 1, post_transform="LOGISTIC"),
        f"{REGRESSOR}post_transform must be NONE for one target: runtimes differ in another",
    ),
    "too few coefficients": (
        linear("LinearRegressor", "y", 1, targets=2),
        f"{REGRESSOR}must have 2 x 4 coefficients and 2 intercepts, not 4 and 1",
    ),
    "no target": (
        linear("LinearRegressor", "y", 1, targets=0),
        f"{REGRESSOR}must have 0 x 4 coefficients and 0 intercepts, not 4 and 1",
    ),
    "one row for two classes": (
        linear("LinearClassifier", "y s", 1, classlabels_ints=[0, 1]),
        f"{CLASSIFIER}must have 2 x 4 coefficients and 2 intercepts, not 4 and 1",
    ),
    "no classes": (
        linear("LinearClassifier", "y s", 1),
        f"{CLASSIFIER}must have two or more classes, not 0",
    ),
    "a normalizer of anything": (
        op("Normalizer", "x", "y", norm="L2"),
        f"{NORMALIZER}norm must be L1, the sum of magnitudes, not L2",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_dense_layer_is_refused(refused: onnx.NodeProto, message: str) -> None:
    """What a linear model cannot be names its operator, node and opset."""
    refuse(model(refused, domains=ML), message)


def test_shares_that_are_read_on_are_refused() -> None:
    """What lies behind them computes with them."""
    alone = "must be an output that alone reads its scores; they are left in its place"
    refuse(
        model(op("Normalizer", "x", "s", norm="L1"), node("Relu", "s", "y"), domains=ML),
        f"ai.onnx.ml.Normalizer (node s, opset 1): {alone}",
    )
    refuse(
        model(node("LpNormalization", "x", "s", p=1), node("Relu", "s", "y")),
        f"LpNormalization (node s, opset 17): {alone}",
    )
    refuse(
        model(node("LpNormalization", "x", "y", p=2)),
        "LpNormalization (node y, opset 17): must divide vectors by the sum of their magnitudes "
        "(p 1, the last axis)",
    )


def test_linear_models_refuse_maps() -> None:
    """A linear model reads vectors."""
    regressor = linear("LinearRegressor", "y", 1)
    refuse(
        model(regressor, domains=ML, shape=("N", 1, 4)),
        f"{REGRESSOR}must read a vector of features, not (1, 4)",
    )


def test_other_models_are_not_supported() -> None:
    """Trees and support vectors are named."""
    trees = op("TreeEnsembleRegressor", "x", "y")
    refuse(
        model(trees, domains=ML),
        "ai.onnx.ml.TreeEnsembleRegressor (node y, opset 1): is not supported",
    )
