"""Own the integer tables that sigmoid, tanh, SiLU and softmax look up, made when a model is built.

``math`` is exact to some 2**-52, far finer than the distance of any entry from a rounding tie, so
every machine makes the same integers. Nothing at inference time calls this module.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fxpnn.network.layers import Layer, Sigmoid, Silu, Softmax, Tanh

SEGMENTS = 1024
"""Sigmoid, tanh and SiLU have this many straight segments, with an entry at either end."""

SIGMOID_STEP = 2.0**-6
TANH_STEP = 2.0**-7


def table_for(layer: type[Layer]) -> npt.NDArray[np.int32] | None:
    """Return the int32 table that a kind of layer interpolates, or ``None`` where it needs none."""
    make = _TABLES.get(layer)
    return None if make is None else make()


def sigmoid_table() -> npt.NDArray[np.int32]:
    """Return ``round(sigmoid(i / 64) * 2**18)`` for i = 0..1024."""
    return _sampled(lambda i: 1 / (1 + math.exp(-i * SIGMOID_STEP)), SEGMENTS, 18)


def tanh_table() -> npt.NDArray[np.int32]:
    """Return ``round(tanh(i / 128) * 2**18)`` for i = 0..1024."""
    return _sampled(lambda i: math.tanh(i * TANH_STEP), SEGMENTS, 18)


def silu_table() -> npt.NDArray[np.int32]:
    """Return ``round(g(i / 64) * 2**18)`` for i = 0..1024, where ``g(a) = a * sigmoid(-a)``.

    It is what SiLU lacks of ReLU, on both sides: ``silu(x) = max(0, x) - g(abs(x))``.
    """
    return _sampled(lambda i: i * SIGMOID_STEP / (1 + math.exp(i * SIGMOID_STEP)), SEGMENTS, 18)


def softmax_table() -> npt.NDArray[np.int32]:
    """Return ``round(2**(-k / 256) * 2**20)`` for k = 0..256."""
    return _sampled(lambda k: 2.0 ** (-k / 256), 256, 20)


def _sampled(f: Callable[[int], float], last: int, frac: int) -> npt.NDArray[np.int32]:
    return np.array([round(f(i) * 2**frac) for i in range(last + 1)], np.int32)


_TABLES: Mapping[type[Layer], Callable[[], npt.NDArray[np.int32]]] = MappingProxyType(
    {Sigmoid: sigmoid_table, Tanh: tanh_table, Silu: silu_table, Softmax: softmax_table}
)
