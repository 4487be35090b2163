"""Vectors normalised by their own mean and variance, in Python integers."""

from math import isqrt

import numpy as np

from fxpnn.golden.sums import Ints, Unit, compute
from fxpnn.network import layers


@compute.register
def _layer_norm(layer: layers.LayerNorm, unit: Unit, x: Ints) -> Ints:
    """``cast(gamma * (n x - sum(x)) * 2**g / r + beta)`` for every vector along the last axis.

    ``D = n * sum(x**2) - sum(x)**2 + E`` is ``n**2`` times the variance and epsilon, @ 2 Fx; r is
    the root of ``D * 4**g``, rounded down, where that has 61 or 62 bits. The quotient is rational,
    @ Fw; beta is @ Fx + Fw. Their sum is rounded once.
    """
    n, fraction, y = len(layer.gamma), max(unit.frac, 0), []
    scales = zip(layer.gamma.tolist(), layer.beta.tolist(), unit.product_fracs(), strict=True)
    features = [(gamma, beta << fraction - unit.frac, f - unit.frac) for gamma, beta, f in scales]
    for vector in x.reshape(-1, n).tolist():
        total = sum(vector)
        D = n * sum(v * v for v in vector) - total**2 + int(layer.epsilon)
        g = (62 - D.bit_length()) // 2
        r = isqrt(D << 2 * g)
        for v, (gamma, beta, weight_frac) in zip(vector, features, strict=True):
            scaled = gamma * (n * v - total) << g + fraction
            y.append(unit.cast(scaled + beta * r, weight_frac + fraction, count=r))
    return np.array(y, object).reshape(x.shape)
