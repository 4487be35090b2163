"""Curves of single values are true to one count of their output, for every word of every format."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Layer
from fxpnn.network.lookup import response, words
from fxpnn.network.tables import table_for

ERF = np.frompyfunc(math.erf, 1, 1)


def exact_gelu(x: Array) -> Array:
    """Return ``x * (1 + erf(x / sqrt(2))) / 2``."""
    share: Array = 1 + np.asarray(ERF(x / math.sqrt(2)), np.float64)
    return x * share / 2


def tanh_gelu(x: Array) -> Array:
    """Return GELU by tanh, as its authors approximate it."""
    y: Array = x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    return y


def exact_mish(x: Array) -> Array:
    """Return ``x * tanh(log(1 + exp(x)))``."""
    y: Array = x * np.tanh(np.logaddexp(x, 0))
    return y


def exact_selu(x: Array) -> Array:
    """Return SELU with the numbers that ONNX gives in float32."""
    below = 1.67326319217681884765625 * np.expm1(np.minimum(x, 0))
    return 1.05070102214813232421875 * np.where(x > 0, x, below)


CURVES: dict[str, tuple[Layer, Callable[[Array], Array]]] = {
    "gelu": (layers.Gelu(), exact_gelu),
    "gelu by tanh": (layers.GeluTanh(), tanh_gelu),
    "mish": (layers.Mish(), exact_mish),
    "selu": (layers.Selu(), exact_selu),
    "softsign": (layers.Softsign(), lambda x: x / (1 + np.abs(x))),
    "elu": (layers.Elu(), lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "softplus": (layers.Softplus(), lambda x: np.logaddexp(x, 0)),
    "tanh": (layers.Tanh(), np.tanh),
}


@pytest.mark.parametrize("frac", range(-4, 16))
@pytest.mark.parametrize("name", CURVES)
def test_curves_are_true_to_a_count_for_every_word(name: str, frac: int) -> None:
    """All 65,536 words, to 15 fraction bits and to those of the input: 1 LSB off at most."""
    layer, curve = CURVES[name]
    source = QFormat(16, frac)
    true = curve(words() / 2.0**frac)
    for fine in {15, frac}:
        fmt = QFormat(16, fine)
        node = FixedNode("y", layer, (INPUT,), fmt, table=table_for(type(layer)))
        answers = response(node, source)
        assert answers is not None
        wanted = np.clip(true * 2.0**fine, fmt.min, fmt.max)
        assert np.abs(answers.raw - wanted).max() <= 1
