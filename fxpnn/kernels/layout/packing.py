"""Layouts that the vector kernels read: weights as pairs in lanes, and where words lie.

A *row* is one position of a layer: an image of a dense layer, a pixel of a convolution; its words
lie in memory at fixed offsets from its start. Outputs are dealt to *columns* of 16 lanes. A column
is a list of *pairs*: an offset, and for each lane the two weights that meet the word there and the
one behind it. Words that are neighbours in memory share a pair, and a word that meets no weight but
0 in a column is left out: groups, dilation and pruned inputs need no code of their own.

One output of weights 3, 0, 5, 7 for the words at offsets 0 to 3 takes two pairs. The word at 1 is
left out, so that at 0 has no neighbour and a second weight of 0:

>>> packed = pack(np.array([[3, 0, 5, 7]], np.int16), np.arange(4))
>>> packed.offsets.tolist(), packed.weights.reshape(2, LANES, 2)[:, 0].tolist()
([0, 2], [[3, 0], [5, 7]])
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

LANES = 16
"""Outputs that the vector kernels compute at once, on every machine."""
PAIR, FOUR = 2, 4
"""Words that share an instruction, and bytes, which do where pairs would."""
LIFT = 128
"""What makes bytes without a sign of those with one."""
LIMIT = 2**31 - 1
"""How far a sum of 32 bits may rise or fall from 0."""
HALF = LANES // 2
"""So few lanes of a last column take half a vector."""
HALF_COST = 0.65
"""Such a row's time over a whole one's, where cores are shared; on an idle machine it is 0.55."""
ROW_PAIRS = 5
"""What a row costs beside its pairs, its cast first of all, in pairs."""
SEGMENT = 24
"""Products, at least, between two looks at a sum that may have to be clamped."""
AHEAD = 32
"""So many pairs are looked at together for the end of a chunk; most have fewer."""

I16: TypeAlias = npt.NDArray[np.int16]
I64: TypeAlias = npt.NDArray[np.int64]
Pairs: TypeAlias = I64
"""``(pairs, 2)``, of bytes ``(fours, 4)``: the k of each; all but the first may be
``len(offsets)``, which is none."""


class Column(NamedTuple):
    """The pairs of 16 outputs, and where each of their segments ends."""

    pairs: Pairs
    ends: I64


class Packed(NamedTuple):
    """A layer's weights in the order in which the kernels read them.

    ``weights`` is int16 ``(pairs * 32,)``: for each pair two weights per lane; or for four bytes
    four of 8 bits, the first and the third in the lower half of a word. ``offsets`` is int64
    ``(pairs,)``. ``cuts`` is int64 ``(columns, segments + 1)``: segment ``s`` of column ``c`` is
    the pairs from ``cuts[c, s]`` up to ``cuts[c, s + 1]``; it may be empty.
    """

    weights: I16
    offsets: I64
    cuts: I64


class Rows(NamedTuple):
    """A convolution as products of rows.

    ``weight`` is int16 ``(share * outputs, k)``: a row makes ``share`` neighbouring pixels, their
    outputs one behind the other. ``offsets`` is int64 ``(k,)``, in the order of summing. ``starts``
    is int64 ``(pixels / share,)``.
    """

    weight: I16
    offsets: I64
    starts: I64
    share: int


class Steps(NamedTuple):
    """A layer's weights product by product, and what bounds its sums.

    The first three are a ``Packed`` whose pairs have a second weight of 0, its segments those of
    ``pack_steps``' other result. ``matrix`` is int16 ``(k, lanes)``; ``edges``, int64, cuts its k
    into the same segments. Words of one ``kinds``, int64 ``(k,)`` below ``features``, are bounded
    together.
    """

    weights: I16
    offsets: I64
    cuts: I64
    matrix: I16
    edges: I64
    kinds: I64
    features: int


def fill_lanes(values: I64, mode: Literal["constant", "edge"] = "constant") -> I64:
    """Append zeros, or the last, to one value per output until they fill whole columns."""
    missing = -len(values) % LANES
    last = values[-1] if mode == "edge" else 0
    return np.concatenate([values, np.full(missing, last, values.dtype)])


def pack(weight: I16, offsets: I64, size: int = PAIR) -> Packed:
    """Pack for sums that fit 32 bits.

    Args:
        weight: int16 ``(outputs, k)``.
        offsets: int64 ``(k,)``, where each word lies in a row; all different.
        size: ``PAIR``; or ``FOUR`` for bytes, whose weights have 8 bits.
    """
    columns = [_group(offsets, _used(column), size) for column in _columns(weight)]
    return _join(weight, offsets, [Column(groups, np.array([len(groups)])) for groups in columns])


def pack_chunks(weight: I16, offsets: I64, low: I64, high: I64) -> Packed:
    """Pack for 64-bit sums: segments that are sure to fit 32 bits.

    Only a segment's whole sum has to fit: on the way, sums are right modulo ``2**32``.

    A weight of 1000 and words from -32768 to 32767 make products of at most 32,768,000 either way.
    32 pairs reach 2,097,152,000, which ``LIMIT`` allows; a 33rd would reach 2,162,688,000:

    >>> weight, low = np.full((1, 100), 1000, np.int16), np.full(100, -32768)
    >>> pack_chunks(weight, np.arange(100), low, low * 0 + 32767).cuts.tolist()
    [[0, 32, 50]]

    Args:
        weight: as ``pack``.
        offsets: as ``pack``.
        low: int64 ``(k,)``, the least that each word can be, at most 0.
        high: likewise the most, at least 0.
    """
    columns = [_chunks(column, offsets, low, high) for column in _columns(weight)]
    return _join(weight, offsets, columns)


def pack_steps(weight: I16, offsets: I64, features: int, whole: int = 2) -> tuple[Packed, Steps]:
    """Pack for sums that may have to be clamped after each product.

    Args:
        weight: as ``pack``, k in the order of summing.
        offsets: as ``pack``.
        features: k whose offsets are equal modulo this many share their bounds: the words of a
            dense layer, the channels of a convolution.
        whole: segments hold a multiple of this many k, so that neighbours in memory share pairs.

    Returns:
        The segments in pairs, for where no clamp is needed, and product by product.
    """
    k = len(offsets)
    size = -(-SEGMENT // whole) * whole
    edges = np.append(np.arange(0, k, size), k)
    apart = offsets + np.arange(k) // size * (offsets.max() + 2)  # no pair across an edge
    pairs, alone = [], []
    for used in map(_used, _columns(weight)):
        paired = _group(apart, used)
        pairs.append(Column(paired, np.searchsorted(paired[:, 0] // size, range(1, len(edges)))))
        alone.append(Column(_alone(used, k), np.searchsorted(used, edges[1:])))
    packed, steps = _join(weight, offsets, pairs), _join(weight, offsets, alone)
    matrix = np.zeros((k, -(-len(weight) // LANES) * LANES), np.int16)
    matrix[:, : len(weight)] = weight.T
    return packed, Steps(*steps[:3], matrix, edges, offsets % features, features)


def narrow_steps(word: int) -> bool:
    """Say whether ``vector.step`` makes sums of 32 bits for so wide an accumulator.

    Before a clamp there are a sum less the word's least, from 0 to ``2**word - 1``, and a product,
    from ``2**15 - 2**30`` to ``2**30``. With a word of 30 both together are at most ``2**31 - 1``;
    with one of 31 they might be more. A word of 32 bits is told from the signs instead.
    """
    return word <= 30 or word == 32


def convolution(
    weight: I16,
    groups: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    width: int,
    positions: tuple[int, int],
) -> Rows:
    """Lay out a convolution over maps that lie pixel by pixel, a pixel's channels together.

    Args:
        weight: int16 ``(outputs, channels / groups, height, width)``.
        groups: how many, each with its own channels and outputs.
        stride: of the window, vertical and horizontal.
        dilation: likewise.
        width: pixels in a line of the map in memory, its padding included.
        positions: the window's positions, lines and pixels.
    """
    kernel = _spread(weight, groups)
    choices = [
        _rows(kernel, share, stride, dilation, width, positions)
        for share in range(1, max(1, LANES // len(weight)) + 1)
        if positions[1] % share == 0
    ]

    def cost(rows: Rows) -> float:
        pairs = len(_group(rows.offsets, _used(rows.weight)))
        half = len(rows.weight) <= HALF
        return (pairs + ROW_PAIRS) * (HALF_COST if half else 1) / rows.share

    return min(choices, key=cost)


def pool_windows(
    window: tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]],
    positions: tuple[int, int],
    pooled: tuple[int, int],
    share: int,
    outputs: int,
) -> I64 | None:
    """Return where each window of a max pool finds its pixels among a convolution's rows.

    Args:
        window: kernel, stride, origin (the padding above and left) and dilation.
        positions: the convolution's, lines and pixels.
        pooled: the pool's.
        share: pixels that share a row.
        outputs: the convolution's.

    Returns:
        int64 ``(pooled, taps)``; a tap outside the map repeats one inside. None where a window has
        none inside, as may be with padding and dilation: two taps 4 apart, one above and one below
        a map of 3 lines. There is no pixel that could stand for the least word, its result.

    Windows of 2 by 2 on a map of 2 lines and 4 pixels: two see pixels 0, 1, 4, 5 and 2, 3, 6, 7.
    With 4 outputs and two pixels to a row, pixel 5 is the second of row 2, at ``2 * 16 + 4``:

    >>> pool_windows(((2, 2), (2, 2), (0, 0), (1, 1)), (2, 4), (1, 2), 2, 4).tolist()
    [[0, 4, 32, 36], [16, 20, 48, 52]]
    """
    kernel, stride, origin, dilation = window
    taps = []
    for axis in (0, 1):
        first = np.arange(pooled[axis])[:, None] * stride[axis] - origin[axis]
        reach = first + np.arange(kernel[axis]) * dilation[axis]
        inside = (reach >= 0) & (reach < positions[axis])
        if not inside.any(axis=1).all():
            return None
        some = np.take_along_axis(reach, inside.argmax(axis=1)[:, None], axis=1)
        taps.append(np.where(inside, reach, some))
    pixel = taps[0][:, None, :, None] * positions[1] + taps[1][None, :, None, :]
    pixel = pixel.reshape(pooled[0] * pooled[1], -1)
    return pixel // share * LANES + pixel % share * outputs


def _rows(
    kernel: I16,
    share: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    width: int,
    positions: tuple[int, int],
) -> Rows:
    """Lay out rows that so many pixels side by side share: their taps in a line are put together.

    What a dilated kernel skips is no tap; a line of it holds only what some pixel sees.
    """
    outputs, channels, lines, pixels = kernel.shape
    seen = np.arange(share)[:, None] * stride[1] + np.arange(pixels) * dilation[1]
    columns, places = np.unique(seen, return_inverse=True)
    wide = np.zeros((share, outputs, channels, lines, len(columns)), np.int16)
    for pixel, taps in enumerate(places.reshape(seen.shape)):
        wide[pixel][..., taps] = kernel
    channel, line, column = np.indices(wide.shape[2:])
    offsets = (line * dilation[0] * width + columns[column]) * channels + channel
    line, pixel = np.indices((positions[0], positions[1] // share))
    starts = (line * stride[0] * width + pixel * share * stride[1]) * channels
    return Rows(wide.reshape(share * outputs, -1), offsets.ravel(), starts.ravel(), share)


def _spread(weight: I16, groups: int) -> I16:
    """Put zeros where a group's outputs skip channels."""
    outputs, depth, *window = weight.shape
    made = outputs // groups
    kernel = np.zeros((outputs, depth * groups, *window), np.int16)
    for group in range(groups):
        out, channels = group * made, group * depth
        kernel[out : out + made, channels : channels + depth] = weight[out : out + made]
    return kernel


