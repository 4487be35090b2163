"""Loops around depthwise convolutions: strips of lines, each framed by itself, block by block.

``layout.depthwise`` explains strips and blocks. A call takes a layer as plain tuples, as
``row_blocks`` says:

- ``tables``: ``(weights, offsets, cuts, starts, bias, shifts, rule)``, what ``depthwise.pack``,
  ``cuts`` and ``strips`` give, and int64, int64 and int32 in its order: biases, shifts from 0 to
  30, and a ``rounding.rule`` or zeros.
- ``frame``: ``(images, words, made, pitch, rows, strip, step, top, reach, lines, length, across,
  origin, total, level, near)``. Each image has ``words`` in ``x`` and makes ``made`` lines of
  ``rows`` rows of ``pitch`` words. Where ``total`` is not 0, ``strip`` lines at a time are made of
  a frame of so many words: ``reach`` lines ``across`` words apart, each with a line's ``length``
  words from ``origin`` on; the first strip's begin ``top`` lines above the map of ``lines`` lines,
  and each line made is ``step`` lines further down. ``level`` says that there is a rule, ``near``
  that sums have more than 32 bits but are ``rounding.near``.

Nothing is checked. Of ``x``, 31 words behind the images may be read; ``out`` is as long as what
they make. A row may write beyond its last word into the next rows, so blocks go from last to first.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels.arithmetic import I16, I32, I64
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import empty, free
from fxpnn.kernels.layout.depthwise import WIDE
from fxpnn.kernels.row_blocks import Counts, Modes, aligned, writes_all
from fxpnn.kernels.vector.depthwise import TALL, sum_taps

(WEIGHTS, OFFSETS, CUTS, STARTS, BIAS, SHIFTS, RULE) = range(7)  # of tables
(IMAGES, WORDS, MADE, PITCH, ROWS, STRIP, STEP, TOP) = range(8)  # of a frame
(REACH, LINES, LENGTH, ACROSS, ORIGIN, TOTAL, LEVEL, NEAR) = range(8, 16)

Tables: TypeAlias = tuple[I16, I64, I64, I64, I64, I64, I32]
Frame: TypeAlias = tuple[
    int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int
]


@loop
def depthwise(x: I16, out: I16, tables: Tables, frame: Frame, to: Modes) -> Counts:
    """Run a depthwise convolution whose sums overflow no accumulator.

    Returns:
        No overflows, how many outputs were out of range, and how many, counted apart, were below 0.
    """
    framed, spare = empty(frame[TOTAL], np.int16), empty(WIDE, np.int16)
    loose = empty((TALL + 1) * WIDE, np.int64)
    acc = aligned(loose)
    saturations, fallen, line_words = 0, 0, frame[ROWS] * frame[PITCH]
    for image in range(frame[IMAGES]):
        map_ = x[image * frame[WORDS] :]
        for line in range(0, frame[MADE], frame[STRIP]):
            source = map_
            if frame[TOTAL] > 0:
                _enter(map_, framed, frame, line * frame[STEP] - frame[TOP])
                source = framed
            rows = min(frame[STRIP], frame[MADE] - line) * frame[ROWS]
            target = out[(image * frame[MADE] + line) * line_words :]
            over, below = _strip(source, target, rows, tables, frame, to, acc, spare)
            saturations, fallen = saturations + over, fallen + below
    free((framed, spare, loose))
    return 0, saturations, fallen


@part
def _enter(x: I16, framed: I16, frame: Frame, first: int) -> None:
    """Copy the map's lines from the first on into a frame, with zeros for what is outside."""
    origin, length = frame[ORIGIN], frame[LENGTH]
    for i in range(frame[REACH]):
        target, line = framed[i * frame[ACROSS] : (i + 1) * frame[ACROSS]], first + i
        if 0 <= line < frame[LINES]:
            target[:origin] = 0
            source, inside = x[line * length :], target[origin:]
            for word in range(length):
                inside[word] = source[word]
            inside[length:] = 0
        else:
            target[:] = 0


@part
def _strip(
    source: I16,
    out: I16,
    rows: int,
    tables: Tables,
    frame: Frame,
    to: Modes,
    acc: I64,
    spare: I16,
) -> tuple[int, int]:
    """Make the rows of a strip; those that fill no tile, or would write behind all, one by one."""
    weights, offsets, cuts, starts, bias, shifts, rule = tables
    saturations, fallen, pitch = 0, 0, frame[PITCH]
    blocks, chunks = bias.size // WIDE, cuts.size - 1
    for behind in range(1, blocks + 1):
        block = blocks - behind
        end = out[block * WIDE :]
        tiles = writes_all(rows, end, pitch, WIDE) // TALL
        at, how = (0, tiles, block, chunks, pitch), (frame[LEVEL], frame[NEAR], to)
        arrays = source, starts, weights, offsets, cuts, bias, shifts, rule, acc, end
        over, below = sum_taps(TALL, arrays, at, how)
        saturations, fallen = saturations + over, fallen + below
        for row in range(tiles * TALL, rows):
            alone = row, 1, block, chunks, 0
            arrays = source, starts, weights, offsets, cuts, bias, shifts, rule, acc, spare
            over, below = sum_taps(1, arrays, alone, how)
            saturations, fallen = saturations + over, fallen + below
            rest = end[row * pitch :]
            for lane in range(min(WIDE, rest.size)):
                rest[lane] = spare[lane]
    return saturations, fallen
