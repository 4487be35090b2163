"""How float parameters are rounded to the words of their formats."""

from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.layers import Array


class Scales(NamedTuple):
    """How the parameters of a node are rounded: counts of each, and the ends of the weight's."""

    weight: Array
    ends: tuple[int, int]
    bias: Array


def by_channel(up: Array, values: Array) -> Array:
    """Return what each output channel's values are multiplied by, in a shape for it."""
    return up.reshape(-1, *(1,) * (values.ndim - 1))


def rounded_to(values: Array, up: Array, ends: tuple[int, int] | None = None) -> Array:
    """Round floats to whole counts, ``up`` of which are 1, and clip these to their ends.

    Nothing is lost but by that: counts are of the floats' own type, or of a longer one.
    """
    up = by_channel(up, values)
    counts: Array = values * up
    np.rint(counts, out=counts)
    if ends is not None:
        np.clip(counts, *ends, out=counts)
    counts /= up
    counts.setflags(write=False)  # so that the layer takes it without a copy
    return counts


def kept(bias: Array, fmt: QFormat | None) -> Array:
    """Cast a bias to the format that is given for it, if one is."""
    if fmt is None:
        return bias
    return np.ldexp(Shift(fmt).floats(bias).astype(np.float64), -fmt.frac)
