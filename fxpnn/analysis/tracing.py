"""Every layer's words for one image, as the engine computes them."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from fxpnn.engine.inference import prepared
from fxpnn.engine.program import Words
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array


def trace(fixed: FixedNetwork, image: Array) -> Mapping[str, Words]:
    """Return the raw words of the input and of every layer, int16 of its shape, by its name.

    ``image`` is one of those that ``fxpnn.infer`` takes, of the network's input shape.

    Raises:
        DataError: it is of another shape or dtype, or holds NaN or words that the format has not.
    """
    names = (INPUT, *(node.name for node in fixed.nodes))
    batch = image[np.newaxis] if isinstance(image, np.ndarray) else image  # which is refused
    run = prepared(fixed).run(batch, keep=names)
    return MappingProxyType({name: run.tensors[name][0] for name in names})
