"""Which images a network takes, and which of its nodes tells their class."""

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from fxpnn.errors import DataError
from fxpnn.fixedpoint.casting import as_array, is_array
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, RawArray
from fxpnn.network.graph import Network
from fxpnn.network.inputs import Input, split
from fxpnn.network.layers import Array, Shape, Softmax

EVERY_WORD = (-(1 << 15), (1 << 15) - 1)
"""The range of a format that every int16 belongs to."""


def check_images(network: Network | FixedNetwork, x: Array) -> None:
    """Raise ``DataError`` unless ``x`` holds one or more inputs of the network.

    A fixed network also wants pixels, floats, or raw words that its input's format has.
    """
    if not is_array(x):
        raise DataError(f"images must be a NumPy array, not a {type(x).__name__}")
    if x.dtype.kind not in "fiub":
        raise DataError(f"images must be pixels or real numbers, not {x.dtype}")
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        raise DataError(f"images must be floats of at most 64 bits, not {x.dtype}, to round once")
    if not x.ndim or x.shape[1:] != network.image_shape or not len(x):
        wanted = ", ".join(map(str, ("N", *network.image_shape)))
        told = f"images must be ({wanted}) with N of 1 or more, not {x.shape}"
        raise DataError(told + _by_name(network.inputs))
    if isinstance(network, FixedNetwork):
        _check_words(network, x)


def check_names(network: Network | FixedNetwork, names: Collection[str]) -> None:
    """Raise ``DataError`` unless all names are of nodes, or the input's."""
    if unknown := sorted(set(names) - network.shapes.keys()):
        raise DataError(f"what is kept must be nodes of {network.name}, not {', '.join(unknown)}")


def words_of(values: npt.ArrayLike, shape: Shape, fmt: QFormat) -> RawArray:
    """Return a tensor's raw words, int64 of its shape; they are taken in C order, whatever theirs.

    Raises:
        DataError: they are more or fewer, no integers, or one is none of the format's.
    """
    array = as_array(values)
    if array.dtype.kind not in "iu" or array.size != math.prod(shape):
        raise DataError(f"must hold {math.prod(shape)} integers, not {array.size} of {array.dtype}")
    words = array.reshape(shape)
    wrong = np.argwhere((words < fmt.min) | (words > fmt.max))
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        raise DataError(f"{list(index)} must fit {fmt}, not be {words[index]}")
    return words.astype(np.int64)


def takes_every_word(fixed: FixedNetwork) -> bool:
    """Return whether every 16-bit word is one of the format of each input."""
    return all((it.format.min, it.format.max) == EVERY_WORD for it in fixed.inputs)


def logits_of(network: Network | FixedNetwork) -> str:
    """Name the node whose first maximum is the class: the softmax's input, else the output."""
    node = network[network.outputs[0]]
    return node.inputs[0] if isinstance(node.layer, Softmax) else node.name


def _check_words(fixed: FixedNetwork, x: Array) -> None:
    if x.dtype.char not in "Bh" and x.dtype.kind != "f":
        raise DataError(
            f"images must be uint8 pixels, scaled floats or int16 raw words, not {x.dtype}"
        )
    if x.dtype.char != "h" or takes_every_word(fixed):
        return
    parts = split(fixed.inputs, x)
    for it in fixed.inputs:
        low, high = parts[it.name].min(), parts[it.name].max()
        if low < it.format.min or high > it.format.max:
            where = f" of {it.name}" if fixed.further else ""
            raise DataError(f"raw words{where} must fit {it.format}, not reach {low}..{high}")


def _by_name(inputs: Sequence[Input]) -> str:
    """Say how images of several inputs are given."""
    if len(inputs) == 1:
        return ""
    shapes = ", ".join(f"{it.name} ({', '.join(map(str, ('N', *it.shape)))})" for it in inputs)
    return f": rows of all inputs, or arrays by name, {shapes}"
