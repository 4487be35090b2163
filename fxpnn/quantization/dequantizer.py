"""Own the way back: the float network whose parameters are exactly what integers mean."""

from dataclasses import replace

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import Network, Node
from fxpnn.network.layers import (
    Array,
    Clip,
    Conv2D,
    Dense,
    HardSigmoid,
    Layer,
    LeakyRelu,
    Pad,
    PRelu,
    Step,
)

FLOAT_LIMIT = 1 << 53
"""Integers up to this are float64 too."""


def dequantize(fixed: FixedNetwork) -> Network:
    """Return the float network, parameters in float64, that computes what the integers approximate.

    It does not round or saturate between layers.

    Raises:
        ModelError: a parameter has more bits than a float64; the message names the layer.
    """
    nodes = (
        Node(node.name, float_layer(node, fixed.formats[node.inputs[0]]), node.inputs)
        for node in fixed.nodes
    )
    return Network(fixed.name, fixed.input_shape, tuple(nodes), fixed.outputs, fixed.scaling)


def float_layer(node: FixedNode, source: QFormat) -> Layer:
    """Return a layer with the numbers that its raw parameters mean, for inputs of ``source``.

    Raises:
        ModelError: a bias has more bits than a float64.
    """
    layer = node.layer
    for name in ("bias", "beta"):
        if np.abs(np.asarray(getattr(layer, name, 0))).max() > FLOAT_LIMIT:
            raise ModelError(
                f"layer {node.name} ({node.op}): {name} must be at most 2**53 counts to be a float"
            )
    match layer:
        case Dense() | Conv2D():
            fracs = node.fracs(len(layer.weight))
            weight = _values(layer.weight, fracs)
            return replace(layer, weight=weight, bias=_values(layer.bias, source.frac + fracs))
        case PRelu():
            return replace(layer, slope=_values(layer.slope, node.fracs(len(layer.slope))))
        case LeakyRelu():
            return replace(layer, slope=_value(layer.slope, node.weight_formats[0].frac))
        case HardSigmoid():
            frac = node.weight_formats[0].frac
            beta = _value(layer.beta, source.frac + frac)
            return replace(layer, alpha=_value(layer.alpha, frac), beta=beta)
        case Clip():
            low, high = (_value(raw, source.frac) for raw in (layer.low, layer.high))
            return replace(layer, low=low, high=high)
        case Step():
            return replace(layer, threshold=_value(layer.threshold, source.frac))
        case Pad():
            return replace(layer, value=_value(layer.value, source.frac))
    return layer


def _values(raw: Array, fracs: Array) -> Array:
    """Return the numbers of raw parameters, one count of fraction bits per row, float64."""
    return np.ldexp(raw.astype(np.float64), -fracs.reshape(-1, *(1,) * (raw.ndim - 1)))


def _value(raw: float, frac: int) -> float:
    return float(np.ldexp(float(raw), -frac))
