"""Functions of single values, and softmax, in Python integers."""

import numpy as np

from fxpnn.fixedpoint.integers import (
    divide,
    exponential,
    half_up,
    reciprocal,
    short_exponential,
)
from fxpnn.golden.sums import Ints, Unit, activate, compute
from fxpnn.network import layers

SIXTH = 43691
"""``round(2**18 / 6)``."""


@activate.register
def _relu(layer: layers.Relu, unit: Unit, x: int) -> int:
    """``max(0, x)``."""
    return max(0, x)


@activate.register
def _leaky_relu(layer: layers.LeakyRelu, unit: Unit, x: int) -> int:
    """``x >= 0 ? x : cast(x * slope)``."""
    (frac,) = unit.product_fracs()
    return x if x >= 0 else unit.cast(x * int(layer.slope), frac)


@compute.register
def _prelu(layer: layers.PRelu, unit: Unit, x: Ints) -> Ints:
    """``x >= 0 ? x : cast(x * slope[channel])``."""
    planes, fracs = x.reshape(len(x), -1), unit.product_fracs()
    slopes = zip(planes, layer.slope.tolist(), fracs, strict=True)
    y = [v if v >= 0 else unit.cast(v * s, frac) for plane, s, frac in slopes for v in plane]
    return np.array(y, object).reshape(x.shape)


@activate.register
def _clip(layer: layers.Clip, unit: Unit, x: int) -> int:
    """``min(max(x, low), high)``."""
    return min(max(x, int(layer.low)), int(layer.high))


@activate.register
def _sigmoid(layer: layers.Sigmoid, unit: Unit, x: int) -> int:
    """``cast(sigmoid(x))``, where ``sigmoid(-x) = 1 - sigmoid(x)``."""
    return unit.cast(unit.look_up(x, 6) if x >= 0 else (1 << 34) - unit.look_up(-x, 6), 34)


@activate.register
def _tanh(layer: layers.Tanh, unit: Unit, x: int) -> int:
    """``cast(tanh(x))``, where ``tanh(-x) = -tanh(x)``."""
    return unit.cast(unit.look_up(x, 7) if x >= 0 else -unit.look_up(-x, 7), 34)


@activate.register
def _silu(layer: layers.Silu, unit: Unit, x: int) -> int:
    """``cast(max(0, x) - g(|x|))``, where the table holds ``g(a) = a * sigmoid(-a)``."""
    relu, g, fine = _beside_relu(unit, x, unit.look_up(abs(x), 6))
    return unit.cast(relu - g, fine)


@activate.register
def _gelu(layer: layers.Gelu | layers.GeluTanh, unit: Unit, x: int) -> int:
    """``cast(max(0, x) - g(|x|))``, where the table holds ``g(a) = -gelu(-a)``."""
    relu, g, fine = _beside_relu(unit, x, unit.look_up(abs(x), 7))
    return unit.cast(relu - g, fine)


@activate.register
def _mish(layer: layers.Mish, unit: Unit, x: int) -> int:
    """``cast(max(0, x) - g(|x|))``: the table holds g for inputs below 0, then for those above."""
    half = len(unit.table) // 2
    side = unit.table[half:] if x > 0 else unit.table[:half]
    relu, g, fine = _beside_relu(unit, x, unit.look_up(abs(x), 7, side))
    return unit.cast(relu - g, fine)


def _beside_relu(unit: Unit, x: int, g: int) -> tuple[int, int, int]:
    """Align ``max(0, x)`` with ``g @ 34``, and give the fraction bits of both."""
    fine = max(unit.frac, 34)
    return max(0, x) << (fine - unit.frac), g << (fine - 34), fine


@activate.register
def _selu(layer: layers.Selu, unit: Unit, x: int) -> int:
    """``cast(x >= 0 ? x * gain : -g(-x))``: the gain is 275435 @ 18, g(a) 1.758 (1 - exp(-a))."""
    if x >= 0:
        return unit.cast(x * 275435, unit.frac + 18)
    return unit.cast(-unit.look_up(-x, 8), 34)


