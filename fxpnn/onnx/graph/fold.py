"""Fold constants: operators whose inputs are all known run when the model is read."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
import onnx
from onnx import helper

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Shape
from fxpnn.onnx.graph.normal import Attribute, Op
from fxpnn.onnx.graph.proto import MAX_RANK, number_type, one_line, to_array
from fxpnn.onnx.graph.quant import QUANTIZERS, fold_quantized
from fxpnn.onnx.graph.shapes import inferred

UNKNOWN = 1 << 62
"""The values of what has no shape that is known: more than any budget."""

Inputs: TypeAlias = tuple[Array | None, ...]
"""An operator's inputs; ``None`` is an optional one that is left out."""


def fold(op: Op, inputs: Inputs) -> Array:
    """Return what the operator computes from constants; ``size`` bounds how much that is.

    Raises:
        ModelError: it cannot run on them.
    """
    try:
        return np.asarray(FOLDERS[op.kind](op, inputs))
    except ModelError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise ModelError(f"cannot run on its constants: {one_line(str(error), 200)}") from None


def size(op: Op, inputs: Inputs) -> int:
    """Bound the values that the operator makes, before it makes them."""
    arrays = [array for array in inputs if array is not None]
    shapes = [array.shape for array in arrays]
    match op.kind:
        case _ if not arrays or op.kind in _VIEWS:
            return 0
        case "ConstantOfShape":
            return _together(sizes(arrays[0]))
        case "Expand":
            return _together(shapes[0], sizes(arrays[-1]))
        case "Gather" if len(arrays) == 2:
            return arrays[1].size * arrays[0].size // max(_length(arrays[0], op.get("axis", 0)), 1)
        case "GatherND" if len(arrays) == 2 and shapes[1]:
            return math.prod(
                (*shapes[1][:-1], *shapes[0][op.get("batch_dims", 0) :][shapes[1][-1] :])
            )
        case "Tile":
            return arrays[0].size * math.prod(max(n, 1) for n in sizes(arrays[-1]))
        case "Range":
            return _steps(op, inputs)
        case "MatMul" if len(arrays) == 2:
            return math.prod((*shapes[0][:-1], *shapes[1][:-2], *shapes[1][1:][-1:]))
        case "Gemm":
            return math.prod(max(shape, default=1) for shape in shapes[:2])
        case "Conv":
            (made, *_) = (*inferred(op, inputs), None)
            return _convolution(op, made, *shapes[:2]) if made and all(made) else UNKNOWN
        case "Reshape" if arrays[0].flags.c_contiguous:
            return 0
        case _ if op.kind in _BROADCASTS:
            return _together(*shapes)
    return sum(array.size for array in arrays)


def _together(*shapes: Sequence[int]) -> int:
    """Count the values of what broadcasts to all these shapes; an empty axis counts as 1."""
    rank = max(map(len, shapes))
    axes = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    return math.prod(max(1, *axis) for axis in axes)


def _convolution(op: Op, made: Shape, image: Shape, kernel: Shape) -> int:
    """Bound the values that ONNX's Python makes of a convolution.

    It holds the kernel with zeros between dilated taps, the padded image, and every product.
    """
    once = [1] * (len(image) - 2)
    spread = zip(op.get("kernel_shape", kernel[2:]), op.get("dilations", once), strict=True)
    taps = [length * dilation for length, dilation in spread]
    reach = zip(made[2:], op.get("strides", once), taps, strict=True)
    padded = [length * stride + tap for length, stride, tap in reach]
    return math.prod((*made, *kernel[1:2], *taps)) + math.prod((*image[:2], *padded))


def sizes(array: Array) -> list[int]:
    """Return the sizes of axes, or the axes, that a constant holds.

    Raises:
        ModelError: it holds other than a few integers.
    """
    if array.dtype.kind not in "iu" or array.size > MAX_RANK:
        raise ModelError(
            f"axes must be at most {MAX_RANK} integers, not {array.size} {array.dtype}"
        )
    return [int(n) for n in array.reshape(-1)]


def _length(array: Array, axis: int) -> int:
    """Return the length of an axis; of one that is not there, nothing can be taken."""
    return array.shape[axis] if -array.ndim <= axis < array.ndim else 1


def _input(inputs: Inputs, index: int) -> Array:
    array = inputs[index] if index < len(inputs) else None
    if array is None:
        raise ModelError(f"must have an input {index + 1}")
    return array


def _number(inputs: Inputs, index: int) -> Array:
    """Return an input that must be one number, as an array of no axes."""
    array = _input(inputs, index)
    if array.size != 1:
        raise ModelError(f"its input {index + 1} must be one number, not {array.size}")
    return array.reshape(())


