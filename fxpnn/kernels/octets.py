"""Words of 8 bits as bytes: the frames of which sums of bytes are made.

Such sums multiply bytes without a sign by weights with one. So words that may be below 0 are lifted
by ``LIFT``; what that adds to a sum, so many times each weight, its bias lacks.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.arithmetic import I16
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import empty
from fxpnn.kernels.layout.packing import LIFT
from fxpnn.kernels.row_blocks import (
    IMAGES,
    LEAVE,
    LENGTH,
    LINES,
    ORIGIN,
    OUTPUTS,
    PITCH,
    TOTAL,
    USED,
    WORDS,
    Frame,
)

I8: TypeAlias = npt.NDArray[np.int8]
BEHIND = 3
"""Bytes behind the last frame: bytes are read by fours."""


@part
def frames(x: I16, frame: Frame, lift: int) -> tuple[I8, Frame]:
    """Copy each image into a frame of bytes; also say how a layer finds these, as it does words.

    Without padding a frame is the image.
    """
    images, words = frame[IMAGES], frame[WORDS]
    total, lines, length = frame[TOTAL], frame[LINES], frame[LENGTH]
    if total == 0:
        total, lines, length = words, 1, words
    framed = empty(images * total + BEHIND, np.int8)
    if total > words:
        framed[:] = np.int8(lift)  # what pads: 0, lifted
    for image in range(images):
        source, target = x[image * words :], framed[image * total + frame[ORIGIN] :]
        narrow(source, target, lines, length, frame[PITCH], lift)
    in_place = 0, 0, 0, 0, 0
    inside = images, total, frame[OUTPUTS], frame[LEAVE], *in_place, *frame[USED:]
    return framed, inside


@loop
def narrow(x: I16, out: I8, lines: int, length: int, pitch: int, lift: int) -> None:
    """Copy lines of lifted words to bytes, the next ``pitch`` behind.

    Both lifts are constants: whatever else is added, LLVM does in lanes of 64 bits, three times as
    slow.
    """
    for line in range(lines):
        source, target = x[line * length :], out[line * pitch :]
        if lift == 0:
            for i in range(length):
                target[i] = source[i]
        else:
            for i in range(length):
                target[i] = source[i] + LIFT