@activate.register
def _softsign(layer: layers.Softsign, unit: Unit, x: int) -> int:
    """``cast(x / (1 + |x|))``, the quotient's magnitude cut to 46 fraction bits (34 at F = -12)."""
    one, a, frac = 1 << max(unit.frac, 0), abs(x) << max(-unit.frac, 0), 46 + min(unit.frac, 0)
    quotient = (a << frac) // (one + a)
    return unit.cast(quotient if x >= 0 else -quotient, frac)


@activate.register
def _elu(layer: layers.Elu, unit: Unit, x: int) -> int:
    """``cast(x >= 0 ? x : -g(-x))``, where the table holds ``g(a) = 1 - exp(-a)``."""
    return unit.cast(x, unit.frac) if x >= 0 else unit.cast(-unit.look_up(-x, 7), 34)


@activate.register
def _softplus(layer: layers.Softplus, unit: Unit, x: int) -> int:
    """``cast(max(0, x) + g(|x|))``, where the table holds ``g(a) = log(1 + exp(-a))``."""
    relu, g, fine = _beside_relu(unit, x, unit.look_up(abs(x), 6))
    return unit.cast(relu + g, fine)


@activate.register
def _abs(layer: layers.Abs, unit: Unit, x: int) -> int:
    """``cast(|x|)``."""
    return unit.cast(abs(x), unit.frac)


@activate.register
def _hard_sigmoid(layer: layers.HardSigmoid, unit: Unit, x: int) -> int:
    """``cast(clip(x * alpha + beta, 0, 1))``."""
    (frac,) = unit.product_fracs()
    return unit.cast(min(max(x * int(layer.alpha) + int(layer.beta), 0), 1 << frac), frac)


@activate.register
def _hard_swish(layer: layers.HardSwish, unit: Unit, x: int) -> int:
    """``cast(x * clip(x + 3, 0, 6) / 6)``, a sixth being ``SIXTH @ 18``."""
    frac = max(unit.frac, 0)
    x <<= frac - unit.frac
    return unit.cast(x * min(max(x + (3 << frac), 0), 6 << frac) * SIXTH, 2 * frac + 18)


@activate.register
def _step(layer: layers.Step, unit: Unit, x: int) -> int:
    """``x >= threshold ? cast(1) : 0``."""
    return unit.cast(1, 0) if x >= layer.threshold else 0


@compute.register
def _softmax(layer: layers.Softmax, unit: Unit, x: Ints) -> Ints:
    """``exp(x) / sum(exp(x))`` of the places that count of every vector along the axis, at F = 15.

    1 clips to 32767: that is how Q0.15 spells it, no overflow to be counted.
    """
    probabilities = _largest_first if unit.node.softmax_shift is None else _shifted
    vectors = np.moveaxis(x, layer.axis, -1)
    y, size = list[int](), vectors.shape[-1]
    rows = vectors.reshape(-1, size).tolist()
    for vector, (start, end) in zip(rows, layer.spans_of(x.shape), strict=True):
        shares = [min(p, 32767) for p in probabilities(unit, vector[start:end])]
        y += [0] * start + shares + [0] * (size - end)
    return np.moveaxis(np.array(y, object).reshape(vectors.shape), -1, layer.axis)


def _largest_first(unit: Unit, x: list[int]) -> list[int]:
    """Subtract the maximum, so that nothing overflows: S has 43 bits, ``e * R`` 49, p 16."""
    largest = max(x)
    e = [exponential(largest - v, unit.frac, unit.table) for v in x]
    R, b = reciprocal(sum(e))
    return [half_up(v * R, b + 3) for v in e]


def _shifted(unit: Unit, x: list[int]) -> list[int]:
    """Subtract a constant instead, each exp a saturating Q7.8 word; all 0 where all exps are 0."""
    shift = unit.node.softmax_shift or 0
    e = [unit.saturate(short_exponential(v - shift, unit.frac, unit.table), 32767) for v in x]
    S = sum(e)
    return [divide(v << 15, S) if S else 0 for v in e]
