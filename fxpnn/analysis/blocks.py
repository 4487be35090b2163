"""How many images are compared at once, and by how many threads: memory is bounded by bytes."""

import math

from fxpnn.network.fixed import FixedNetwork

BLOCK = 256
"""At most so many images are compared layer by layer at once."""
VALUES = 1 << 20
"""At most so many values of all layers are in memory at once for each thread, where one image has
no more."""
BYTES = 1 << 29
"""What all threads together take of blocks, where one has no more."""
EACH = 6
"""Bytes for each value of all layers: a word in the workspace, one fetched, some floats."""


def block_images(fixed: FixedNetwork) -> int:
    """Return how many images are compared at once."""
    return max(1, min(BLOCK, VALUES // _values(fixed)))


def abreast(fixed: FixedNetwork, threads: int) -> int:
    """Return how many threads, at most as many as given, may each compare a block."""
    return max(1, min(threads, BYTES // (EACH * block_images(fixed) * _values(fixed))))


def _values(fixed: FixedNetwork) -> int:
    return sum(map(math.prod, fixed.shapes.values()))
