"""Stochastic rounding in Python integers: the cipher behind the draws, and the cast."""

from fxpnn.fixedpoint.chance import Stochastic
from fxpnn.fixedpoint.integers import floor_shift
from fxpnn.fixedpoint.qformat import QFormat

MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
STEPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
"""What a round multiplies by, and what the key grows by: Salmon, Moraes, Dror and Shaw, "Parallel
random numbers: as easy as 1, 2, 3", SC 2011."""
WORD = (1 << 64) - 1


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Encipher four words of 64 bits in ten rounds: Philox4x64-10."""
    a, b, c, d = counter
    one, other = key
    for _ in range(10):
        left, right = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = (right >> 64) ^ b ^ one, right & WORD, (left >> 64) ^ d ^ other, left & WORD
        one, other = (one + STEPS[0]) & WORD, (other + STEPS[1]) & WORD
    return a, b, c, d


def drawn(chance: Stochastic, tensor: int, step: int, element: int) -> int:
    """Draw u, the top R bits of the word of one element of a tensor in a step."""
    words = philox((element // 4 + 1, step, 0, 0), (chance.seed, tensor))
    return words[element % 4] >> (64 - chance.bits)


def cast_by_chance(
    value: int, frac: int, target: QFormat, bits: int, u: int, count: int = 1
) -> tuple[int, bool]:
    """Cast ``value / count @ frac`` by the draw u of R bits; also tell whether it saturated."""
    s = frac - target.frac
    if count > 1:
        numerator, divisor = floor_shift(value, min(s, 0)), count << max(s, 0)
        raw = ((numerator << bits + 1) + (2 * u + 1) * divisor) // (divisor << bits + 1)
    elif s <= 0:
        raw = value << -s
    else:
        r = (2 * u + 1) << s - bits - 1 if bits < s else u >> bits - s
        raw = (value + r) >> s
    return min(max(raw, target.min), target.max), not target.min <= raw <= target.max
