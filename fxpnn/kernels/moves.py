"""Loops that move words to other places; ``engine.moves`` explains runs."""

import numpy as np

from fxpnn.kernels.arithmetic import I16, I64
from fxpnn.kernels.build.decorators import loop

BLOCK = 64
"""Of words that lie apart so many are copied, then as many of the next round: their neighbours,
whose lines are still in the first-level cache. A turned map takes 0.4 ns a word, not 0.8 to 1.9."""


@loop
def move(x: I16, x_words: int, runs: I64, out: I16, out_words: int, images: int) -> None:
    """Copy each image's words by runs, ``(runs, 11)``; other words of ``out`` stay."""
    for image in range(images):
        source, target = x[image * x_words :], out[image * out_words :]
        for run in range(len(runs)):
            length, step, pitch = runs[run, 2], runs[run, 3], runs[run, 4]
            neighbours = step == 1 and pitch == 1
            block = length if neighbours else min(length, BLOCK)
            for i in range(runs[run, 8]):
                for first in range(0, length, block):
                    size = min(block, length - first)
                    for j in range(runs[run, 5]):
                        begin = runs[run, 0] + i * runs[run, 9] + j * runs[run, 6] + first * step
                        end = runs[run, 1] + i * runs[run, 10] + j * runs[run, 7] + first * pitch
                        if neighbours:
                            _copy(source[begin:], target[end:], size)
                        else:
                            _spread(source, begin, step, target, end, pitch, size)


@loop
def _copy(x: I16, out: I16, length: int) -> None:
    """Copy neighbours, which becomes vector code."""
    for i in range(length):
        out[i] = x[i]


@loop
def _spread(x: I16, begin: int, step: int, out: I16, end: int, pitch: int, length: int) -> None:
    """Copy words that lie apart; an index without a sign is not asked whether it is below 0."""
    for i in range(length):
        out[np.uint64(end + i * pitch)] = x[np.uint64(begin + i * step)]
