"""Read the operators that are functions of single values, softmax, and the choice of a class."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network import layers
from fxpnn.network.curves import SELU_ALPHA, SELU_GAIN
from fxpnn.network.folding import per_channel
from fxpnn.network.layers import Layer
from fxpnn.onnx.graph.look import ROUNDING
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.trace import Handler, Trace
from fxpnn.onnx.read.value import Value, image_array


def _plain(layer: Layer) -> Handler:
    """Return the handler of an operator without parameters."""
    return lambda trace, op: trace.emit(op, layer, trace.value(op, any_axis=True))


def _leaky_relu(trace: Trace, op: Op) -> Value:
    return trace.emit(op, layers.LeakyRelu(op.get("alpha", 0.01)), trace.value(op, any_axis=True))


def _hard_sigmoid(trace: Trace, op: Op) -> Value:
    return trace.emit(
        op,
        layers.HardSigmoid(op.get("alpha", 0.2), op.get("beta", 0.5)),
        trace.value(op, any_axis=True),
    )


def _swish(trace: Trace, op: Op) -> Value:
    if op.get("alpha", 1.0) != 1:
        raise ModelError(f"alpha must be 1, not {op.get('alpha')}")
    return trace.emit(op, layers.Silu(), trace.value(op, any_axis=True))


def _elu(trace: Trace, op: Op) -> Value:
    return _exponential(trace, op, 1.0, op.get("alpha", 1.0), 1.0)


def _celu(trace: Trace, op: Op) -> Value:
    alpha = op.get("alpha", 1.0)
    if not alpha > 0:
        raise ModelError(f"alpha must be more than 0, not {alpha:g}")
    return _exponential(trace, op, 1.0, alpha, 1 / alpha)


def _selu(trace: Trace, op: Op) -> Value:
    gamma, alpha = op.get("gamma", SELU_GAIN), op.get("alpha", SELU_ALPHA)
    if max(abs(gamma / SELU_GAIN - 1), abs(alpha / SELU_ALPHA - 1)) < ROUNDING:
        return trace.emit(op, layers.Selu(), trace.value(op, any_axis=True))
    return _exponential(trace, op, gamma, gamma * alpha, 1.0)


def _gelu(trace: Trace, op: Op) -> Value:
    form = op.get("approximate", "none")
    if form not in ("none", "tanh"):
        raise ModelError(f"approximate must be none or tanh, not {form}")
    layer = layers.Gelu() if form == "none" else layers.GeluTanh()
    return trace.emit(op, layer, trace.value(op, any_axis=True))


def _exponential(trace: Trace, op: Op, above: float, below: float, scale: float) -> Value:
    """Emit ``above * max(0, x) + below * elu(min(0, scale * x))``: an ELU, or what equals it."""
    x = trace.value(op, any_axis=True)
    if above == below == scale == 1:
        return trace.emit(op, layers.Elu(), x)

    def times(value: Value, gain: float) -> Value:
        one = (1,) * len(x.shape)
        scaled = trace.transform(op, value, np.full(one, float(gain)), np.zeros(one))
        return trace.settle(scaled)

    positive = times(trace.emit(op, layers.Relu(), x, part=".above"), above)
    negative = times(trace.emit(op, layers.Clip(-math.inf, 0.0), x, part=".below"), scale)
    negative = times(trace.emit(op, layers.Elu(), negative, part=".elu"), below)
    return trace.emit(op, layers.Add(), positive, negative)


def _prelu(trace: Trace, op: Op) -> Value:
    """Emit slopes per channel; slopes that vary otherwise need the tensor as one long vector."""
    x, slope = trace.value(op, any_axis=True), trace.constant(op, 1)
    slopes = image_array(slope, x, trace.batch)
    trace.spend(x.shape[0])
    if (channels := per_channel(slopes, x.shape)) is not None:
        return trace.emit(op, layers.PRelu(channels.astype(slope.dtype)), x)
    trace.spend(math.prod(x.shape))
    flat = trace.emit(op, layers.Reshape((math.prod(x.shape),)), x, part=".flat")
    every = np.broadcast_to(slopes, x.shape).astype(slope.dtype).reshape(-1)
    y = trace.emit(op, layers.PRelu(every), flat)
    return trace.emit(op, layers.Reshape(x.shape), y, part=".shape")


def _clip(trace: Trace, op: Op) -> Value:
    """Emit a clip; where the limits cross, ONNX lets the upper one win."""
    low = trace.number(op, 1, "min", -math.inf)
    high = trace.number(op, 2, "max", math.inf)
    return trace.emit(op, layers.Clip(min(low, high), high), trace.value(op, any_axis=True))


def _class(trace: Trace, op: Op) -> Value:
    """Leave the logits that a LogSoftmax or ArgMax at the end reads: the class is theirs."""
    x, rank = trace.value(op), len(trace.value(op).shape) + 1
    if not trace.ends(op) or x.shared:
        raise ModelError(
            "must be an output that alone reads its logits; they are left in its place"
        )
    default = {"ArgMax": 0, "TopK": -1}.get(op.kind, 1 if op.opset < 13 else -1)
    axis = op.get("axis", default)
    if len(x.shape) != 1 or axis not in (rank - 1, -1):
        raise ModelError(f"axis must be the last of vectors, not {axis} of {rank} axes")
    if op.flag("select_last_index"):
        raise ModelError("select_last_index must be 0")
    return _in_its_place(trace, op, x)


def _top(trace: Trace, op: Op) -> tuple[Value, Value]:
    """Leave out the choice of the largest values at the end, and of their places."""
    if trace.integers(op, 1, "k")[:1] != [1]:
        raise ModelError("k must be 1: what it reads has the class of the largest, and no order")
    if not op.flag("largest", default=True):
        raise ModelError("largest must be 1")
    x = _class(trace, op)
    return x, x


def _in_its_place(trace: Trace, op: Op, x: Value) -> Value:
    trace.notes.append(f"{op}: left out; the output is what it reads, whose class is the same")
    return replace(x, chosen=True)


def _share(trace: Trace, op: Op) -> Value:
    """Leave out what divides scores at the end by the sum of their magnitudes."""
    x = trace.value(op)
    if op.get("p", 2) != 1 or len(x.shape) != 1 or op.get("axis", -1) not in (1, -1):
        raise ModelError("must divide vectors by the sum of their magnitudes (p 1, the last axis)")
    return scores_alone(trace, op, x)


def scores_alone(trace: Trace, op: Op, x: Value) -> Value:
    """Leave the scores that an operator at the end divides by one number above 0."""
    if not trace.ends(op) or x.shared:
        raise ModelError(
            "must be an output that alone reads its scores; they are left in its place"
        )
    return _in_its_place(trace, op, x)


def _log(trace: Trace, op: Op) -> Value:
    """Leave out the logarithm of a softmax at the end: it keeps the order of classes."""
    x = trace.value(op)
    node = trace.nodes.get(x.source)
    if not trace.ends(op) or x.shared or node is None or not isinstance(node.layer, layers.Softmax):
        raise ModelError("must be an output that alone reads a softmax; that is left in its place")
    return _in_its_place(trace, op, x)


HANDLERS: Mapping[str, Handler] = {
    "Relu": _plain(layers.Relu()),
    "Sigmoid": _plain(layers.Sigmoid()),
    "Tanh": _plain(layers.Tanh()),
    "HardSwish": _plain(layers.HardSwish()),
    "Softplus": _plain(layers.Softplus()),
    "Softsign": _plain(layers.Softsign()),
    "Mish": _plain(layers.Mish()),
    "Gelu": _gelu,
    "Abs": _plain(layers.Abs()),
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "LeakyRelu": _leaky_relu,
    "HardSigmoid": _hard_sigmoid,
    "Swish": _swish,
    "PRelu": _prelu,
    "Clip": _clip,
    "LogSoftmax": _class,
    "ArgMax": _class,
    "TopK": _top,
    "Log": _log,
    "LpNormalization": _share,
}
