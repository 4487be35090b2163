"""Linear models of ``ai.onnx.ml``: dense layers, and what makes their scores probabilities."""

from collections.abc import Mapping

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Dense, Layer, Sigmoid, Softmax
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.activation import scores_alone
from fxpnn.onnx.read.linear import weighted
from fxpnn.onnx.read.trace import Handler, Results, Trace, Value

TRANSFORMS: Mapping[str, Layer | None] = {
    "NONE": None,
    "LOGISTIC": Sigmoid(),
    "SOFTMAX": Softmax(),
}


def _scores(trace: Trace, op: Op, rows: int) -> Value:
    """Emit ``coefficients * x + intercepts``, then what ``post_transform`` says."""
    x = trace.pending(op)
    how = str(op.get("post_transform", "NONE"))
    if how not in TRANSFORMS:
        raise ModelError(f"post_transform must be one of {', '.join(TRANSFORMS)}, not {how}")
    if len(x.shape) != 1:
        raise ModelError(f"must read a vector of features, not {x.shape}")
    weight = np.array(op.get("coefficients", ()), np.float32)
    bias = np.array(op.get("intercepts") or np.zeros(max(rows, 0)), np.float32)
    if rows < 1 or weight.size != rows * x.shape[0] or bias.size != rows:
        raise ModelError(
            f"must have {rows} x {x.shape[0]} coefficients and {rows} intercepts, "
            f"not {weight.size} and {bias.size}"
        )
    layer = TRANSFORMS[how]
    dense = Dense(weight.reshape(rows, -1), bias)
    y = weighted(trace, op, x, dense, ".scores" if layer else "")
    return trace.emit(op, layer, y) if layer else y


def _regressor(trace: Trace, op: Op) -> Value:
    """Emit the scores; ONNX Runtime (1.31) transforms those of one target not at all."""
    targets = int(op.get("targets", 1))
    if targets == 1 and op.get("post_transform", "NONE") in ("LOGISTIC", "SOFTMAX"):
        raise ModelError("post_transform must be NONE for one target: runtimes differ in another")
    return _scores(trace, op, targets)


def _classifier(trace: Trace, op: Op) -> Results:
    """Emit the scores, the second output; a label that is all a model gives stands for them."""
    labels = op.get("classlabels_ints") or op.get("classlabels_strings") or ()
    if len(labels) < 2:
        raise ModelError(f"must have two or more classes, not {len(labels)}")
    scores = _scores(trace, op, len(labels))
    if not (trace.reads(op.outputs[0]) and trace.ends(op)):
        return None, scores
    trace.notes.append(f"{op}: labels left out; the output is the scores of its classes, in order")
    return scores, scores


def _normalizer(trace: Trace, op: Op) -> Value:
    """Leave out what divides scores by their sum: by 1 behind a softmax, else at the end."""
    x = trace.value(op)
    if op.get("norm", "MAX") != "L1":
        raise ModelError(f"norm must be L1, the sum of magnitudes, not {op.get('norm', 'MAX')}")
    node = trace.nodes.get(x.source)
    if node is not None and isinstance(node.layer, Softmax):
        return x
    return scores_alone(trace, op, x)


HANDLERS: Mapping[str, Handler] = {
    "ai.onnx.ml.LinearRegressor": _regressor,
    "ai.onnx.ml.LinearClassifier": _classifier,
    "ai.onnx.ml.Normalizer": _normalizer,
}
