"""Read the operators that become dense layers and convolutions, or are folded into them."""

import math
from collections.abc import Mapping
from functools import reduce

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.folding import fold_ahead
from fxpnn.network.layers import (
    Add,
    Array,
    Conv2D,
    Dense,
    HardSigmoid,
    HardSwish,
    Mul,
    Shape,
    Sigmoid,
    Silu,
)
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.axes import along, together
from fxpnn.onnx.read.broadcast import common, fitted
from fxpnn.onnx.read.trace import Handler, Result, Trace
from fxpnn.onnx.read.value import Value, image_array
from fxpnn.onnx.read.window import window

POWERS = 8
"""The largest exponent that is read as products; each rounds once."""


def weighted(trace: Trace, op: Op, x: Value, layer: Dense | Conv2D, part: str = "") -> Value:
    """Emit the layer with what is left to fold of its input."""
    if x.affine is None or x.affine.hides:
        return trace.emit(op, layer, trace.settle(x), part=part)
    layer.shape(x.held)  # before arrays of both meet
    folded = fold_ahead(layer, x.affine.gain, x.affine.offset, x.shape)
    if folded is None:
        settled = trace.settle(x)
        folded, x = layer, trace.maps(settled) if isinstance(layer, Conv2D) else settled
    return trace.emit(op, folded, x, part=part)


def _conv(trace: Trace, op: Op) -> Value:
    x, weight = trace.pending(op, 0), floats_of(trace.constant(op, 1))
    bias = bias_of(trace, op, weight.shape[:1])
    x, kernel = trace.maps(x), tuple(op.get("kernel_shape", weight.shape[2:]))
    if weight.ndim == 3 and x.maps:
        weight = weight[:, :, None]
    layer = Conv2D(weight, bias, window(op, kernel, x), op.get("group", 1))
    return weighted(trace, op, x, layer)


def bias_of(trace: Trace, op: Op, shape: Shape) -> Array:
    """Return a convolution's bias, zeros of a shape where it has none."""
    return floats_of(trace.constant(op, 2)) if op.has(2) else np.zeros(shape, np.float32)


def _batch_normalization(trace: Trace, op: Op) -> Value:
    """Apply ``scale * (x - mean) / sqrt(variance + epsilon) + shift``."""
    x, (place,) = along(trace, trace.pending(op, any_axis=True), (1,), "must not scale images")
    scale, shift, mean, variance = (
        floats_of(trace.constant(op, i)).astype(np.float64) for i in (1, 2, 3, 4)
    )
    for array in (scale, shift, mean, variance):
        if array.shape != (x.shape[place],):
            raise ModelError(f"its parameters must be ({x.shape[place]}), not {array.shape}")
    if op.flag("training_mode"):
        raise ModelError("training_mode must be 0")
    variance = variance + op.get("epsilon", 1e-5)
    if not (variance > 0).all():
        raise ModelError("its variance must be above 0")
    gain = scale / np.sqrt(variance)
    each = np.where(np.arange(len(x.shape)) == place, -1, 1)
    return trace.transform(op, x, gain.reshape(each), (shift - mean * gain).reshape(each))


def _add(trace: Trace, op: Op) -> Value:
    return added(trace, op, *_two(trace, op))


def added(trace: Trace, op: Op, a: Result, b: Result, part: str = "") -> Value:
    """Add tensors or constants, one of which is a tensor; what has size 1 along an axis repeats."""
    if isinstance(a, Value) and isinstance(b, Value):
        a, b = common(trace, op, a, b)
        return trace.emit(op, Add(), trace.settle(a), trace.settle(b), part=part)
    x, offset = _with_array(trace, op, a, b)
    return trace.transform(op, x, np.ones_like(offset), offset)


def _two(trace: Trace, op: Op) -> tuple[Result, Result]:
    return trace.operand(op, 0, any_axis=True), trace.operand(op, 1, any_axis=True)


def _with_array(trace: Trace, op: Op, a: Result, b: Result) -> tuple[Value, Array]:
    """Return the operand that is a value, and what the constant is for each image."""
    x, array = (a, b) if isinstance(a, Value) else (b, a)
    if not isinstance(x, Value) or isinstance(array, Value):
        raise ModelError("must have one constant operand")
    return fitted(trace, op, x, array)


def _sum(trace: Trace, op: Op) -> Value:
    operands = [trace.operand(op, i, any_axis=True) for i in range(len(op.inputs))]
    tensors = common(trace, op, *(term for term in operands if isinstance(term, Value)))
    constants = [term for term in operands if not isinstance(term, Value)]
    terms: list[Result] = [*tensors[1:], *constants]
    return reduce(lambda total, term: added(trace, op, total, term), terms, tensors[0])


