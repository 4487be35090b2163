"""The oracle of layer normalisation, in rationals and a root of 100 digits."""

import math
from decimal import Context, Decimal
from fractions import Fraction

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Array, LayerNorm


def normalised(node: FixedNode, source: QFormat, x: Array) -> list[Fraction]:
    """Divide what is apart from the mean by the root, which has 61 or 62 bits as a square."""
    layer = node.layer
    assert isinstance(layer, LayerNorm)
    n, values = len(layer.gamma), []
    formats = node.weight_formats * (n // len(node.weight_formats))
    gammas = [int(g) / Fraction(2) ** f.frac for g, f in zip(layer.gamma, formats, strict=True)]
    betas = [
        int(b) / Fraction(2) ** (source.frac + f.frac)
        for b, f in zip(layer.beta, formats, strict=True)
    ]
    for vector in x.reshape(-1, n).tolist():
        mean = Fraction(sum(vector), n)
        square = n * sum((v - mean) ** 2 for v in vector) + layer.epsilon
        scale = next(2**g for g in range(31, -1, -1) if square * 4**g < 2**62)
        root = math.floor(Decimal(int(square)).sqrt(Context(prec=100)) * scale)
        parts = zip(vector, gammas, betas, strict=True)
        values += [gamma * (v - mean) * n * scale / root + beta for v, gamma, beta in parts]
    return values