def _setting(op: Op, inputs: Inputs, index: int, name: str, default: Attribute = None) -> Attribute:
    """Return what newer opsets give as an input and older ones as an attribute."""
    if index < len(inputs) and inputs[index] is not None:
        return _input(inputs, index).tolist()
    return op.get(name, default)


def _constant_of_shape(op: Op, inputs: Inputs) -> Array:
    value = to_array(op.get("value")) if op.get("value") else np.zeros(1, np.float32)
    return np.full(sizes(_input(inputs, 0)), value.reshape(-1)[0])


def _shape(op: Op, inputs: Inputs) -> Array:
    return section(op, _input(inputs, 0).shape)


def section(op: Op, shape: tuple[int, ...]) -> Array:
    """Return the part of a shape that a Shape operator asks for."""
    return np.array(shape[op.get("start", 0) : op.get("end", len(shape))], np.int64)


def _cast(op: Op, inputs: Inputs) -> Array:
    return _input(inputs, 0).astype(number_type(op.get("to")))


def _reshape(op: Op, inputs: Inputs) -> Array:
    array, shape = _input(inputs, 0), sizes(_input(inputs, 1))
    if not op.flag("allowzero"):
        shape = [n or array.shape[axis] for axis, n in enumerate(shape)]
    return array.reshape(shape)


def _squeeze(op: Op, inputs: Inputs) -> Array:
    return _input(inputs, 0).squeeze(tuple(_setting(op, inputs, 1, "axes", ())) or None)


def _unsqueeze(op: Op, inputs: Inputs) -> Array:
    return np.expand_dims(_input(inputs, 0), tuple(_setting(op, inputs, 1, "axes", ())))


def _gather(op: Op, inputs: Inputs) -> Array:
    return np.take(_input(inputs, 0), _input(inputs, 1), axis=op.get("axis", 0))


def _slice(op: Op, inputs: Inputs) -> Array:
    array = _input(inputs, 0)
    starts, ends = (_setting(op, inputs, i, name, []) for i, name in ((1, "starts"), (2, "ends")))
    axes = _setting(op, inputs, 3, "axes", range(len(starts)))
    steps = _setting(op, inputs, 4, "steps", [1] * len(starts))
    where = [slice(None)] * array.ndim
    for axis, *bounds in zip(axes, starts, ends, steps, strict=True):
        where[axis] = slice(*bounds)
    return array[tuple(where)]


def _concat(op: Op, inputs: Inputs) -> Array:
    arrays = [_input(inputs, i) for i in range(len(inputs))]
    return np.concatenate(arrays, axis=op.get("axis", 0))


def _clip(op: Op, inputs: Inputs) -> Array:
    """Clip to constants, or to attributes in opsets before 11; a missing end is open."""
    array = _input(inputs, 0)
    for place, name, limit in ((1, "min", np.maximum), (2, "max", np.minimum)):
        end = _setting(op, inputs, place, name)
        if end is not None:
            array = limit(array, np.array(end, array.dtype).reshape(()))
    return array


def _steps(op: Op, inputs: Inputs) -> int:
    """Count the values of a Range."""
    start, limit, delta = (float(_number(inputs, i)) for i in range(3))
    count = (limit - start) / delta if delta else math.inf
    if not math.isfinite(count):
        raise ModelError("must have finite ends, and a step other than 0")
    return max(math.ceil(count), 0)


def _range(op: Op, inputs: Inputs) -> Array:
    start, delta = (_number(inputs, i) for i in (0, 2))
    return np.asarray(start + np.arange(_steps(op, inputs)).astype(start.dtype) * delta)


def _mod(op: Op, inputs: Inputs) -> Array:
    """Return the remainder, of the sign of the divisor, or of C's where ``fmod`` is set."""
    a, b = _input(inputs, 0), _input(inputs, 1)
    if not b.all():
        raise ModelError("its divisor must not be 0")
    return np.asarray(np.fmod(a, b) if op.flag("fmod") else np.mod(a, b))


def _triangle(op: Op, inputs: Inputs) -> Array:
    """Keep what lies on one side of a diagonal."""
    diagonal = int(_number(inputs, 1)) if len(inputs) > 1 else 0
    half = np.triu if op.flag("upper", default=True) else np.tril
    return half(_input(inputs, 0), diagonal)


def _scatter(op: Op, inputs: Inputs) -> Array:
    """Replace the slices that indices name."""
    if op.get("reduction", "none") != "none":
        raise ModelError("reduction must be none")
    array, indices, updates = (_input(inputs, i) for i in range(3))
    made = array.copy()
    made[tuple(np.moveaxis(indices, -1, 0))] = updates
    return made


