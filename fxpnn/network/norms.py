"""Layers that normalise vectors by their own mean and variance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layer import Array, Layer, Number, Range, Shape
from fxpnn.network.shapes import text
from fxpnn.network.traits import Traits

FEATURES = 1 << 16
"""The most values of a vector: ``n**2`` variances of words of 16 bits are then below ``2**62``."""
LIFT = 31
"""The most bits by which a quotient, of a divisor below ``2**31``, is made finer."""


@dataclass(frozen=True, eq=False, repr=False)
class LayerNorm(Layer):
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` of each vector along the last axis.

    ``gamma`` and ``beta`` are ``(n,)``, one value for each place of a vector, at most 65536.

    In integers ``(x - mean) / sqrt(variance + epsilon)`` is ``(n x - sum(x)) / sqrt(D)``, with
    ``D = n * sum(x**2) - sum(x)**2 + E`` and ``E`` for ``epsilon``: ``epsilon * n**2 * 4**Fx``,
    rounded, at least 1. Its root is taken at the finest scale that fits: ``g = (62 - bitlen(D)) //
    2`` and ``r = isqrt(D << 2 g)``, from ``2**30`` to ``2**31``. The output is the rational
    ``gamma * (n x - sum(x)) * 2**g / r + beta``, cast once.
    """

    traits: ClassVar[Traits] = Traits(weight="gamma", bias="beta", input_fracs=(-16, LIFT))

    gamma: Array
    beta: Array
    epsilon: Number = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma.ndim != 1 or not 1 <= len(self.gamma) <= FEATURES:
            raise ModelError(f"gamma must be 1 to {FEATURES} values, not {text(self.gamma.shape)}")
        if self.beta.shape != self.gamma.shape:
            raise ModelError(f"beta must be {text(self.gamma.shape)}, not {text(self.beta.shape)}")
        if not self.epsilon > 0:
            raise ModelError(f"epsilon must be above 0, not {self.epsilon}")

    def shape(self, *shapes: Shape) -> Shape:
        """Keep the shape; its last axis is the vectors'."""
        if shapes[0][-1:] != self.gamma.shape:
            raise ModelError(
                f"last axis must be as gamma's {len(self.gamma)}, not {text(shapes[0])}"
            )
        return shapes[0]

    def range(self, *ranges: Range) -> Range:
        """Return the ends where one value of a vector is as far as can be from the others.

        It is then ``sqrt(n - 1)`` standard deviations from the mean.
        """
        reach = np.abs(self.gamma.astype(np.float64)) * math.sqrt(len(self.gamma) - 1)
        return float((self.beta - reach).min()), float((self.beta + reach).max())

    def raw_epsilon(self, source: QFormat) -> int:
        """Return E for inputs of a format: ``epsilon * n**2 * 4**Fx`` to nearest, at least 1."""
        scale = Fraction(len(self.gamma) * Fraction(2) ** source.frac) ** 2
        return max(1, round(Fraction(self.epsilon) * scale))

    def float_epsilon(self, source: QFormat) -> float:
        """Return what a raw epsilon means for inputs of a format."""
        return math.ldexp(self.epsilon / len(self.gamma) ** 2, -2 * source.frac)

    def check_fits(self, source: QFormat, weights: Sequence[QFormat], made: QFormat) -> None:
        """Check that D has at most 62 bits, and that what is cast fits too."""
        spread = len(self.gamma) * (source.max - source.min)
        most = (1 << 62) - 1 - spread**2 // 4
        if self.epsilon > most:
            raise ModelError(f"epsilon must be at most {most} counts, not {self.epsilon}")
        fracs = np.array([fmt.frac for fmt in weights])
        up = lifts(source, fracs, made)
        if up.max() > LIFT:
            raise ModelError(
                f"output must have at most {LIFT - 2} fraction bits more than gamma, not "
                f"{int(up.max()) - 2}; change its format, {made}, or gamma's"
            )
        largest = max(abs(int(word)) for word in (self.beta.min(), self.beta.max()))
        if largest << int(up.max()) - source.frac >= 1 << 60:
            raise ModelError(
                f"beta must fit 60 bits at {int(up.max()) - source.frac} fraction bits more, not "
                f"be {largest} counts"
            )


def lifts(source: QFormat, fracs: npt.NDArray[np.int64], made: QFormat) -> npt.NDArray[np.int64]:
    """Return by how many bits quotients are made finer than gamma's ``fracs`` before a cast.

    By as many as beta has more, and so many that the cast drops two or more. So a rest that is not
    0 may stand in the last bit.
    """
    return np.maximum(max(source.frac, 0), made.frac + 2 - fracs)
