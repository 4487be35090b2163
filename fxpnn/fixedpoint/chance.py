"""Stochastic rounding: whether a value is rounded up is drawn, and the draw is a function of place.

A cast drops s bits of a sum x: ``raw = floor((x + r) / 2**s)``. The draw u is the top R bits of a
word of Philox4x64-10, the one that ``numpy.random.Philox`` gives for the key (seed, tensor number)
and the counter (element // 4, step, 0, 0): word element % 4 of its block. (NumPy counts up before
it draws, so the cipher sees element // 4 + 1.) So r depends on the seed, the tensor, the element
and the step alone, on no thread, block or machine.

- R < s: ``r = (2 u + 1) * 2**(s - R - 1)``, the middle of its step; R = 0 is ``nearest-up``.
- R >= s: r is the top s bits of u, and the rounding is unbiased.
- A quotient ``x / count`` with a count above 1 has bits without end behind it, so R is less than
  their number: it is rounded up where its rest, as a part of one count of the result, and
  ``(2 u + 1) / 2**(R + 1)`` are 1 together, or more.

Where nothing is dropped nothing is drawn: an exact value never moves.
"""

from dataclasses import dataclass

import numpy as np

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.casting import Raw

MOST_BITS = 24
SEEDS = 1 << 64


@dataclass(frozen=True, slots=True)
class Stochastic:
    """Rounding by chance, for training only: R random ``bits`` for each value, from a ``seed``.

    Raises:
        FormatError: the bits are not 0 to 24, or the seed is none of 64 bits.
    """

    bits: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bits <= MOST_BITS:
            raise FormatError(f"random bits must be 0 to {MOST_BITS}, not {self.bits}")
        if not 0 <= self.seed < SEEDS:
            raise FormatError(f"a seed must be 0 to 2**64 - 1, not {self.seed}")

    def __str__(self) -> str:
        return "stochastic"


@dataclass(frozen=True, slots=True)
class Place:
    """Where values lie: their tensor's number, the step, the first one's index in the tensor."""

    tensor: int
    step: int
    first: int = 0


def draws(chance: Stochastic, place: Place, count: int) -> Raw:
    """Return u for ``count`` elements from the place's first on, int64 of 0 to ``2**bits - 1``."""
    if chance.bits == 0:
        return np.zeros(count, np.int64)
    block, beside = divmod(place.first, 4)
    generator = np.random.Philox(
        key=np.array([chance.seed, place.tensor], np.uint64),
        counter=np.array([block, place.step, 0, 0], np.uint64),
    )
    words = generator.random_raw(beside + count)[beside:]
    words >>= np.uint64(64 - chance.bits)
    return words.view(np.int64)


def shifted(values: Raw, drop: int, bits: int, u: Raw) -> Raw:
    """Return ``floor((values + r) / 2**drop)`` for int64 values below ``2**62``, 0 < drop < 62.

    ``u`` has their shape; it is used up.
    """
    if bits < drop:
        u <<= 1
        u |= 1
        u <<= drop - bits - 1
    else:
        u >>= bits - drop
    u += values
    u >>= drop
    return u


def quotients(values: Raw, divisor: int | Raw, bits: int, u: Raw) -> Raw:
    """Return ``values / divisor`` rounded by chance; ``divisor * 2**(bits + 1)`` is below 2**62."""
    floor = values // divisor
    rest = values - floor * divisor
    short = (2 << bits) - 1 - 2 * u
    floor += rest << (bits + 1) >= divisor * short
    return floor
