"""When vector code may cast sums as it makes them, and the numbers that it rounds them by.

Elsewhere, sums are cast strip by strip: ``requantize`` knows every rounding and range.
"""

import numpy as np

from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.packing import I64, LANES

MOST_MORE = 2**30
"""Rounding adds less to a sum."""


def extra_bits(most: int, parts: int) -> int | None:
    """Say how many bits more than 32 sums need, 1 at least.

    Args:
        most: how far from 0 there can be a sum.
        parts: so many numbers of 32 bits are added up; the bias is one that may be longer.

    Returns:
        None where ``column_sums`` might not tell the carries of so many parts apart.
    """
    extra = max(1, (most + MOST_MORE).bit_length() - 31)
    return extra if extra < 32 and parts <= 1 << (32 - extra) else None


def rule(shifts: I64, to: instructions.Target, sums: tuple[int, int], extra: int = 0) -> I64 | None:
    """Say how a sum is divided by ``2**shift`` and rounded, in four numbers per lane.

    The quotient is that of the sum and ``more``, half of the divisor or less, so that all above a
    tie is carried. Where these leave no remainder, none of the bits in ``mask``, it is a tie, and
    the quotient keeps the bits in ``keep``: not the last where ties go to even.

    Args:
        shifts: int64 ``(lanes,)``, 16 for each column.
        to: the cast.
        sums: the least and the largest sum that there can be.
        extra: by how many bits sums are shifted already; sums that are not are of 32 bits.

    Returns:
        int64 ``(4 * lanes,)``: a column's shifts less ``extra``, its ``more``, ``mask`` and
        ``keep``, of 32 bits. None where a shift is too small or too wide; the sign decides; or
        where a sum of 32 bits, less the format's least, may come round into the range.
    """
    (base, high), (least, largest) = (to.low & -2, to.high), (int(shifts.min()), int(shifts.max()))
    if least < extra or largest > 30:
        return None
    beyond = sums[0] < ((high + 1) << largest) - 2**32 or sums[1] >= 2**32 + ((base - 1) << largest)
    if extra == 0 and beyond:
        return None
    mask = (1 << shifts) - 1
    half, all_bits = (mask + 1) >> 1, np.full_like(shifts, -1)
    ways = {
        instructions.NEAREST_EVEN: (half, np.where(shifts > 0, -2, -1)),
        instructions.NEAREST_UP: (half, all_bits),
        instructions.NEAREST_DOWN: (np.maximum(half - 1, 0), all_bits),
        instructions.FLOOR: (np.zeros_like(shifts), all_bits),
    }
    if to.rounding not in ways:
        return None
    more, keep = ways[to.rounding]
    numbers = np.stack([shifts - extra, more, mask, keep]).reshape(4, -1, LANES)
    return numbers.transpose(1, 0, 2).reshape(-1)


def near(shifts: I64, bias: I64, to: instructions.Target) -> bool:
    """Say whether sums that begin with the bias do so in range, and those in range fit 31 bits.

    Such a sum is *levelled*: it begins at ``bias + more - (base << shift)``, with ``base`` the
    format's least word (one below ``to.low`` where the range is symmetric). In range it is then
    from 0 to ``((high + 1 - base) << shift) - 1``, which must be below ``2**31``. A segment adds at
    most ``2**31 - 1`` either way; so from there it leads to ``-(2**31 - 1) .. 2**32 - 2``. As a
    number of 32 bits that has the sign bit, or is from 0 to ``2**31 - 1`` and exact. By induction,
    a sum that has no sign bit behind any segment has never come round.

    From ``to.low`` in place of ``base``, a word of 2 bits and a symmetric range, -1 to 1, with a
    shift of 30 would seem to fit: ``(1 + 1) << 30 == 2**31``. But in range its levelled sums reach
    ``(4 << 30) - 1``: from ``2**32 - 2**15`` a small segment comes round to 0 unseen.

    Args:
        shifts: as ``rule`` has them, which has some for these.
        bias: int64 ``(lanes,)``.
        to: the cast.
    """
    begins = (to.low << shifts <= bias) & (bias < to.high << shifts)
    width = to.high + 1 - (to.low & -2)
    return width << int(shifts.max()) <= 2**31 and bool(begins.all())
