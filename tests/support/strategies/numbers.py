"""Strategies for numbers: formats, modes, and values on ties and limits.

Whole arrays are drawn as one string of bytes, so that drawing is fast and shrinks to zeros.
"""

import math
from collections.abc import Callable, Mapping
from itertools import product
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, QFormat, Rounding
from fxpnn.network.fixed import BIAS_BITS
from fxpnn.network.layers import Shape

Raw: TypeAlias = npt.NDArray[np.int16]
Wide: TypeAlias = npt.NDArray[np.int64]
Draw: TypeAlias = st.DrawFn

BIAS_LIMIT = (1 << (BIAS_BITS - 1)) - 1

roundings = st.sampled_from(Rounding)
overflows = st.sampled_from(Overflow)
modes = st.sampled_from(list(product(Rounding, Overflow)))
accumulator_modes = st.sampled_from([Overflow.SATURATE, Overflow.WRAP])
accumulators = st.builds(Accumulator, st.integers(8, 62), accumulator_modes)
drops = (
    st.integers(-3, 12)
    | st.integers(-70, 70)
    | st.sampled_from([30, 31, 32, 33, 61, 62, 63, 64, 900, -61, -62, -63, -64, -900])
)
"""By how many fraction bits products are finer than a register: loops and shifts end in some."""
words = st.sampled_from(
    [(16, True), (8, True), (16, True), *((word, True) for word in range(2, 17))]
    + [(word, False) for word in (15, 8, 2)]
)
"""Words of tensors and weights, and whether they are signed."""

nudges = st.sampled_from([0, 1, -1, 2, -2, 3, -3, 5, -5, 0, 1, -1, 2, -2, 0, 0, 20, -20, 50, -50])
"""By how many fraction bits a format misses the one that would fit."""


CLOSE_TO_8 = QFormat(16, 12)


@st.composite
def formats(draw: Draw, low: int = 1, high: int = 32) -> QFormat:
    """Draw a format that a cast takes: ``low`` to ``high`` bits, signed or not."""
    frac = draw(st.integers(0, 15) | st.integers(-40, 60))
    return QFormat(draw(st.integers(low, high)), frac, not draw(st.booleans()))


@st.composite
def tensor_formats(draw: Draw, like: QFormat = CLOSE_TO_8) -> QFormat:
    """Draw a format that a tensor can have, mostly with about the integer bits of ``like``."""
    word, signed = draw(words)
    return QFormat(word, word - signed - like.integer + draw(nudges), signed)


@st.composite
def near_ties(draw: Draw, bits: int = 48) -> tuple[int, int]:
    """Draw ``(value, shift)``: a value on, or one count beside, half of ``2**shift``."""
    shift = draw(st.integers(0, bits - 1))
    quotient = draw(st.integers(-(2 ** (bits - 1 - shift)), 2 ** (bits - 1 - shift) - 1))
    return quotient * 2**shift + 2**shift // 2 + draw(st.integers(-1, 1)), shift


@st.composite
def quotients(draw: Draw) -> tuple[int, int, int]:
    """Draw a total, its count and a shift: a quotient on a tie of the coarser words, or beside."""
    count, shift = draw(st.integers(1, 65)), draw(st.integers(-3, 3) | st.integers(-20, 70))
    halves = (2 * draw(st.integers(-(2**12), 2**12)) + 1) * count
    total = halves << min(shift, 20) - 1 if shift > 0 else halves >> 1 - shift
    return total + draw(st.integers(-1, 1)), count, shift


@st.composite
def squares(draw: Draw) -> tuple[int, int]:
    """Draw a shift, and a square on a root, on a tie of one in a coarser format, or beside one."""
    shift = draw(st.sampled_from([0, 1, 2]) | st.integers(-10, 34))
    root = draw(st.integers(0, 2**31 - 1)) >> max(0, -shift) + draw(st.integers(0, 30))
    if shift > 0:
        root = (2 * (root >> shift) + 1) << shift - 1
    square = root * root + draw(st.sampled_from([-root, 1 - root, -1, 0, 1, root, root + 1]))
    return shift, max(0, min(square, (2**62 - 1) >> 2 * max(0, -shift)))


class Cast(NamedTuple):
    """The arguments of a cast: ``value * 2**-frac`` to a format by its modes."""

    value: int
    frac: int
    target: QFormat
    rounding: Rounding
    overflow: Overflow


