"""How a tensor's matrix is packed, image by image, as the weights of a layer of products."""

from fxpnn.kernels.arithmetic import I16
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.layout.packing import LANES


@loop
def pack(b: I16, size: tuple[int, int], steps: tuple[int, int], together: int, out: I16) -> None:
    """Pack a matrix of k rows and n columns as ``packing`` packs weights, for whole columns.

    Args:
        b: the words; that of row i and column j is ``b[i * steps[0] + j * steps[1]]``.
        size: ``(k, n)``.
        steps: how far apart rows lie, and columns.
        together: how many k share a pair, 2 or 1.
        out: for each pair of each column two words in each of 16 lanes.
    """
    (k, n), (down, across) = size, steps
    pairs, columns = (k + together - 1) // together, (n + LANES - 1) // LANES
    for i in range(out.size):
        out[i] = 0
    for column in range(columns):
        first = column * LANES
        lanes = min(LANES, n - first)
        for row in range(k):
            pair = column * pairs + row // together
            source, target = b[row * down + first * across :], out[pair * 2 * LANES :]
            half = row % together
            for lane in range(lanes):
                target[2 * lane + half] = source[lane * across]


@loop
def turn(b: I16, size: tuple[int, int], steps: tuple[int, int], out: I16) -> None:
    """Copy a matrix, as ``pack`` has it, column by column: the weights of plain loops."""
    (k, n), (down, across) = size, steps
    for column in range(n):
        source, target = b[column * across :], out[column * k :]
        for row in range(k):
            target[row] = source[row * down]
