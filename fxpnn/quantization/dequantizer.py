"""The way back: the float network whose parameters are exactly what integers mean."""

from dataclasses import replace

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode, raw_bias
from fxpnn.network.graph import Network, Node
from fxpnn.network.inputs import Input, entrance
from fxpnn.network.layers import Array, Layer, LayerNorm

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
    return Network(
        name=fixed.name,
        **entrance([Input(it.name, it.shape) for it in fixed.inputs]),
        nodes=tuple(nodes),
        outputs=fixed.outputs,
        scaling=fixed.scaling,
        normalisation=fixed.normalisation,
    )


def float_layer(node: FixedNode, source: QFormat) -> Layer:
    """Return a layer with the numbers that its raw parameters mean, for inputs of ``source``.

    Raises:
        ModelError: a bias has more bits than a float64.
    """
    layer, traits = node.layer, node.layer.traits
    if np.abs(raw_bias(layer)).max() > FLOAT_LIMIT:
        raise ModelError(
            f"layer {node.name} ({node.op}): {traits.bias} must be at most 2**53 counts to be a "
            "float"
        )
    fracs: dict[str, int | Array] = dict.fromkeys(traits.limits, source.frac)
    if traits.weight is not None:
        products = node.product_fracs(source)
        fracs[traits.weight] = products - source.frac
        if traits.bias is not None:
            fracs[traits.bias] = products
    numbers = {name: _numbers(getattr(layer, name), frac) for name, frac in fracs.items()}
    if isinstance(layer, LayerNorm):
        numbers["epsilon"] = layer.float_epsilon(source)
    return replace(layer, **numbers)


def _numbers(raw: Array | float, fracs: int | Array) -> Array | float:
    """Return the float64 that raw parameters mean, one count of fraction bits per row or in all."""
    if isinstance(raw, np.ndarray):
        rows = np.reshape(fracs, (-1, *(1,) * (raw.ndim - 1)))
        return np.asarray(np.ldexp(raw.astype(np.float64), -rows))
    return float(np.ldexp(float(raw), -np.reshape(fracs, -1)[0]))