@st.composite
def casts(draw: Draw, low: int = 1, high: int = 32) -> Cast:
    """Draw a cast of a value beside a tie or a limit, by a shift of up to 70 bits either way."""
    target = draw(formats(low, high))
    edges = [0, target.min, -target.max, target.max, 2**target.word, -(2**target.word)]
    near = draw(st.sampled_from(edges)) + draw(st.integers(-2, 2))
    raw = draw(st.just(near) | st.integers(target.min, target.max))
    down = draw(st.integers(-2, 20) | st.integers(-70, 70))
    part = draw(st.sampled_from([0, 2**down // 2])) + draw(st.integers(-1, 1)) if down > 0 else 0
    value = raw * 2**down + part if down >= 0 else raw >> -down
    return Cast(value, target.frac + down, target, draw(roundings), draw(overflows))


AIMS: Mapping[str, Callable[[Wide, int, int], Wide]] = MappingProxyType(
    {
        "small": lambda bits, low, high: np.array([0, 1, -1, 2, -2]).clip(low, high)[bits % 5],
        "any": lambda bits, low, high: low + (bits - low) % (high - low + 1),
        "limits": lambda bits, low, high: np.array([0, high, low, high - 1, low + 1])[bits % 5],
        "highest": lambda bits, low, high: np.full_like(bits, high),
        "lowest": lambda bits, low, high: np.full_like(bits, low),
    }
)
"""How 16 random bits become a word of a range: anything, or what tends to break things."""

aims = st.sampled_from(
    [(aim, False) for aim in AIMS]
    + [("any", True)] * 5
    + [("limits", True)] * 3
    + [("small", True)]
)
"""Names of ``AIMS``, and whether the bits are scrambled: strings of zeros are drawn often."""


@st.composite
def raw_arrays(draw: Draw, fmt: QFormat, shape: Shape) -> Raw:
    """Draw raw words of a format, all by one aim."""
    (aim, scrambled), size = draw(aims), math.prod(shape)
    content = draw(st.binary(min_size=2 * size, max_size=2 * size))
    bits = np.frombuffer(content, ">i2").astype(np.int64)
    bits ^= scrambled * (np.arange(1, size + 1) * 40503 % 2**16)
    raw: Raw = AIMS[aim](bits, fmt.min, fmt.max).astype(np.int16).reshape(shape)
    return raw


def raw_limits(fmt: QFormat) -> st.SearchStrategy[int]:
    """Draw the largest or smallest raw word of a format."""
    return st.sampled_from([fmt.max, fmt.min])


def raw_values(fmt: QFormat) -> st.SearchStrategy[int]:
    """Draw one raw word of a format, often a limit."""
    return st.integers(fmt.min, fmt.max) | raw_limits(fmt)


class Accumulation(NamedTuple):
    """A sum to be made step by step: ``bias + weight[0] * x[0] + weight[1] * x[1] + ...``."""

    accumulator: Accumulator
    bias: int
    weight: Raw
    x: Raw


@st.composite
def accumulations(draw: Draw, max_terms: int = 8) -> Accumulation:
    """Draw a sum that reaches a limit of its accumulator, or one beside, after some step.

    The step may be the bias, the first, a middle or the last product.
    """
    word = draw(accumulators)
    terms, any16 = draw(st.integers(1, max_terms)), QFormat(16, 0)
    weight, x = (draw(raw_arrays(any16, (terms,))) for _ in range(2))
    step = draw(st.integers(0, terms))
    limit = draw(st.sampled_from([word.max, word.min])) + draw(st.integers(-1, 1))
    before = sum(w * v for w, v in list(zip(weight.tolist(), x.tolist(), strict=True))[:step])
    return Accumulation(word, fitting_bias(limit - before), weight, x)


@st.composite
def registers(draw: Draw, frac: int, bits: int) -> Accumulator:
    """Draw a register with a fraction of its own for sums of so many bits ``@ frac``.

    It is often too narrow by a few bits.
    """
    dropped = draw(drops)
    close = bits - dropped + draw(st.integers(-4, 1))
    word = draw(st.sampled_from([close, close, 48, 62]) | st.integers(8, 62))
    return Accumulator(
        max(8, min(word, 62)),
        draw(accumulator_modes),
        frac - dropped,
        draw(roundings),
        draw(st.sampled_from(Product)),
    )


@st.composite
def at_scale(draw: Draw, value: int, dropped: int) -> int:
    """Draw a number of ``dropped`` bits more: the value, a tie beside it, or one count away."""
    if dropped <= 0:
        return value >> min(-dropped, 99)
    return (
        (value << min(dropped, 99))
        + draw(st.sampled_from([0, 1, -1]))
        + draw(st.sampled_from([0, 1, -1])) * (1 << min(dropped, 99) - 1)
    )


def fitting_bias(value: int) -> int:
    """Clamp to what a bias can be."""
    return max(-BIAS_LIMIT, min(value, BIAS_LIMIT))
