"""What layers that normalise vectors compute from a batch of floats."""

import numpy as np

from fxpnn.network import layers
from fxpnn.network.layers import Array
from fxpnn.reference.formulas import compute


@compute.register
def _layer_norm(layer: layers.LayerNorm, x: Array) -> Array:
    gamma, beta = (a.astype(x.dtype, copy=False) for a in (layer.gamma, layer.beta))
    y: Array = standardised(layer, x)[0] * gamma + beta
    return y


def standardised(layer: layers.LayerNorm, x: Array) -> tuple[Array, Array]:
    """Return ``(x - mean) / sqrt(variance + epsilon)`` and that root, along the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    root = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + x.dtype.type(layer.epsilon))
    return centred / root, root