def _subtract(trace: Trace, op: Op) -> Value:
    """Add what is constant, or the second operand's negative."""
    a, b = _two(trace, op)
    return added(trace, op, a, negated(trace, op, b) if isinstance(b, Value) else -b)


def _negate(trace: Trace, op: Op) -> Value:
    return negated(trace, op, trace.pending(op, any_axis=True))


def negated(trace: Trace, op: Op, x: Value) -> Value:
    """Return a tensor whose sign is still to be turned, in weights that take it in."""
    ones = np.ones((1,) * len(x.shape))
    return trace.transform(op, x, -ones, 0 * ones)


def _multiply(trace: Trace, op: Op) -> Value:
    return multiplied(trace, op, *_two(trace, op))


def multiplied(trace: Trace, op: Op, a: Result, b: Result, part: str = "") -> Value:
    """Multiply tensors or constants, one of which is a tensor; what has size 1 repeats."""
    if isinstance(a, Value) and isinstance(b, Value):
        one, other = map(trace.settle, together(trace, [a, b]))
        return _product(trace, op, one, other, part)
    x, gain = _with_array(trace, op, a, b)
    return trace.transform(op, x, gain, np.zeros_like(gain))


def _product(trace: Trace, op: Op, a: Value, b: Value, part: str) -> Value:
    """Emit a product, the factor that repeats second, or a swish.

    That is ``x * sigmoid(x)`` or ``x * hard_sigmoid(x)``, in either order.
    """
    for x, gate in ((a, b), (b, a)):
        node = trace.nodes.get(gate.source)
        if node is None or node.inputs != (x.source,):
            continue
        if isinstance(node.layer, Sigmoid):
            return trace.emit(op, Silu(), x, part=part)
        if isinstance(node.layer, HardSigmoid) and _is_hard_swish(node.layer):
            return trace.emit(op, HardSwish(), x, part=part)
    x, factor = (b, a) if math.prod(a.shape) < math.prod(b.shape) else (a, b)
    whole, _ = common(trace, op, x, factor)
    return trace.emit(op, Mul(), whole, factor, part=part)


def _power(trace: Trace, op: Op) -> Value:
    """Multiply a tensor by itself as often as its exponent says."""
    x, exponent = trace.value(op, any_axis=True), trace.number(op, 1, "exponent")
    if exponent not in range(1, POWERS + 1):
        raise ModelError(f"its exponent must be one of 1 to {POWERS}, not {exponent:g}")
    power, times = x, int(exponent) - 1
    for i in range(times):
        power = trace.emit(op, Mul(), power, x, part="" if i == times - 1 else f".{i + 2}")
    return power


def _is_hard_swish(gate: HardSigmoid) -> bool:
    """Compare with 1/6 and 1/2 as float32, in which files spell them."""
    return bool(np.float32(gate.alpha) == np.float32(1 / 6) and np.float32(gate.beta) == 0.5)


def _scaler(trace: Trace, op: Op) -> Value:
    """Apply ``(x - offset) * scale``."""
    x = trace.pending(op)
    gain, offset = (
        image_array(np.array(op.get(name, default)), x, trace.batch)
        for name, default in (("scale", [1.0]), ("offset", [0.0]))
    )
    return trace.transform(op, x, gain, -offset * gain)


def _divide(trace: Trace, op: Op) -> Value:
    if isinstance(trace.operand(op, 1, any_axis=True), Value):
        raise ModelError("its divisor must be a constant")
    x, divisor = _with_array(trace, op, *_two(trace, op))
    if not divisor.all():
        raise ModelError("its divisor must not be 0")
    return trace.transform(op, x, 1 / divisor, np.zeros_like(divisor))


def floats_of(array: Array) -> Array:
    """Return an operator's weights, which must be some floats."""
    if array.dtype not in (np.float32, np.float64):
        raise ModelError(f"its weights must be floats, not {array.dtype}")
    if not array.size:
        raise ModelError(f"its weights must be some, not {array.shape}")
    return array


HANDLERS: Mapping[str, Handler] = {
    "Conv": _conv,
    "BatchNormalization": _batch_normalization,
    "Add": _add,
    "Sum": _sum,
    "Sub": _subtract,
    "Neg": _negate,
    "Mul": _multiply,
    "Pow": _power,
    "Div": _divide,
    "ai.onnx.ml.Scaler": _scaler,
}