def _columns(weight: I16) -> list[I16]:
    return [weight[first : first + LANES] for first in range(0, len(weight), LANES)]


def _used(column: I16) -> I64:
    return np.flatnonzero(column.any(axis=0))


def _alone(ks: I64, none: int) -> Pairs:
    return np.stack([ks, np.full_like(ks, none)], axis=1)


def _group(offsets: I64, ks: I64, size: int = PAIR) -> Pairs:
    """Join each k with those behind it in memory, ``size`` together, unless they are taken."""
    ks = ks[np.argsort(offsets[ks])]
    order = np.arange(len(ks))
    begins = np.diff(offsets[ks], prepend=-2) != 1  # a run of neighbours
    place = (order - np.maximum.accumulate(np.where(begins, order, 0))) % size
    leads = place == 0
    groups = np.full((np.count_nonzero(leads), size), len(offsets))
    groups[leads.cumsum() - 1, place] = ks
    return groups


def _chunks(column: I16, offsets: I64, low: I64, high: I64) -> Column:
    """Cut a column's pairs into chunks, each as long as no lane can leave 32 bits in it."""
    none = len(offsets)
    lanes = len(column)
    at_low, at_high = column * low, column * high
    # How far each product may rise, and how far it may fall, one below the other; a k of zeros.
    reach = np.zeros((2 * lanes, none + 1), np.int64)
    np.maximum(at_low, at_high, out=reach[:lanes, :none])
    np.maximum(-at_low, -at_high, out=reach[lanes:, :none])
    pairs = _group(offsets, _used(column))
    together = _reach(reach, pairs)
    heavy = (together > LIMIT).any(axis=0)  # 2**31: -32768 by -32768, twice
    if heavy.any():
        halves = pairs[heavy].ravel()
        pairs = np.concatenate([pairs[~heavy], _alone(halves[halves < none], none)])
        together = _reach(reach, pairs)
    return Column(pairs, chunk_ends(together))


