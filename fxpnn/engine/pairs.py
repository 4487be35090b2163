"""How two tensors become one, word by word: their alignment, and whether vectors hold it."""

from collections.abc import Sequence

import numpy as np

from fxpnn.engine.program import Fields, Places, Tensor
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels.layout import instructions

SHORT = 2**31 - 1
"""The largest value that vectors hold, and how many bits they may drop of it."""
MOST_DROPPED = 30


def pair(op: int, formats: Sequence[QFormat], made: QFormat) -> Fields:
    """Return how words of two formats are added or multiplied, and cast to a third.

    Sides that are added are lifted to the finer one's fraction. Where the output's is finer than
    what they make, they are lifted further if the result fits 32 bits: a shift to the left is then
    as exact before as it is behind.

    >>> word, fine = QFormat(16, 8), QFormat(12, 10)
    >>> pair(instructions.ADD, (word, fine), QFormat(16, 7))
    {'lift': 2, 'other_lift': 0, 'shift': 3, 'short': 1}
    >>> pair(instructions.MUL, (QFormat(8, 3), QFormat(8, 3)), QFormat(16, 9))
    {'lift': 3, 'other_lift': 0, 'shift': 0, 'short': 1}
    """
    multiplies = op == instructions.MUL
    fracs = [fmt.frac for fmt in formats]
    lifts = [0 if multiplies else max(fracs) - frac for frac in fracs]
    shift = (sum(fracs) if multiplies else max(fracs)) - made.frac
    further = max(0, -shift)
    lifted = [lifts[0] + further, lifts[1] + further * (not multiplies)]
    short = max(lifted) <= MOST_DROPPED and shift <= MOST_DROPPED
    if short:
        ends = [max(-fmt.min, fmt.max) << lift for fmt, lift in zip(formats, lifted, strict=True)]
        short = (ends[0] * ends[1] if multiplies else sum(ends)) <= SHORT
    if short:
        lifts, shift = lifted, shift + further
    return {"lift": lifts[0], "other_lift": lifts[1], "shift": shift, "short": int(short)}


def order_beside(a: Tensor, b: Tensor) -> Places:
    """Return which word of ``b``, repeated along its axes of size 1, meets each word of ``a``."""
    order = np.empty(a.words, np.int64)
    order[a.places] = np.broadcast_to(b.places, a.places.shape)
    return order


def repeats(order: Places, words: int) -> bool:
    """Say whether so many words are met in their order, once or again and again."""
    whole = order.size % words == 0
    return whole and bool((order.reshape(-1, words) == np.arange(words)).all())