def _reduction(function: Callable[..., Array]) -> "Folder":
    def reduced(op: Op, inputs: Inputs) -> Array:
        array, axes = _input(inputs, 0), _setting(op, inputs, 1, "axes")
        if not axes and op.flag("noop_with_empty_axes"):
            return array
        where = tuple(axes) if axes else None
        keeps = op.flag("keepdims", default=True)
        return np.asarray(function(array, axis=where, keepdims=keeps)).astype(array.dtype)

    return reduced


def _of_all(function: Callable[[Array, Array], Array]) -> "Folder":
    return lambda op, inputs: reduce(function, (_input(inputs, i) for i in range(len(inputs))))


def _divide(a: Array, b: Array) -> Array:
    """Divide; integers toward zero, as ONNX does."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not b.all():
        raise ModelError("its divisor must not be 0")
    quotient = np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b)
    return np.asarray(quotient.astype(a.dtype))


def _unary(function: Callable[[Array], Array]) -> "Folder":
    return lambda op, inputs: function(_input(inputs, 0))


def _binary(function: Callable[[Array, Array], Array]) -> "Folder":
    return lambda op, inputs: function(_input(inputs, 0), _input(inputs, 1))


def _by_reference(op: Op, inputs: Inputs) -> Array:
    """Compute as ONNX's own Python does, which stays slow and is asked of few constants."""
    from onnx.reference import ReferenceEvaluator

    node = helper.make_node(op.kind, op.inputs, op.outputs, **op.attributes)
    made = onnx.ValueInfoProto(name=op.outputs[0])
    graph = helper.make_graph([node], "fold", [], [made])
    given: dict[str, Array | None] = dict(zip(op.inputs, inputs, strict=True))
    try:
        (found,) = ReferenceEvaluator(graph, {"": op.opset}).run(None, given)
    except Exception as error:  # it raises all kinds
        raise ValueError(error) from None
    return np.asarray(found)


Folder: TypeAlias = Callable[[Op, Inputs], Array]
REFERENCE = (
    *("BatchNormalization", "Conv", "CumSum", "Erf", "EyeLike", "GatherND", "Gemm", "Sigmoid"),
    *("LayerNormalization", "LpNormalization", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
    *("Round", "Sign", "Softmax", "Softplus"),
)
"""Operators that ONNX's own Python computes of constants; but for what ``size`` bounds, none
gives more values than it takes."""
FOLDERS: Mapping[str, Folder] = {
    "ConstantOfShape": _constant_of_shape,
    "Shape": _shape,
    "Identity": _unary(np.asarray),
    "Dropout": _unary(np.asarray),
    "Cast": _cast,
    "Reshape": _reshape,
    "Transpose": lambda op, inputs: _input(inputs, 0).transpose(op.get("perm")),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Expand": _binary(lambda a, shape: a * np.ones(sizes(shape), a.dtype)),
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divide),
    "Pow": _binary(lambda a, b: np.power(a, b).astype(a.dtype)),
    "Mod": _mod,
    "Equal": _binary(np.equal),
    "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal),
    "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Not": _unary(np.logical_not),
    "Range": _range,
    "Tile": _binary(np.tile),
    "Trilu": _triangle,
    "ScatterND": _scatter,
    "MatMul": _binary(np.matmul),
    "ReduceMax": _reduction(np.max),
    "ReduceMean": _reduction(np.mean),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "Where": lambda op, inputs: np.where(*(_input(inputs, i) for i in range(3))),
    "Sum": _of_all(np.add),
    "Max": _of_all(np.maximum),
    "Min": _of_all(np.minimum),
    "Clip": _clip,
    "Relu": _unary(lambda a: np.maximum(a, np.zeros((), a.dtype))),
    "Abs": _unary(np.abs),
    "Log": _unary(np.log),
    "Neg": _unary(np.negative),
    "Sqrt": _unary(np.sqrt),
    "Reciprocal": _unary(np.reciprocal),
    "Exp": _unary(np.exp),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Sin": _unary(np.sin),
    "Cos": _unary(np.cos),
    "Tanh": _unary(np.tanh),
    **dict.fromkeys(QUANTIZERS, fold_quantized),
    **dict.fromkeys(REFERENCE, _by_reference),
}
_BROADCASTS = (
    *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Sum", "Max", "Min", "Where", "And", "Or"),
    *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
)
_VIEWS = ("Shape", "Identity", "Dropout", "Transpose", "Squeeze", "Unsqueeze", "Slice")
