"""Every layer's words for one image, as the engine computes them."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from fxpnn.engine.inference import prepared
from fxpnn.engine.program import Words
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.layers import Array
from fxpnn.network.rows import Images


def trace(fixed: FixedNetwork, image: Images) -> Mapping[str, Words]:
    """Return the raw words of the input and of every layer, int16 of its shape, by its name.

    ``image`` is one of those that ``fxpnn.infer`` takes, of the network's input shape: a row, or
    arrays by name, where inputs are several.

    Raises:
        DataError: it is of another shape or dtype, or holds NaN or words that the format has not.
    """
    batch = (
        {name: _alone(array) for name, array in image.items()}
        if isinstance(image, Mapping)
        else _alone(image)
    )
    run = prepared(fixed).run(batch, keep=fixed.shapes)
    return MappingProxyType({name: run.tensors[name][0] for name in fixed.shapes})


def _alone(image: Array) -> Array:
    """Return a batch of one; what is no array is refused as it is."""
    return image[np.newaxis] if isinstance(image, np.ndarray) else image
