"""Loops of layer normalisation: each vector by its own mean and variance, exact to the cast."""

import numpy as np

from fxpnn.kernels.arithmetic import I16, I32, I64, Bools, cast, cast_apart
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.build.memory import matrix
from fxpnn.kernels.layout.instructions import Code, Target


@loop
def run(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run normalisations, as ``interpreter.run`` does other instructions."""
    for i in range(code.size):
        do = code[i]
        x, y = space[do.x : do.x + n * do.x_words], space[do.y : do.y + n * do.y_words]
        size, features = do.classes, matrix(quads[do.weights :], 4, do.classes)
        to = Target(do.rounding, do.overflow, do.low, do.high)
        vectors = matrix(x, y.size // size, size)
        made = matrix(y, y.size // size, size)
        saturations, fallen = layer_norm(vectors, features, do.epsilon, to, do.apart, made)
        counts[do.node, 1] += saturations
        counts[do.node, 2] += fallen


@loop
def layer_norm(
    x: I16, features: I64, epsilon: int, to: Target, apart: int, out: I16
) -> tuple[int, int]:
    """Normalise the rows of ``x``, ``(N, n)``, n at most 4096.

    ``features`` is ``(4, n)``: gamma; beta, below ``2**60``; by how many bits a quotient is made
    finer, at most 31; how many the cast drops, 2 or more. ``epsilon`` leaves D below ``2**62``.

    Returns:
        How many outputs were out of range, and how many, counted apart, were below 0.
    """
    saturations, fallen, n = 0, 0, x.shape[1]
    for row in range(x.shape[0]):
        total, squares = np.int64(0), np.int64(0)  # 28 and 43 bits
        for i in range(n):
            value = np.int64(x[row, i])
            total += value
            squares += value * value
        g, r = scaled_root(n * squares - total * total + epsilon)
        for i in range(n):
            # (n x - sum)**2 < n D: the quotient is below sqrt(n) = 2**6, times gamma below 2**22.
            scaled = features[0, i] * (n * np.int64(x[row, i]) - total) << g  # below 2**53
            whole = scaled // r
            rest = scaled - whole * r << features[2, i]  # below 2**31 * 2**31
            finer = rest // r
            exact = (whole << features[2, i]) + finer + features[1, i]  # below 2**61
            # Two or more bits are dropped: the last one tells of a rest as well as a rest would.
            exact |= np.int64(finer * r != rest)
            if apart:
                raw, over, below = cast_apart(exact, features[3, i], to)
                fallen += below
            else:
                raw, over = cast(exact, features[3, i], to)
            saturations += over
            out[row, i] = raw
    return saturations, fallen


@loop
def scaled_root(square: int) -> tuple[int, int]:
    """Return g and the root of ``square * 4**g`` rounded down; ``0 < square < 2**62``.

    g is the largest for which that is below ``2**62``: the root is from ``2**30`` to ``2**31``.
    """
    g = np.int64(0)
    while square < 1 << 60:
        square <<= 2
        g += 1
    root = np.int64(np.sqrt(np.float64(square)))
    while root * root > square:  # the float root may be one off either way
        root -= 1
    while (root + 1) * (root + 1) <= square:
        root += 1
    return g, root
