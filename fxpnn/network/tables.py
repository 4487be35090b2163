"""The functions that sigmoid, tanh, SiLU, ELU, softplus and softmax look up, as tables of integers.

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

ELU = Table(lambda x: -math.expm1(-x), segments=2048, steps=7)
"""``g(a) = 1 - exp(-a)`` up to 16: ``elu(x) = -g(-x)`` below 0.

Its second derivative is 1 at 0: with chords of ``2**-7`` they miss the curve by ``2**-17`` at most.
"""

SOFTPLUS = Table(lambda x: math.log1p(math.exp(-x)), steps=6)
"""``g(a) = log(1 + exp(-a))`` up to 16: what softplus adds to ReLU, on both sides.

``softplus(x) = max(0, x) + g(abs(x))``.
"""

SOFTMAX = Table(lambda x: 2.0**-x, segments=256, steps=8, frac=20, bits=20)
"""The powers of 2 from 0 down to -1."""


def table_for(layer: type[Layer]) -> npt.NDArray[np.int32] | None:
    """Return the table that a kind of layer looks up, or ``None`` where it needs none."""
    table = layer.traits.table
    return None if table is None else table.build()
