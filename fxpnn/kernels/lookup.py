"""Loops over single values of flat blocks: look-ups, slopes, moves, pairs of them."""

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64, Bools, cast
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.layout.instructions import Target


@loop
def look_up(x: I16, answers: I16, out: I16) -> None:
    """Answer each word from a table indexed by the word's 16 bits."""
    for i in range(x.size):
        out[i] = answers[np.uint16(x[i])]


@loop
def count(x: I16, flags: Bools) -> int:
    """Count the words whose flag stands."""
    total = 0
    for i in range(x.size):
        total += flags[np.uint16(x[i])]
    return total


@loop
def slope(x: I16, slopes: I64, shifts: I64, to: Target, out: I16) -> int:
    """Multiply negative words by the slope of their place; return how many casts overflowed.

    Slopes and shifts stand for each word of an image; products are below ``2**31``.
    """
    saturations = 0
    for i in range(x.size):
        place = i % slopes.size
        raw, over = np.int64(x[i]), False
        if raw < 0:
            raw, over = cast(raw * slopes[place], shifts[place], to)
        out[i] = raw
        saturations += over
    return saturations


@loop
def add(a: I16, b: I16, lift_a: int, lift_b: int, shift: int, to: Target, out: I16) -> int:
    """Align two blocks by left shifts, add exactly, cast once; return how many overflowed.

    Lifts are at most 44, so that a sum is at most ``2**60``.
    """
    saturations = 0
    for i in range(a.size):
        total = (np.int64(a[i]) << lift_a) + (np.int64(b[i]) << lift_b)
        raw, over = cast(total, shift, to)
        out[i] = raw
        saturations += over
    return saturations


@loop
def multiply(a: I16, b: I16, shift: int, to: Target, out: I16) -> int:
    """Multiply two blocks word by word, cast once; return how many overflowed.

    A product is at most ``2**30``.
    """
    saturations = 0
    for i in range(a.size):
        raw, over = cast(np.int64(a[i]) * b[i], shift, to)
        out[i] = raw
        saturations += over
    return saturations


@loop
def move(x: I16, words: int, sources: I64, out: I16) -> None:
    """Copy each image's words to new places; a source of -1 leaves its place as it is."""
    size = sources.size
    for image in range(out.size // size):
        for place in range(size):
            if sources[place] >= 0:
                out[image * size + place] = x[image * words + sources[place]]
