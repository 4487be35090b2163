"""Loops of sums in a register that has a fraction of its own, and drops bits of every product.

They take a layer as ``plain`` does, and beside it the ``drops``: how many bits of a product lie
below the register's last, for each output; fewer than 0 are added. R rounds them away.

A fused product makes R(a * 2**s + p) of the sum a. That is a + (p >> s), rounded by the s bits
behind it, by its parity and by its sign, so that a * 2**s, which might not fit, is never formed.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64, cast, cast_apart, round_rest
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.build.memory import free, zeros
from fxpnn.kernels.layout.instructions import (
    CLAMPED,
    EXACT,
    FLOOR,
    NEAREST_DOWN,
    NEAREST_UP,
    WRAP,
    Target,
)
from fxpnn.kernels.row_blocks import (
    APART,
    HIGH,
    IMAGES,
    LEAST,
    LOW,
    MOST,
    OUTPUTS,
    OVERFLOW,
    ROUNDING,
    ROWS_OF_IMAGE,
    TOTAL,
    WORDS,
    Counts,
    Frame,
    Modes,
    enter,
)

Constants: TypeAlias = tuple[I16, I64, I64, I64, I64, I64]
"""``weights``, ``offsets``, ``starts``, ``bias``, ``shifts`` and ``drops``."""
Register: TypeAlias = tuple[int, int, int, int, bool]
"""How sums meet its limits, these, its rounding, and whether products are cast before they enter.

``EXACT`` is proved to fit at every step and rounds to floor, up or down, or casts: then what each
product adds depends on nothing else."""


@loop
def run(
    x: I16, out: I16, constants: Constants, frame: Frame, register: Register, to: Modes
) -> Counts:
    """Run a dense layer or a convolution on a block of images; return what ``plain.run`` does.

    Biases are below ``2**61``; bias and products together, as they are, below ``2**62``.
    """
    weights, offsets, starts, bias, shifts, drops = constants
    images, words, outputs, rows = frame[IMAGES], frame[WORDS], frame[OUTPUTS], frame[ROWS_OF_IMAGE]
    framed, seen = zeros(frame[TOTAL], np.int16), zeros(offsets.size, np.int16)
    target = Target(to[ROUNDING], to[OVERFLOW], to[LOW], to[HIGH])
    overflows, saturations, fallen, end = 0, 0, 0, 0
    for image in range(images):
        source = enter(x[image * words :], framed, frame)
        for row in range(rows):
            here = source[starts[row] :]
            for k in range(offsets.size):
                seen[k] = here[offsets[k]]
            for output in range(outputs):
                factors = weights[output * offsets.size : (output + 1) * offsets.size]
                total, over = accumulate(seen, factors, bias[output], drops[output], register)
                overflows += over
                if to[APART]:
                    raw, out_of_range, below = cast_apart(total, shifts[output], target)
                    fallen += below
                else:
                    raw, out_of_range = cast(total, shifts[output], target)
                saturations += out_of_range
                out[end] = min(max(raw, to[LEAST]), to[MOST])
                end += 1
    free((framed, seen))
    return overflows, saturations, fallen


@loop
def accumulate(
    x: I16, weights: I16, bias: int, dropped: int, register: Register
) -> tuple[int, int]:
    """Load the bias and add ``x[k] * weights[k]``, k ascending; also count the overflows."""
    method, low, high, rounding, _ = register
    if method == EXACT:
        return exact(x, weights, bias, dropped, rounding), 0
    if method == CLAMPED:
        return clamped(x, weights, bias, dropped, register)
    if dropped > 0:
        return wrapped(x, weights, bias, dropped, register)
    total = bias
    for k in range(x.size):  # every bit is kept: the sum is shifted once, and may go beyond 2**63
        total += np.int64(x[k]) * weights[k]
    return cast(total, dropped, Target(FLOOR, WRAP, low, high))


@loop
def exact(x: I16, weights: I16, bias: int, dropped: int, rounding: int) -> int:
    """Add what each product adds alone; LLVM makes vectors of the last loop."""
    total = added(0, bias, dropped, rounding)
    if dropped <= 0 or (rounding != FLOOR and rounding != NEAREST_UP and rounding != NEAREST_DOWN):
        for k in range(x.size):
            total = total + added(0, np.int64(x[k]) * weights[k], dropped, rounding)
        return total
    shift = min(dropped, 63)
    half = np.int64(1) << (shift - 1)
    more = half * (rounding == NEAREST_UP) + (half - 1) * (rounding == NEAREST_DOWN)
    for k in range(x.size):
        total += (np.int64(x[k]) * weights[k] + more) >> shift
    return total


@loop
def clamped(x: I16, weights: I16, bias: int, dropped: int, register: Register) -> tuple[int, int]:
    """Clamp after every add, the bias first, and count the steps that are clamped."""
    _, low, high, rounding, casts = register
    total = added(0, bias, dropped, rounding)
    overflows = np.int64(total < low or total > high)
    total = min(max(total, low), high)
    for k in range(x.size):
        product = np.int64(x[k]) * weights[k]
        lost = False
        if casts:
            term = added(0, product, dropped, rounding)
            kept = min(max(term, low), high)
            lost = kept != term
            total += kept
        else:
            total = added(total, product, dropped, rounding)
        overflows += lost or total < low or total > high
        total = min(max(total, low), high)
    return total, overflows


@loop
def wrapped(x: I16, weights: I16, bias: int, dropped: int, register: Register) -> tuple[int, int]:
    """Keep the low bits at every step; count 1 where the sum that keeps all does not fit.

    Only a fused product needs both sums: it is rounded by the sign of the one that it meets.
    """
    _, low, high, rounding, casts = register
    endless = added(0, bias, dropped, rounding)
    total = low_bits(endless, low, high)
    for k in range(x.size):
        product = np.int64(x[k]) * weights[k]
        if casts:
            endless += added(0, product, dropped, rounding)
        else:
            endless = added(endless, product, dropped, rounding)
            total = low_bits(added(total, product, dropped, rounding), low, high)
    if casts:
        total = low_bits(endless, low, high)
    return total, np.int64(endless < low or endless > high)


@loop
def added(total: int, term: int, dropped: int, rounding: int) -> int:
    """Return the sum and a term that has ``dropped`` bits more, rounded once.

    A term with fewer bits is shifted up, or cut at 2**62: a register clamps either.
    """
    if dropped <= 0:
        left = min(-dropped, 62)
        room = 1 << (62 - left)
        kept: int = min(max(term, -room), room)
        return total + (kept << left)
    shift = min(dropped, 63)
    floor = term >> shift
    return round_rest(total + floor, term - (floor << shift), shift, rounding)


@loop
def low_bits(total: int, low: int, high: int) -> int:
    """Wrap a sum into its register."""
    return ((total - low) & (high - low)) + low
