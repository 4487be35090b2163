"""Bounds of vectors that are normalised: how far one of n values can be from their mean."""

from math import isqrt

import numpy as np

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import LayerNorm
from fxpnn.network.norms import lifts

FINE = 20
"""Fraction bits of the bound of a quotient."""


def norm_ends(node: FixedNode, layer: LayerNorm, source: QFormat) -> tuple[Interval, Raw]:
    """Bound what each place of a vector is before its cast, and give the fraction bits of that.

    ``(n x - sum)**2`` is at most ``(n - 1) * D``, and ``(r + 1)**2`` above ``4**g * D``: the
    quotient is below ``sqrt(n - 1) * (1 + 1 / r)``, with r at least ``2**30``.
    """
    n, fracs = len(layer.gamma), node.fracs(len(layer.gamma))
    up = lifts(source, fracs, node.output_format)
    reach = np.abs(layer.gamma.astype(np.int64)) * (isqrt(n - 1 << 2 * FINE) + 2)  # 44 bits
    down = np.maximum(FINE - up, 0)
    most = (reach << np.maximum(up - FINE, 0)) + (1 << down) - 1 >> down
    beta = layer.beta << up - source.frac
    return Interval(beta - most, beta + most), fracs + up