def _reach(reach: I64, pairs: Pairs) -> I64:
    """Add up what the two k of each pair reach."""
    return reach[:, pairs[:, 0]] + reach[:, pairs[:, 1]]


def chunk_ends(reach: I64) -> I64:
    """Return where each chunk of pairs ends, if each is filled before the next begins.

    A chunk takes the next pairs as long as no lane's reach in it is beyond ``LIMIT``: few at a time
    are looked at, for most chunks are short. A lone pair always fits: those of more than ``LIMIT``
    were divided before.

    >>> chunk_ends(np.array([[2**30, 2**30 - 1, 1, 5]])).tolist()
    [2, 4]

    Args:
        reach: int64 ``(2 * lanes, pairs)``: how far each pair raises and lowers a lane's sum.
    """
    upto, pairs = reach.cumsum(axis=1), reach.shape[1]
    before, first = np.zeros((len(reach), 1), np.int64), 0
    ends = []
    while first < pairs:
        ahead = (upto[:, first : first + AHEAD] - before).max(axis=0)  # rises with each pair
        fit = int(ahead.searchsorted(LIMIT, side="right"))
        first += fit
        if fit < AHEAD or first == pairs:
            ends.append(first)
            before = upto[:, first - 1 : first]
    return np.array(ends or [0])


def _join(weight: I16, offsets: I64, columns: Sequence[Column]) -> Packed:
    outputs, k = weight.shape
    lanes = np.zeros((-(-outputs // LANES) * LANES, k + 1), np.int16)  # lanes and a k of zeros
    lanes[:outputs, :k] = weight
    segments = max(1, *(len(column.ends) for column in columns))
    cuts = np.zeros((len(columns), segments + 1), np.int64)
    first, weights, places = 0, [], []
    for c, (pairs, ends) in enumerate(columns):
        cuts[c, 0], cuts[c, 1:] = first, first + ends[-1]
        cuts[c, 1 : len(ends) + 1] = first + ends
        first = cuts[c, -1]
        mine = lanes[c * LANES : (c + 1) * LANES]
        kind = "<i2" if pairs.shape[1] == PAIR else "<i1"
        weights.append(mine[:, pairs].transpose(1, 0, 2).astype(kind).ravel().view("<i2"))
        places.append(offsets[pairs[:, 0]])
    return Packed(np.concatenate(weights), np.concatenate(places), cuts)
