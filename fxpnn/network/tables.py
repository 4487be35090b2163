"""Tables of integers that layers look up; those of curves stand beside their layers.

Tables are made when a model is built and stored with it; nothing at inference time calls this
module.
"""

import numpy as np
import numpy.typing as npt

from fxpnn.network.layer import Layer
from fxpnn.network.traits import Table

SOFTMAX = Table(lambda x: 2.0**-x, segments=256, steps=8, frac=20, bits=20)
"""The powers of 2 from 0 down to -1."""


def table_for(layer: type[Layer]) -> npt.NDArray[np.int32] | None:
    """Return the table that a kind of layer looks up, or ``None`` where it needs none."""
    table = layer.traits.table
    return None if table is None else table.build()
