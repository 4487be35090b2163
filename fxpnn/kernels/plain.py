"""Plain loops of a layer of products: what the vector code computes, one value at a time.

They stand in for ``products`` where an environment variable asks for it, on a machine whose vector
code is in doubt, and take the same frame, word and modes. Here a row's words are multiplied in the
order of summing by a matrix.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64, cast, cast_apart
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.build.memory import free, zeros
from fxpnn.kernels.layout.instructions import CLAMPED, EXACT, Target
from fxpnn.kernels.row_blocks import (
    APART,
    HIGH,
    IMAGES,
    LEAST,
    LOW,
    MOST,
    OUTPUTS,
    OVERFLOW,
    ROUNDING,
    ROWS_OF_IMAGE,
    TOTAL,
    WORDS,
    Counts,
    Frame,
    Modes,
    enter,
)

Word: TypeAlias = tuple[int, int, int]
"""How sums meet the accumulator's limits, and these."""


@loop
def run(
    x: I16,
    out: I16,
    weights: I16,
    offsets: I64,
    starts: I64,
    bias: I64,
    shifts: I64,
    frame: Frame,
    word: Word,
    to: Modes,
) -> Counts:
    """Run a dense layer or a convolution on a block of images.

    ``weights`` is flat ``(outputs, k)``, ``offsets`` ``(k,)``, ``bias`` and ``shifts``
    ``(outputs,)``. Sums are below ``2**62`` at every step.

    Returns:
        How many adds were clamped (the bias included) or totals wrapped, how many outputs were out
        of range, and how many, counted apart, were below 0.
    """
    images, words, outputs, rows = frame[IMAGES], frame[WORDS], frame[OUTPUTS], frame[ROWS_OF_IMAGE]
    framed = zeros(frame[TOTAL], np.int16)
    target = Target(to[ROUNDING], to[OVERFLOW], to[LOW], to[HIGH])
    overflows, saturations, fallen, end = 0, 0, 0, 0
    for image in range(images):
        source = enter(x[image * words :], framed, frame)
        for row in range(rows):
            for output in range(outputs):
                matrix = weights[output * offsets.size : (output + 1) * offsets.size]
                here = source[starts[row] :]
                total, over = accumulate(here, matrix, offsets, bias[output], word)
                overflows += over
                if to[APART]:
                    raw, out_of_range, below = cast_apart(total, shifts[output], target)
                    fallen += below
                else:
                    raw, out_of_range = cast(total, shifts[output], target)
                saturations += out_of_range
                out[end] = min(max(raw, to[LEAST]), to[MOST])
                end += 1
    free((framed,))
    return overflows, saturations, fallen


@loop
def accumulate(x: I16, weights: I16, offsets: I64, bias: int, word: Word) -> tuple[int, int]:
    """Sum ``bias + x[offsets[k]] * weights[k]``, k ascending; also count the overflows.

    A clamped word is clamped after every add, the bias first; a wrapped one keeps the low bits of
    the total; an exact one is proved to hold every step.
    """
    method, low, high = word
    total, overflows = bias, 0
    if method == CLAMPED:
        total = min(max(bias, low), high)
        overflows += total != bias
    for k in range(offsets.size):
        total += np.int64(x[offsets[k]]) * weights[k]
        if method == CLAMPED and (total < low or total > high):
            total = min(max(total, low), high)
            overflows += 1
    if method != EXACT and (total < low or total > high):
        total = ((total - low) & (high - low)) + low
        overflows += 1
    return total, overflows
