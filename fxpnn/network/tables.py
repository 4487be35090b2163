"""The functions that sigmoid, tanh, SiLU and softmax look up, as tables of integers.

Tables are made when a model is built and stored with it; nothing at inference time calls this
module.
"""

import math

import numpy as np
import numpy.typing as npt

from fxpnn.network.layer import Layer
from fxpnn.network.traits import Table

SIGMOID = Table(lambda x: 1 / (1 + math.exp(-x)), steps=6)
"""Sigmoid up to 16."""

TANH = Table(math.tanh, steps=7)
"""Tanh up to 8."""

SILU = Table(lambda x: x / (1 + math.exp(x)), steps=6, bits=20)
"""``g(a) = a * sigmoid(-a)`` up to 16: what SiLU lacks of ReLU, on both sides.

``silu(x) = max(0, x) - g(abs(x))``.
"""

SOFTMAX = Table(lambda x: 2.0**-x, segments=256, steps=8, frac=20, bits=20)
"""The powers of 2 from 0 down to -1."""


def table_for(layer: type[Layer]) -> npt.NDArray[np.int32] | None:
    """Return the table that a kind of layer looks up, or ``None`` where it needs none."""
    table = layer.traits.table
    return None if table is None else table.build()
