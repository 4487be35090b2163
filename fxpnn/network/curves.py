"""Layers that are curves of single values: sigmoids, and what bends like a ReLU.

Beside each stands the function that it looks up in a table of integers, made when a model is built.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from fxpnn.network.layer import Layer, Range
from fxpnn.network.traits import Table, Traits

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

GELU = Table(lambda x: x * math.erfc(x / math.sqrt(2)) / 2, steps=7)
"""``g(a)``, a times the share of a normal distribution above a, up to 8.

``gelu(x) = max(0, x) - g(abs(x))``. Its second derivative is 0.8 at most: chords of ``2**-7`` miss
it by less than ``2**-17``, and beyond 8 lies less than ``2**-47``.
"""

GELU_TANH = Table(
    lambda x: x / (1 + math.exp(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), steps=7
)
"""``g(a) = a * (1 - tanh(...)) / 2`` up to 8, by ``1 - tanh(u) = 2 / (1 + exp(2 * u))``."""


def _mish_below(x: float) -> float:
    """Return ``-mish(-x)``; with w = exp(-x), ``tanh(log(1 + w))`` is a quotient."""
    w = math.exp(-x)
    return x * (w * w + 2 * w) / (w * w + 2 * w + 2)


def _mish_above(x: float) -> float:
    """Return ``x - mish(x)``, with w = exp(-x) too."""
    w = math.exp(-x)
    return x * 2 * w * w / (1 + 2 * w + 2 * w * w)


MISH = Table(_mish_below, segments=2048, steps=7, above=_mish_above)
"""What Mish lacks of ReLU, up to 16 on each side of 0: ``mish(x) = max(0, x) - g(abs(x))``."""

SELU_GAIN, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""The numbers of Klambauer and others, 2017, that keep mean 0 and variance 1."""
SELU_SCALE, SELU_FRAC = round(SELU_GAIN * 2**18), 18
"""The gain as an integer: 2**-21 off, less than an LSB of any 16-bit word that it gives."""

SELU = Table(lambda x: -SELU_GAIN * SELU_ALPHA * math.expm1(-x), segments=4096, steps=8, bits=19)
"""``g(a)`` up to 16: ``selu(x) = -g(-x)`` below 0, where it ends at -1.7581."""


@dataclass(frozen=True, eq=False, repr=False)
class Sigmoid(Layer):
    """``1 / (1 + exp(-x))``."""

    traits: ClassVar[Traits] = Traits(
        elementwise=True,
        integer=0,
        open_range=(0, 1),
        monotone=True,
        table=SIGMOID,
        approximate=True,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Tanh(Layer):
    """``tanh(x)``."""

    traits: ClassVar[Traits] = Traits(
        elementwise=True,
        integer=0,
        open_range=(-1, 1),
        monotone=True,
        table=TANH,
        approximate=True,
    )


def _bent(table: Table, *, monotone: bool = False) -> Traits:
    """Return the traits of a layer that looks up what it lacks of ReLU, or adds to it."""
    return Traits(
        elementwise=True, monotone=monotone, table=table, approximate=True, input_fracs=(-12, 56)
    )


@dataclass(frozen=True, eq=False, repr=False)
class _Bent(Layer):
    """A curve that dips a little below 0, and from there follows its input upwards."""

    lowest: ClassVar[float]
    """None of its values lies below."""

    def range(self, *ranges: Range) -> Range:
        """Return the lowest value, and the largest input or 0."""
        return self.lowest, max(ranges[0][1], 0.0)


@dataclass(frozen=True, eq=False, repr=False)
class Silu(_Bent):
    """``x * sigmoid(x)``, also called swish."""

    traits: ClassVar[Traits] = _bent(SILU)
    lowest: ClassVar[float] = -0.375
    """It is -0.2785 at least."""


@dataclass(frozen=True, eq=False, repr=False)
class Elu(_Bent):
    """``x`` where it is not negative, else ``exp(x) - 1``."""

    traits: ClassVar[Traits] = _bent(ELU, monotone=True)
    lowest: ClassVar[float] = -1.0
    """Only approached."""


@dataclass(frozen=True, eq=False, repr=False)
class Softplus(Layer):
    """``log(1 + exp(x))``."""

    traits: ClassVar[Traits] = _bent(SOFTPLUS)

    def range(self, *ranges: Range) -> Range:
        """Return 0 to the largest input and what is added to it: at most ``log(2)``."""
        return 0.0, max(ranges[0][1], 0.0) + math.log(2)


@dataclass(frozen=True, eq=False, repr=False)
class Gelu(_Bent):
    """``x * (1 + erf(x / sqrt(2))) / 2``: x times the normal distribution's share below it."""

    traits: ClassVar[Traits] = _bent(GELU)
    lowest: ClassVar[float] = -0.1875
    """It is -0.17 at least."""


@dataclass(frozen=True, eq=False, repr=False)
class GeluTanh(_Bent):
    """``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``, which is near to ``Gelu``."""

    traits: ClassVar[Traits] = _bent(GELU_TANH)
    lowest: ClassVar[float] = -0.1875
    """It is -0.1701 at least."""


@dataclass(frozen=True, eq=False, repr=False)
class Mish(_Bent):
    """``x * tanh(log(1 + exp(x)))``."""

    traits: ClassVar[Traits] = _bent(MISH)
    lowest: ClassVar[float] = -0.3125
    """It is -0.3089 at least."""


@dataclass(frozen=True, eq=False, repr=False)
class Selu(Layer):
    """``1.0507 * x`` where x is not negative, else ``1.0507 * 1.6733 * (exp(x) - 1)``.

    The constants, to all their digits, are ``SELU_GAIN`` and ``SELU_ALPHA``.
    """

    traits: ClassVar[Traits] = Traits(
        elementwise=True, monotone=True, table=SELU, approximate=True, input_fracs=(-12, 43)
    )

    def range(self, *ranges: Range) -> Range:
        """Return -1.7581, which is only approached, to 1.0507 times the largest input."""
        return -SELU_GAIN * SELU_ALPHA, 1.0508 * max(ranges[0][1], 0.0)


@dataclass(frozen=True, eq=False, repr=False)
class Softsign(Layer):
    """``x / (1 + abs(x))``, by one division of integers."""

    traits: ClassVar[Traits] = Traits(
        elementwise=True,
        integer=0,
        open_range=(-1, 1),
        monotone=True,
        approximate=True,
        input_fracs=(-12, 44),
    )
