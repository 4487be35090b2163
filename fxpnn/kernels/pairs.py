"""Loops that make one block of two, word by word: sums and products, cast once.

Each image has ``words`` of the one block and of the other as many, or so many that repeat along
them, as the gates of a map's channels do. Nothing is checked here.
"""

from fxpnn.kernels.arithmetic import I16
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.layout.packing import LANES
from fxpnn.kernels.lookup import How
from fxpnn.kernels.row_blocks import Modes, writes_all
from fxpnn.kernels.vector.pairs import combine


@loop
def by_vectors(
    a: I16, b: I16, words: int, period: int, how: How, to: Modes, out: I16
) -> tuple[int, int, int]:
    """Combine ``words`` of ``a`` with the ``period`` words of ``b``, as far as vectors may.

    Vectors may write beyond a row of a period: columns of lanes go from last to first and rows in
    order, so that each word is written last by its own. Both blocks have 15 words more that may be
    read. Values fit 32 bits, and shifts are from 0 to 30.

    Returns:
        How many words are done, from the first on; how many of them were out of range, and how
        many, counted apart, were below 0.
    """
    pitch, step, width = LANES, LANES, LANES
    if period < words:
        pitch, step, width = period, 0, period
    last = (width - 1) // LANES * LANES
    rows = min(words // pitch, writes_all(words // pitch, out[last:], pitch, LANES))
    saturations, fallen = 0, 0
    for behind in range(0, width, LANES):
        lane = last - behind
        at = pitch, step, min(LANES, width - lane)
        over, below = combine(rows, (a[lane:], b[lane:], out[lane:]), at, how, to)
        saturations, fallen = saturations + over, fallen + below
    return rows * pitch, saturations, fallen
