"""Own the layout of layers that make eight words of each eight; ``octet_sums`` has their code."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.layout.packing import I16, I64, LANES

I32: TypeAlias = npt.NDArray[np.int32]

OCTET = 8
"""Rows of so many words that make as many have vector code of their own."""
OCTET_ROWS = 32
"""So many of them are summed before it is looked whether all their words are in range."""
OCTET_WORDS, OCTET_NUMBERS = 11 * 2 * LANES, 4 * LANES
"""The sizes of an ``Octets``."""


class Octets(NamedTuple):
    """A layer that makes eight words of each eight, for sums of four rows in a vector.

    A vector of sums holds, of each row, the outputs 0, 2, 4 and 6, or 1, 3, 5 and 7: its two sides.
    Output ``2 * j`` or ``2 * j + 1`` meets the pairs of words ``j``, ``j + 1`` and so on round the
    row; these come to its lane as the row is turned, one pair at a time.

    ``words`` is int16 ``(11, 32)``: for each side and turn a vector of weights, then the vectors of
    ``mask`` and ``keep`` that ``rounding.rule`` explains, then ``quiet``: rows whose words are no
    further from 0 make sums that are right modulo ``2**32`` and, where out of range, seen to be so.
    ``numbers`` is int32 ``(4, 16)``: for each side what its sums begin with, less the range's least
    value, modulo ``2**32``, then for each side the shifts.
    """

    words: I16
    numbers: I32
    quiet: int


def pack(weight: I16, bias: I64, rule: I64, to: tuple[int, int]) -> Octets | None:
    """Pack a layer of eight outputs of eight words.

    A sum less the range's least value, modulo ``2**32``, is below the range's width exactly where
    the sum is in range, unless it is so large that it comes round again.

    Args:
        weight: int16 ``(8, 8)``: outputs, places of words in their row.
        bias: int64 ``(8,)``.
        rule: a ``rounding.rule`` with no extra bits.
        to: the range of what is made, its least word and its largest.

    Returns:
        None where the range is not ``2**n`` words from an even one, or remainders do not fit words.
    """
    low, span = to[0], to[1] - to[0] + 1
    shifts, more, mask, keep = rule.reshape(4, LANES)[:, :OCTET]
    if span & (span - 1) or low % 2 or shifts.max() > 16:
        return None
    begin = bias + more - (low << shifts)
    room = np.minimum(2**32 - 1 - begin, 2**32 - (span << shifts) + begin)
    reach = np.abs(weight.astype(np.int64)).sum(axis=1)
    quiet = int((room // reach.clip(1)).min().clip(-1, 2**15))
    turned = (np.arange(4)[:, None] + np.arange(4)) % 4  # the pair of each turn and lane
    pairs = weight.reshape(4, 2, 4, 2).transpose(1, 0, 2, 3)[:, np.arange(4), turned]
    weights = np.repeat(pairs[:, :, None], 4, axis=2).reshape(8, -1)  # side, turn, row, lane, pair
    limit = np.full(OCTET, min(quiet, 2**15 - 1))
    words = np.append(weights, np.tile([mask, keep, limit], 4), axis=0).astype(np.int16)
    numbers = np.stack([begin, shifts]).reshape(2, 4, 2).transpose(0, 2, 1).reshape(4, -1)
    return Octets(words, np.tile(numbers, 4).astype(np.int32), quiet)
