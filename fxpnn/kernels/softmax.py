"""Loops of softmax: with the maximum subtracted it cannot overflow, with a constant it can.

The width of every intermediate stands beside it, for at most 4096 classes.
"""

import numpy as np

from fxpnn.kernels.arithmetic import I16, I32, I64
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.build.memory import empty, free

LOG2_E = 378194
"""round(log2(e) * 2**18), 19 bits"""
ONE = 32767
"""The largest Q0.15 word, which stands for 1."""
EXP_LIMIT = 32767
"""Where the exponential of the constant-shift softmax saturates: a Q7.8 word."""


@loop
def binary_exponent(distance: int, shift: int) -> int:
    """Return ``distance * log2(e)`` at 16 fraction bits, rounded half up.

    ``distance`` is a 17-bit count of ``2**-F``, so that the product has 36 bits; ``shift`` is
    ``F + 2``. A left shift past 26 bits changes nothing: any count is then more than 2**7.
    """
    product = distance * LOG2_E
    if shift <= 0:
        return product << min(-shift, 26)
    shift = min(shift, 40)
    return (product + (1 << (shift - 1))) >> shift


@loop
def mantissa(table: I32, exponent: int) -> int:
    """Return ``2**-fraction`` of an exponent with 16 fraction bits, as a 21-bit count of 2**-20."""
    k, f = (exponent >> 8) & 255, exponent & 255
    return table[k] - (((np.int64(table[k]) - table[k + 1]) * f + 128) >> 8)


@loop
def softmax(x: I16, table: I32, shift: int, spans: I64, out: I16) -> None:
    """Run softmax on the rows of ``x``, ``(N, classes)``; it cannot overflow.

    Rows take ``spans``, ``(n, 2)``, in turn: the first place that counts, and the end.
    """
    powers = empty(x.shape[1], np.int64)
    for row in range(x.shape[0]):
        start, end = spans[row % len(spans), 0], spans[row % len(spans), 1]
        clear(out[row], start, end)
        of_row(x[row, start:end], table, shift, powers, out[row, start:end])
    free((powers,))


@loop
def of_row(x: I16, table: I32, shift: int, powers: I64, out: I16) -> None:
    """Run softmax on one vector."""
    highest = np.int64(-32768)
    for i in range(x.size):
        highest = max(highest, np.int64(x[i]))
    total = np.int64(0)  # 2**30 <= total <= classes * 2**30 <= 2**42
    for i in range(x.size):
        exponent = binary_exponent(highest - x[i], shift)
        whole = exponent >> 16
        power = (mantissa(table, exponent) << 10) >> whole if whole <= 30 else np.int64(0)
        powers[i] = power
        total += power
    bits = np.int64(30)  # bitlen(total) - 1
    while total >> (bits + 1):
        bits += 1
    # 2**17 <= reciprocal <= 2**18; a power times it has at most 48 bits
    reciprocal = ((np.int64(1) << (bits + 18)) + (total >> 1)) // total
    half = np.int64(1) << (bits + 2)
    for i in range(x.size):
        out[i] = min((powers[i] * reciprocal + half) >> (bits + 3), ONE)


@loop
def shifted_softmax(x: I16, table: I32, shift: int, constant: int, spans: I64, out: I16) -> int:
    """Run softmax with a constant subtracted; return how many exponentials saturated."""
    powers = empty(x.shape[1], np.int64)
    saturations = 0
    for row in range(x.shape[0]):
        start, end = spans[row % len(spans), 0], spans[row % len(spans), 1]
        clear(out[row], start, end)
        values, shares = x[row, start:end], out[row, start:end]
        total = np.int64(0)
        for i in range(values.size):
            exponent = -binary_exponent(np.int64(values[i]) - constant, shift)
            drop = (exponent >> 16) + 12  # the mantissa's 20 fraction bits become 8
            power = np.int64(mantissa(table, exponent))
            power = power >> min(drop, 62) if drop >= 0 else power << min(-drop, 30)
            saturations += power > EXP_LIMIT
            powers[i] = min(power, EXP_LIMIT)
            total += powers[i]
        for i in range(values.size):
            share = ((powers[i] << 15) + (total >> 1)) // max(total, 1)
            shares[i] = min(share, ONE)
    free((powers,))
    return saturations


@loop
def clear(out: I16, start: int, end: int) -> None:
    """Make what lies outside a span 0."""
    for i in range(start):
        out[i] = 0
    for i in range(end, out.size):
        out[i] = 0
