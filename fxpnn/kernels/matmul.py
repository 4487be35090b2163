"""How a tensor's matrix is packed, image by image, as the weights of a layer of products."""

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.layout.packing import LANES, LIMIT


@loop
def pack(b: I16, size: tuple[int, int], steps: tuple[int, int], together: int, out: I16) -> int:
    """Pack a matrix of k rows and n columns as ``packing`` packs weights, for whole columns.

    Args:
        b: the words; that of row i and column j is ``b[i * steps[0] + j * steps[1]]``.
        size: ``(k, n)``.
        steps: how far apart rows lie, and columns.
        together: how many k share a pair, 2 or 1.
        out: for each pair of each column two words in each of 16 lanes; it may be longer.

    Returns:
        The largest magnitude of the words.
    """
    (k, n), (down, across) = size, steps
    pairs, columns = (k + together - 1) // together, (n + LANES - 1) // LANES
    words = out[: columns * pairs * 2 * LANES]
    for i in range(words.size):
        words[i] = 0
    for column in range(columns):
        first = column * LANES
        lanes = min(LANES, n - first)
        packed = out[column * pairs * 2 * LANES :]
        if down == 1 and together == 2:  # a pair's words are neighbours, and move as one
            for lane in range(lanes):
                source = b[(first + lane) * across :]
                for pair in range(k // 2):
                    packed[2 * (pair * LANES + lane)] = source[2 * pair]
                    packed[2 * (pair * LANES + lane) + 1] = source[2 * pair + 1]
                if k % 2:
                    packed[2 * (k // 2 * LANES + lane)] = source[k - 1]
            continue
        for half in range(together):
            for pair in range((k - half + together - 1) // together):
                source = b[(pair * together + half) * down + first * across :]
                target = packed[pair * 2 * LANES + half :]
                if across == 1 and lanes == LANES:  # neighbours are moved as vectors
                    for lane in range(LANES):
                        target[2 * lane] = source[lane]
                else:
                    for lane in range(lanes):
                        target[2 * lane] = source[lane * across]
    return largest(words)


@loop
def largest(words: I16) -> int:
    """Return the largest magnitude of words."""
    low, high = np.int16(0), np.int16(0)
    for i in range(words.size):
        low, high = min(low, words[i]), max(high, words[i])
    return max(-np.int64(low), np.int64(high))


@loop
def magnitudes(x: I16, starts: I64, k: int) -> tuple[int, int]:
    """Return the largest magnitude in rows of k words, and the largest sum of those of a row."""
    most, whole = np.int64(0), np.int64(0)
    for row in range(starts.size):
        words = x[starts[row] : starts[row] + k]
        total = np.int64(0)
        for i in range(k):
            total += abs(np.int64(words[i]))
        most, whole = max(most, largest(words)), max(whole, total)
    return most, whole


@loop
def cut(columns: int, k: int, together: int, most: int, whole: int, offsets: I64, cuts: I64) -> int:
    """Write where pairs lie in a row, and where chunks end whose sums fit 32 bits.

    A product is at most ``most``, and so many ``together`` at most ``LIMIT``; any sum of a row's is
    at most ``whole``: the weights of attention, whose sum is 1, need one chunk. Return how many
    chunks a column has.
    """
    pairs = (k + together - 1) // together
    size = pairs if whole <= LIMIT else min(pairs, LIMIT // max(1, together * most))
    segments = (pairs + size - 1) // size
    for column in range(columns):
        for pair in range(pairs):
            offsets[column * pairs + pair] = pair * together
        for segment in range(segments + 1):
            cuts[column * (segments + 1) + segment] = column * pairs + min(segment * size, pairs)
    return segments


@loop
def turn(b: I16, size: tuple[int, int], steps: tuple[int, int], out: I16) -> None:
    """Copy a matrix, as ``pack`` has it, column by column: the weights of plain loops."""
    (k, n), (down, across) = size, steps
    for column in range(n):
        source, target = b[column * across :], out[column * k :]
        for row in range(k):
            target[row] = source[row * down]
