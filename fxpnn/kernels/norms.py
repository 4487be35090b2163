"""Loops of layer normalisation: each vector by its own mean and variance, exact to the cast."""

import numpy as np

from fxpnn.kernels.arithmetic import I16, I32, I64, Bools, cast, cast_apart
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.build.memory import empty, free, matrix
from fxpnn.kernels.layout.instructions import NEAREST_EVEN, SATURATE, Code, Target


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
    """Normalise the rows of ``x``, ``(N, n)``, n at most 65536.

    ``features`` is ``(4, n)``: gamma; beta, below ``2**60``; by how many bits a quotient is made
    finer, at most 31; how many the cast drops, 2 or more. ``epsilon`` leaves D below ``2**62``.

    Returns:
        How many outputs were out of range, and how many, counted apart, were below 0.
    """
    saturations, fallen, n = 0, 0, x.shape[1]
    exact, drops = empty(n, np.int64), features[3]
    usual = to.rounding == NEAREST_EVEN and to.overflow == SATURATE and not apart
    for i in range(n):
        usual = usual and drops[i] <= 60
    for row in range(x.shape[0]):
        quotients(x[row], features, epsilon, exact)
        if usual:
            saturations += cast_usual(exact, drops, to, out[row])
        else:
            over, below = cast_each(exact, drops, to, apart, out[row])
            saturations, fallen = saturations + over, fallen + below
    free((exact,))
    return saturations, fallen


@loop
def quotients(x: I16, features: I64, epsilon: int, out: I64) -> None:
    """Write what is cast of each value of a vector: but for a rest, which the last bit tells of.

    Quotients are estimated by doubles, which takes a fraction of a division's time: they are at
    most ``2**31``, estimates off by less than ``2**-20``, so that floors are off by one at most.
    """
    n = x.size
    total, squares = np.int64(0), np.int64(0)  # 32 and 47 bits
    for i in range(n):
        value = np.int64(x[i])
        total += value
        squares += value * value
    g, r = scaled_root(n * squares - total * total + epsilon)
    inverse = 1 / np.float64(r)
    for i in range(n):
        # (n x - sum)**2 < n D: the quotient is below sqrt(n) = 2**8, times gamma below 2**24.
        scaled = features[0, i] * (n * np.int64(x[i]) - total) << g  # below 2**55
        whole = np.int64(np.floor(np.float64(scaled) * inverse))
        # If that is one off, the rest is r or just below 0, and the finer quotient makes up for it.
        rest = scaled - whole * r << features[2, i]  # at most 2**31 * 2**31
        finer = np.int64(np.floor(np.float64(rest) * inverse))
        rest -= finer * r
        off = np.int64(rest >= r) - np.int64(rest < 0)
        finer, rest = finer + off, rest - off * r
        # Below 2**61. Two or more bits are dropped: the last one tells of a rest as well as a rest
        # would.
        made = (whole << features[2, i]) + finer + features[1, i]
        out[i] = made | np.int64(rest != 0)


@loop
def cast_usual(exact: I64, drops: I64, to: Target, out: I16) -> int:
    """Cast to nearest even and saturate, without a branch, where at most 60 bits are dropped."""
    low, high, saturations = np.int64(to.low), np.int64(to.high), np.int64(0)
    for i in range(exact.size):
        value, shift = exact[i], drops[i]
        odd = value >> shift & 1
        rounded = value + (1 << shift - 1) - 1 + odd >> shift
        kept = min(max(rounded, low), high)
        saturations += kept != rounded
        out[i] = kept
    return saturations


@loop
def cast_each(exact: I64, drops: I64, to: Target, apart: int, out: I16) -> tuple[int, int]:
    """Cast by any mode; return how many were out of range, and how many, apart, below 0."""
    saturations, fallen = 0, 0
    for i in range(exact.size):
        if apart:
            raw, over, below = cast_apart(exact[i], drops[i], to)
            fallen += below
        else:
            raw, over = cast(exact[i], drops[i], to)
        saturations += over
        out[i] = raw
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
