"""Strategies for layer normalisation: its parameters, often at what just fits."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.norms import LIFT
from tests.support.strategies.building import Built, Tensor, Tensors, weight_formats
from tests.support.strategies.numbers import Draw, raw_arrays, tensor_formats


def output_formats(weights: Sequence[QFormat]) -> st.SearchStrategy[QFormat]:
    """Draw a format of outputs for the formats of gamma."""
    least = min(fmt.frac for fmt in weights)
    return tensor_formats(QFormat(weights[0].word + 2, weights[0].frac)).filter(
        lambda fmt: fmt.frac + 2 - least <= LIFT
    )


def layer_norm(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    """Draw a layer for the last axis of a tensor."""
    features, frac = read.shape[-1], read.format.frac
    formats = draw(weight_formats(features))
    gamma = draw(raw_arrays(formats[0], (features,)))
    most = (1 << 60 >> LIFT - frac) - 1  # what any output format leaves room for
    near = min(most, 1 << max(frac, 0) + 14)
    limit = draw(st.sampled_from([0, near, near, most]))
    beta = draw(st.lists(st.integers(-limit, limit), min_size=features, max_size=features))
    epsilon = draw(st.sampled_from([1, 1, 1 << 20, 1 << 40]) | st.integers(1, 1 << 61))
    layer = layers.LayerNorm(gamma, np.array(beta, np.int64), epsilon)
    return Built(layer, {"weight_formats": formats})
