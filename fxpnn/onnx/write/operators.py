"""How each layer is said in ONNX: the operators, their constants and attributes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import singledispatch

import numpy as np
import onnx

from fxpnn.network import layers
from fxpnn.network.layers import Array, Layer, Number, Shape, Window
from fxpnn.onnx.graph.normal import Attribute


@dataclass(frozen=True, eq=False)
class Operator:
    """An ONNX operator that reads a layer's inputs, or the operator before it, then constants.

    ``part`` is added to the layer's name; ``gates`` makes it read the layer's input as well as the
    operator before it.
    """

    kind: str
    constants: Mapping[str, Array | None] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    part: str = ""
    gates: bool = False
    domain: str = ""


@singledispatch
def operators(layer: Layer, shape: Shape) -> tuple[Operator, ...]:
    """Return the operators of a layer, each reading the one before; its input has ``shape``.

    A layer without parameters is said by ONNX's operator of its own name.
    """
    if fields(layer):
        raise NotImplementedError(type(layer).__name__)
    return (Operator(type(layer).__name__),)


@operators.register
def _dense(layer: layers.Dense, shape: Shape) -> tuple[Operator, ...]:
    weights = {"weight": layer.weight, "bias": layer.bias}
    return (Operator("Gemm", weights, {"transB": 1}),)


@operators.register
def _conv(layer: layers.Conv2D, shape: Shape) -> tuple[Operator, ...]:
    weights = {"weight": layer.weight, "bias": layer.bias}
    return (Operator("Conv", weights, {**_window(layer.window), "group": layer.groups}),)


@operators.register
def _max_pool(layer: layers.MaxPool2D, shape: Shape) -> tuple[Operator, ...]:
    return (Operator("MaxPool", attributes=_pool(layer.window, shape)),)


@operators.register
def _avg_pool(layer: layers.AvgPool2D, shape: Shape) -> tuple[Operator, ...]:
    attributes = {**_pool(layer.window, shape), "count_include_pad": int(layer.count_padding)}
    if layer.window.dilation == (1, 1):
        del attributes["dilations"]  # ONNX Runtime cannot fuse a pool of words that has them
    return (Operator("AveragePool", attributes=attributes),)


@operators.register
def _l2_pool(layer: layers.L2Pool2D, shape: Shape) -> tuple[Operator, ...]:
    return (Operator("LpPool", attributes={**_pool(layer.window, shape), "p": 2}),)


@operators.register
def _leaky_relu(layer: layers.LeakyRelu, shape: Shape) -> tuple[Operator, ...]:
    return (Operator("LeakyRelu", attributes={"alpha": float(layer.slope)}),)


@operators.register
def _prelu(layer: layers.PRelu, shape: Shape) -> tuple[Operator, ...]:
    slope = layer.slope.reshape(-1, *(1,) * (len(shape) - 1))
    return (Operator("PRelu", {"slope": slope}),)


@operators.register
def _clip(layer: layers.Clip, shape: Shape) -> tuple[Operator, ...]:
    limits = {"low": _limit(layer.low), "high": _limit(layer.high)}
    return (Operator("Clip", limits),)


@operators.register
def _hard_sigmoid(layer: layers.HardSigmoid, shape: Shape) -> tuple[Operator, ...]:
    line = {"alpha": float(layer.alpha), "beta": float(layer.beta)}
    return (Operator("HardSigmoid", attributes=line),)


@operators.register
def _silu(layer: layers.Silu, shape: Shape) -> tuple[Operator, ...]:
    return Operator("Sigmoid", part=".sigmoid"), Operator("Mul", gates=True)


@operators.register
def _gelu(layer: layers.Gelu, shape: Shape) -> tuple[Operator, ...]:
    """Write GELU out, as exporters do: its own operator is younger than the opset."""
    return (
        Operator("Mul", {"scale": _float32(math.sqrt(0.5))}, part=".scale"),
        Operator("Erf", part=".erf"),
        *_gated(),
    )


@operators.register
def _gelu_tanh(layer: layers.GeluTanh, shape: Shape) -> tuple[Operator, ...]:
    return (
        Operator("Mul", part=".square", gates=True),
        Operator("Mul", {"cubic": _float32(0.044715)}, part=".cubic"),
        Operator("Add", {"linear": _float32(1)}, part=".linear"),
        Operator("Mul", part=".by_x", gates=True),
        Operator("Mul", {"scale": _float32(math.sqrt(2 / math.pi))}, part=".scale"),
        Operator("Tanh", part=".tanh"),
        *_gated(),
    )


def _gated() -> tuple[Operator, ...]:
    """Return ``x * (1 + y) / 2``, where y is what the operator before gives."""
    return (
        Operator("Add", {"one": _float32(1)}, part=".one"),
        Operator("Mul", part=".gate", gates=True),
        Operator("Mul", {"half": _float32(0.5)}),
    )


def _float32(number: float) -> Array:
    """Return a constant that is a number of float32."""
    return np.array(np.float32(number), np.float64)


@operators.register
def _step(layer: layers.Step, shape: Shape) -> tuple[Operator, ...]:
    compare = Operator("GreaterOrEqual", {"threshold": np.array(layer.threshold, np.float64)})
    return compare, Operator("Cast", attributes={"to": onnx.TensorProto.FLOAT}, part=".float")


@operators.register
def _softmax(layer: layers.Softmax, shape: Shape) -> tuple[Operator, ...]:
    return (Operator("Softmax", attributes={"axis": _axis(layer.axis)}),)


@operators.register
def _masked_softmax(layer: layers.MaskedSoftmax, shape: Shape) -> tuple[Operator, ...]:
    mask = np.where(layer.visible(shape), 0.0, float(np.finfo(np.float32).min))
    while mask.ndim > 1 and (mask == mask[:1]).all():  # ONNX repeats it along leading axes
        mask = mask[0]
    softmax = Operator("Softmax", attributes={"axis": _axis(layer.axis)})
    return Operator("Add", {"mask": mask}, part=".mask"), softmax


@operators.register
def _layer_norm(layer: layers.LayerNorm, shape: Shape) -> tuple[Operator, ...]:
    weights = {"weight": layer.gamma, "bias": layer.beta}
    attributes = {"axis": -1, "epsilon": float(layer.epsilon)}
    return (Operator("LayerNormalization", weights, attributes),)


@operators.register
def _concat(layer: layers.Concat, shape: Shape) -> tuple[Operator, ...]:
    return (Operator("Concat", attributes={"axis": _axis(layer.axis)}),)


@operators.register
def _quantize(layer: layers.Quantize, shape: Shape) -> tuple[Operator, ...]:
    return (Operator("Identity"),)


@operators.register
def _pad(layer: layers.Pad, shape: Shape) -> tuple[Operator, ...]:
    before, after = zip((0, 0), *layer.pads, strict=True)
    pads = np.array([*before, *after], np.int64)
    return (Operator("Pad", {"pads": pads, "value": np.array(layer.value, np.float64)}),)


@operators.register
def _slice(layer: layers.Slice, shape: Shape) -> tuple[Operator, ...]:
    fields = (layer.start, layer.stop, _axis(layer.axis), layer.step)
    names = ("starts", "ends", "axes", "steps")
    ends = {name: np.array([value], np.int64) for name, value in zip(names, fields, strict=True)}
    return (Operator("Slice", ends),)


@operators.register
def _take(layer: layers.Take, shape: Shape) -> tuple[Operator, ...]:
    places = np.array(layer.places, np.int64)
    return (Operator("Gather", {"places": places}, {"axis": _axis(layer.axis)}),)


@operators.register
def _flatten(layer: layers.Flatten, shape: Shape) -> tuple[Operator, ...]:
    return (Operator("Flatten", attributes={"axis": 1}),)


@operators.register
def _reshape(layer: layers.Reshape, shape: Shape) -> tuple[Operator, ...]:
    target = np.array([0, *layer.target], np.int64)  # 0 copies the batch, whatever its size
    return (Operator("Reshape", {"shape": target}),)


@operators.register
def _transpose(layer: layers.Transpose, shape: Shape) -> tuple[Operator, ...]:
    order = [0, *(axis + 1 for axis in layer.order)]
    return (Operator("Transpose", attributes={"perm": order}),)


def _window(window: Window) -> dict[str, Attribute]:
    return {
        "kernel_shape": window.kernel,
        "strides": window.stride,
        "pads": window.padding,
        "dilations": window.dilation,
    }


def _pool(window: Window, shape: Shape) -> dict[str, Attribute]:
    """Say ceil mode only where it adds a position: runtimes differ in when it does not."""
    floor = replace(window, ceil_mode=False)
    adds = window.output(*shape[1:]) != floor.output(*shape[1:])
    return {**_window(window), "ceil_mode": int(adds)}


def _axis(axis: int) -> int:
    return axis + 1 if axis >= 0 else axis


def _limit(value: Number) -> Array | None:
    """Return a limit as a constant; an open side is an input left out."""
    return None if math.isinf(value) else np.array(value, np.float64)
