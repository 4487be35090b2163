"""Own the language of the machine: what instructions say, casts as codes. It compiles nothing."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.casting import limits
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding

SUM_32, SUM_64, LOOK_UP, POOL, FILL, MOVE, SOFTMAX = range(7)
"""What an instruction does with a block; these are the common ones."""
SLOPE, ADD, MUL, SHIFTED = range(7, 11)
"""The rarer ones, that only networks compile which have them."""
CLAMP_32, CLAMP_64, PLAIN = range(11, 14)
"""Sums that are clamped step by step, or plain: likewise."""
EXACT, CLAMPED, WRAPPED = range(3)
"""Sums that are proved to fit their word, are clamped after each product, or wrap at the end."""
STRIPS, DIRECT = range(2)
"""Sums are cast strip by strip, or in registers unless they are out of range."""
MAX, AVERAGE, L2, MEAN = range(4)
"""Pools; a mean is an average of windows that all lie inside their map."""

FIELDS = (
    # every instruction: what, whose counts, the tensors in the workspace and their words per image
    *("op", "node", "x", "x_words", "y", "y_words"),
    # casts: Target and a floor; also the limits of pools and fills, the constant of a softmax
    *("rounding", "overflow", "low", "high", "least"),
    # sums: Frame, Word
    *("outputs", "lines", "length", "pitch", "origin", "total", "group", "rows", "extra", "near"),
    *("method", "word_low", "word_high"),
    # where constants begin in their pool, and how many there are
    *("weights", "weights_size", "offsets", "offsets_size", "cuts", "columns", "segments"),
    "rule",
    *(
        "starts",
        "bias",
        "shifts",
        "lanes",
        "windows",
        "pooled",
        "taps",
        "leave",
        "used",
    ),
    *("fine_weights", "fine_weights_size", "fine_offsets", "fine_offsets_size", "fine_cuts"),
    *("matrix", "matrix_k", "edges", "kinds", "features", "bias_overflows", "flagged"),
    # add and mul: the other tensor, and both lifts; look-ups and softmax: the shift
    *("other", "lift", "other_lift", "shift", "classes"),
    # pools: window, rim, shapes
    *("kind", "kernel_h", "kernel_w", "stride_h", "stride_w", "origin_h", "origin_w"),
    *("dilation_h", "dilation_w", "rim_t", "rim_l", "rim_b", "rim_r"),
    *("height", "width", "channels", "pooled_h", "pooled_w"),
)
INSTRUCTION = np.dtype([(name, np.int64) for name in FIELDS])
Code: TypeAlias = npt.NDArray[np.void]
"""Instructions, one behind the other."""

NEAREST_EVEN, NEAREST_UP, NEAREST_DOWN, NEAREST_ZERO, NEAREST_AWAY, FLOOR, ZERO = range(7)
SATURATE, SATURATE_SYMMETRIC, SATURATE_ZERO, WRAP = range(4)
_ROUNDINGS = tuple(Rounding)
_OVERFLOWS = tuple(Overflow)


class Target(NamedTuple):
    """A cast as the kernels take it: codes, and the raw values that are no overflow."""

    rounding: int
    overflow: int
    low: int
    high: int


def target(fmt: QFormat, rounding: Rounding, overflow: Overflow) -> Target:
    """Encode a cast for the kernels."""
    low, high = limits(fmt, overflow)
    return Target(_ROUNDINGS.index(rounding), _OVERFLOWS.index(overflow), low, high)
