"""Layouts of depthwise convolutions: each channel's own weights, 32 lanes beside each other.

A *row* makes the words of one pixel, or of ``share`` neighbours where these fit 32 lanes: where the
window moves by one pixel, what is said of a channel's tap holds of the next pixel's as well, so
many words behind as there are channels. 32 lanes of a row are a *block*. The words under one tap
and those under the next are dealt to pairs by fours, as processors unpack vectors of 128 bits: of
each eight lanes the first four stand in one vector of sums, the others in a second.

>>> ORDER[:6].tolist(), ORDER[16:22].tolist()
([0, 1, 2, 3, 8, 9], [4, 5, 6, 7, 12, 13])

What each lane has for itself lies in that order. Packing both vectors' words undoes it.
"""

from typing import NamedTuple

import numpy as np

from fxpnn.kernels.layout.packing import I16, I64, LANES, LIMIT, chunk_ends

WIDE = 2 * LANES
"""Lanes of a block."""
ORDER = np.arange(WIDE).reshape(-1, 2, 4).swapaxes(0, 1).ravel()
"""Which lane of a block stands at each place of its two vectors."""
STRIP_WORDS = 1 << 17
"""Words of a frame, unless fewer lines than one of the output would be made of it."""


class Strips(NamedTuple):
    """A depthwise convolution in strips: a strip makes ``lines`` lines of the output.

    Where there is padding, it reads a frame of ``reach`` lines of the padded map. ``starts`` is
    int64 ``(lines * pixels / share,)``: where its rows begin. ``offsets`` is int64: the taps of a
    row behind its start.
    """

    lines: int
    reach: int
    share: int
    starts: I64
    offsets: I64


def share(channels: int, stride: int, pixels: int) -> int:
    """Return how many neighbours of a line of so many pixels make a row.

    >>> share(8, 1, 28), share(8, 1, 29), share(8, 2, 28)
    (4, 1, 1)
    """
    most = min(pixels, WIDE // channels) if stride == 1 else 1
    return next(n for n in range(max(1, most), 0, -1) if pixels % n == 0)


def strips(
    channels: int,
    across: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    positions: tuple[int, int],
    framed: bool,
) -> Strips:
    """Lay out a depthwise convolution over maps that lie pixel by pixel.

    Args:
        channels: of the map.
        across: pixels in a line of it, its padding included.
        kernel: the window's lines and pixels.
        stride: of the window, vertical and horizontal.
        dilation: likewise.
        positions: the window's positions, lines and pixels.
        framed: whether there is padding; elsewhere all lines are one strip.
    """
    span, lines = dilation[0] * (kernel[0] - 1) + 1, positions[0]
    if framed:
        fit = (STRIP_WORDS // (across * channels) - span) // stride[0] + 1
        lines = min(lines, max(1, fit))
    together = share(channels, stride[1], positions[1])
    line, pixel = np.indices((lines, positions[1] // together))
    starts = (line * stride[0] * across + pixel * together * stride[1]) * channels
    line, pixel = np.indices(kernel)
    offsets = (line * dilation[0] * across + pixel * dilation[1]) * channels
    reach = (lines - 1) * stride[0] + span
    return Strips(lines, reach, together, starts.ravel(), offsets.ravel())


def pack(weight: I16, offsets: I64) -> tuple[I16, I64]:
    """Pack the weights of rows, whose taps are taken in twos; an odd one beside a weight of 0.

    Args:
        weight: int16 ``(lanes, taps)``.
        offsets: int64 ``(taps,)``.

    Returns:
        int16 ``(blocks * pairs * 64,)``: for each pair of taps the two weights of each lane; int64
        ``(2 * pairs,)``, the taps' offsets.
    """
    lanes, taps = weight.shape
    blocks, pairs = -(-lanes // WIDE), -(-taps // 2)
    filled = np.zeros((blocks * WIDE, 2 * pairs), np.int16)
    filled[:lanes, :taps] = weight
    dealt = filled.reshape(blocks, WIDE, pairs, 2)[:, ORDER].swapaxes(1, 2)
    return dealt.ravel(), np.append(offsets, offsets[taps - taps % 2 :])


def cuts(weight: I16, low: I64, high: I64) -> I64 | None:
    """Cut pairs of taps into chunks, each as long as no lane can leave 32 bits in it.

    Args:
        weight: int16 ``(lanes, taps)``.
        low: int64 ``(lanes,)``: the least word that a lane multiplies, or 0.
        high: int64 ``(lanes,)``: the largest, or 0.

    Returns:
        int64 ``(chunks + 1,)``: where each begins, and the last ends. None where a pair alone can
        leave 32 bits: -32768 by -32768, twice.
    """
    ends = weight * low[:, None], weight * high[:, None]
    reach = np.concatenate([np.maximum(*ends), -np.minimum(*ends)])
    reach = np.pad(reach, ((0, 0), (0, reach.shape[1] % 2)))
    pairs = reach[:, ::2] + reach[:, 1::2]
    return None if pairs.max() > LIMIT else np.append(0, chunk_ends(pairs))


def deal(values: I64, rest: int = 0) -> I64:
    """Lay out one number for each lane, and the ``rest`` for lanes behind the last."""
    filled = np.full(-(-len(values) // WIDE) * WIDE, rest)
    filled[: len(values)] = values
    return filled.reshape(-1, WIDE)[:, ORDER].ravel()
