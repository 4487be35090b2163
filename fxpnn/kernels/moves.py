"""Loops that move words to other places; ``engine.moves`` explains runs."""

from fxpnn.kernels.arithmetic import I16, I64
from fxpnn.kernels.build.decorators import loop


@loop
def move(x: I16, x_words: int, runs: I64, out: I16, out_words: int, images: int) -> None:
    """Copy each image's words by runs, ``(runs, 11)``; other words of ``out`` stay."""
    for image in range(images):
        source, target = x[image * x_words :], out[image * out_words :]
        for run in range(len(runs)):
            for i in range(runs[run, 8]):
                for j in range(runs[run, 5]):
                    begin = runs[run, 0] + i * runs[run, 9] + j * runs[run, 6]
                    end = runs[run, 1] + i * runs[run, 10] + j * runs[run, 7]
                    length, step, pitch = runs[run, 2], runs[run, 3], runs[run, 4]
                    if step == 1 and pitch == 1:
                        _copy(source[begin:], target[end:], length)
                    else:
                        for k in range(length):
                            target[end + k * pitch] = source[begin + k * step]


@loop
def _copy(x: I16, out: I16, length: int) -> None:
    """Copy neighbours, which becomes vector code."""
    for i in range(length):
        out[i] = x[i]
