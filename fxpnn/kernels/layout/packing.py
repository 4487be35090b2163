"""Layouts that the vector kernels read: weights as pairs in lanes, and where words lie.

A *row* is one position of a layer: an image of a dense layer, a pixel of a convolution; its words
lie in memory at fixed offsets from its start. Outputs are dealt to *columns* of 16 lanes. A column
is a list of *pairs*: an offset, and for each lane the two weights that meet the word there and the
one behind it. Words that are neighbours in memory share a pair, and a word that meets no weight but
0 in a column is left out: groups, dilation and pruned inputs need no code of their own.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

LANES = 16
"""Outputs that the vector kernels compute at once, on every machine."""
LIMIT = 2**31 - 1
"""How far a sum of 32 bits may rise or fall from 0."""
HALF = LANES // 2
"""So few lanes of a last column take half a vector."""
HALF_COST = 0.65
"""What such a row takes of a whole one's time where cores are shared; on a quiet one it is 0.55."""
ROW_PAIRS = 5
"""What a row costs beside its pairs, its cast first of all, in pairs."""
SEGMENT = 24
"""Products, at least, between two looks at a sum that may have to be clamped."""

I16: TypeAlias = npt.NDArray[np.int16]
I64: TypeAlias = npt.NDArray[np.int64]
Pairs: TypeAlias = I64
"""``(pairs, 2)``: the two k of each; the second may be ``len(offsets)``, which is none."""


class Column(NamedTuple):
    """The pairs of 16 outputs, and where each of their segments ends."""

    pairs: Pairs
    ends: I64


