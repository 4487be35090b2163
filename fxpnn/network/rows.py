"""Images by the names of inputs become the one array that a network's functions pass on."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from fxpnn.errors import DataError
from fxpnn.fixedpoint.casting import is_array
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network, Scaling
from fxpnn.network.inputs import Input
from fxpnn.network.layers import Array

Images: TypeAlias = Array | Mapping[str, Array]
"""Images as public functions take them: one array, or arrays by the names of inputs."""


def as_rows(network: Network | FixedNetwork, x: Images) -> Array:
    """Return images as one array: arrays by name become rows, as ``rows`` says, another stays.

    Raises:
        DataError: arrays by name do not fit the network.
    """
    return rows(network, x) if isinstance(x, Mapping) else x


def rows(network: Network | FixedNetwork, arrays: Mapping[str, Array]) -> Array:
    """Return arrays by the names of inputs as the one array of a network's images.

    Pixels beside floats become numbers as the network says, and floats the longest of all.

    Raises:
        DataError: an array is missing, unknown or of another shape, they hold other numbers of
            images, or raw words stand beside floats.
    """
    inputs = network.inputs
    known = [it.name for it in inputs]
    for what, odd in (
        ("lack", [name for name in known if name not in arrays]),
        ("hold", [str(name) for name in arrays if name not in known]),
    ):
        if odd:
            raise DataError(
                f"images must be arrays named {', '.join(known)}; they {what} {', '.join(odd)}"
            )
    given = [(it, arrays[it.name]) for it in inputs]
    for it, array in given:
        _check(it, array)
    counts = {it.name: len(array) for it, array in given}
    if len({*counts.values()}) > 1:
        told = ", ".join(f"{count} in {name}" for name, count in counts.items())
        raise DataError(f"inputs must hold equally many images, not {told}")
    if len(inputs) == 1:
        return given[0][1]
    pixels = [it.name for it, array in given if array.dtype == np.uint8]
    if 0 < len(pixels) < len(given) and network.scaling.assumed:
        raise DataError(
            f"pixels beside floats must have a scale, which the network does not say: "
            f"{', '.join(pixels)}; give it (--scale), or floats"
        )
    if len({array.dtype for _, array in given}) > 1:
        given = [(it, _number(array, network.scaling)) for it, array in given]
    if len({array.dtype.kind for _, array in given}) > 1:
        told = ", ".join(f"{array.dtype} in {it.name}" for it, array in given)
        raise DataError(f"inputs must all be floats (or pixels), or all raw words, not {told}")
    return np.concatenate([array.reshape(len(array), -1) for _, array in given], axis=1)


def _check(it: Input, array: Array) -> None:
    if not is_array(array):
        raise DataError(f"{it.name} must be a NumPy array, not a {type(array).__name__}")
    if not array.ndim or array.shape[1:] != it.shape:
        wanted = ", ".join(map(str, ("N", *it.shape)))
        raise DataError(f"{it.name} must be ({wanted}), not {array.shape}")


def _number(array: Array, scaling: Scaling) -> Array:
    """Return pixels as the numbers that they stand for; others are numbers already."""
    return scaling.apply(array) if array.dtype == np.uint8 else array