class Packed(NamedTuple):
    """A layer's weights in the order in which the kernels read them.

    ``weights`` is int16 ``(pairs * 32,)``: for each pair two weights per lane. ``offsets`` is int64
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
    return np.pad(values, (0, -len(values) % LANES), mode=mode)


def pack(weight: I16, offsets: I64) -> Packed:
    """Pack for sums that fit 32 bits.

    Args:
        weight: int16 ``(outputs, k)``.
        offsets: int64 ``(k,)``, where each word lies in a row; all different.
    """
    columns = [_pair(offsets, _used(column)) for column in _columns(weight)]
    return _join(weight, offsets, [Column(pairs, np.array([len(pairs)])) for pairs in columns])


def pack_chunks(weight: I16, offsets: I64, low: I64, high: I64) -> Packed:
    """Pack for 64-bit sums: segments that are sure to fit 32 bits.

    Only a segment's whole sum has to fit: on the way, sums are right modulo ``2**32``.

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
        paired = _pair(apart, used)
        pairs.append(Column(paired, np.searchsorted(paired[:, 0] // size, range(1, len(edges)))))
        alone.append(Column(_alone(used, k), np.searchsorted(used, edges[1:])))
    packed, steps = _join(weight, offsets, pairs), _join(weight, offsets, alone)
    matrix = np.ascontiguousarray(np.pad(weight, ((0, -len(weight) % LANES), (0, 0))).T)
    return packed, Steps(*steps[:3], matrix, edges, offsets % features, features)


def narrow_steps(word: int) -> bool:
    """Say whether ``vector.step`` makes sums of 32 bits for so wide an accumulator.

    Above 0, a sum of 31 bits and a product would need a 33rd; a word of 32 has a way of its own.
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
    kernel = _spread(weight, groups, dilation)
    choices = [
        _rows(kernel, share, stride, width, positions)
        for share in range(1, max(1, LANES // len(weight)) + 1)
        if positions[1] % share == 0
    ]

    def cost(rows: Rows) -> float:
        pairs = len(_pair(rows.offsets, _used(rows.weight)))
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
    kernel: I16, share: int, stride: tuple[int, int], width: int, positions: tuple[int, int]
) -> Rows:
    outputs, channels, lines, pixels = kernel.shape
    wide = np.zeros((share, outputs, channels, lines, pixels + (share - 1) * stride[1]), np.int16)
    for pixel in range(share):
        first = pixel * stride[1]
        wide[pixel, ..., first : first + pixels] = kernel
    channel, line, pixel = np.indices(wide.shape[2:])
    offsets = (line * width + pixel) * channels + channel
    line, pixel = np.indices((positions[0], positions[1] // share))
    starts = (line * stride[0] * width + pixel * share * stride[1]) * channels
    return Rows(wide.reshape(share * outputs, -1), offsets.ravel(), starts.ravel(), share)


def _spread(weight: I16, groups: int, dilation: tuple[int, int]) -> I16:
    """Put zeros where a dilated kernel skips pixels, and where a group's outputs skip channels."""
    outputs, depth, kh, kw = weight.shape
    (dh, dw), made = dilation, outputs // groups
    size = (outputs, depth * groups, dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    kernel = np.zeros(size, np.int16)
    for group in range(groups):
        out, channels = group * made, group * depth
        kernel[out : out + made, channels : channels + depth, ::dh, ::dw] = weight[out : out + made]
    return kernel


def _columns(weight: I16) -> list[I16]:
    return [weight[first : first + LANES] for first in range(0, len(weight), LANES)]


def _used(column: I16) -> I64:
    return np.flatnonzero(column.any(axis=0))


def _alone(ks: I64, none: int) -> Pairs:
    return np.stack([ks, np.full_like(ks, none)], axis=1)


def _pair(offsets: I64, ks: I64) -> Pairs:
    """Join each k with the k behind it in memory, if that one is not taken yet."""
    ks = ks[np.argsort(offsets[ks])]
    order = np.arange(len(ks))
    begins = np.diff(offsets[ks], prepend=-2) != 1  # a run of neighbours
    leads = (order - np.maximum.accumulate(np.where(begins, order, 0))) % 2 == 0
    pairs = _alone(ks, len(offsets))
    pairs[:-1, 1] = np.where(leads[1:], len(offsets), ks[1:])
    return pairs[leads]


def _chunks(column: I16, offsets: I64, low: I64, high: I64) -> Column:
    """Cut a column's pairs into chunks, each as long as no lane can leave 32 bits in it."""
    none = len(offsets)
    products = column.astype(np.int64) * np.stack([low, high])[:, None]
    # How far each product may rise, and how far it may fall, one below the other.
    reach = np.concatenate([products.max(axis=0), -products.min(axis=0)])
    reach = np.pad(reach, ((0, 0), (0, 1)))
    pairs = _pair(offsets, _used(column))
    heavy = (reach[:, pairs].sum(axis=2) > LIMIT).any(axis=0)  # 2**31: -32768 by -32768, twice
    halves = pairs[heavy].ravel()
    pairs = np.concatenate([pairs[~heavy], _alone(halves[halves < none], none)])
    return Column(pairs, _ends(reach[:, pairs].sum(axis=2)))


def _ends(reach: I64) -> I64:
    """Return where each chunk of pairs ends, if each is filled before the next begins.

    A chunk takes the next pairs as long as no lane's reach in it is beyond ``LIMIT``. Only so many
    pairs are added up at a time as may be needed: their number doubles until they fill a chunk.

    Args:
        reach: int64 ``(2 * lanes, pairs)``: how far each pair raises and lowers a lane's sum.
    """
    pairs, ends, first = reach.shape[1], [], 0
    while first < pairs:
        ahead = 32
        while (fit := _fitting(reach[:, first : first + ahead])) == ahead:
            ahead *= 2
        first += fit
        ends.append(first)
    return np.array(ends or [0])


def _fitting(reach: I64) -> int:
    """Return how many pairs, from the first on, one chunk may hold."""
    return int((reach.cumsum(axis=1) <= LIMIT).all(axis=0).cumprod().sum())


def _join(weight: I16, offsets: I64, columns: Sequence[Column]) -> Packed:
    lanes = np.pad(weight, ((0, -len(weight) % LANES), (0, 1)))  # a lane and a k of zeros
    segments = max(1, *(len(column.ends) for column in columns))
    cuts = np.zeros((len(columns), segments + 1), np.int64)
    first, weights, places = 0, [], []
    for c, (pairs, ends) in enumerate(columns):
        cuts[c] = first + np.pad([0, *ends], (0, segments - len(ends)), mode="edge")
        first = cuts[c, -1]
        mine = lanes[c * LANES : (c + 1) * LANES]
        weights.append(mine[:, pairs].transpose(1, 0, 2).ravel())
        places.append(offsets[pairs[:, 0]])
    return Packed(np.concatenate(weights), np.concatenate(places), cuts)
