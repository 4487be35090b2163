"""Instructions of the interpreter: operations, their fields, and casts as numbers."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.qformat import Overflow, Rounding
from fxpnn.fixedpoint.requantize import Shift

SUM_32, SUM_64, LOOK_UP, POOL, MEAN, FILL, MOVE, SOFTMAX = range(8)
"""What an instruction does with a block; these are the common ones."""
SLOPE, ADD, MUL, SHIFTED = range(8, 12)
"""The rarer ones, that only networks compile which have them."""
CLAMP_32, CLAMP_64, PLAIN, REGISTER = range(12, 16)
"""Sums that are clamped step by step, plain, or in a register that drops bits: likewise."""
DEPTHWISE = 16
"""Exact sums of each channel's own taps: likewise."""
NORM = 17
"""Vectors that are normalised: likewise."""
MATMUL = 18
"""Products of two tensors: sums whose weights are packed for each image."""
SUM_8 = 19
"""Exact sums of bytes by weights of 8 bits: likewise."""
EXACT, CLAMPED, WRAPPED = range(3)
"""Sums that are proved to fit their word, are clamped after each product, or wrap at the end."""
STRIPS, DIRECT = range(2)
"""Sums are cast strip by strip, or in registers unless they are out of range."""
LOOPS = 3
"""The loops of a move's runs, each of three numbers; ``engine.moves`` explains them."""
MAX, AVERAGE, L2 = range(3)
"""Pools; ``MEAN`` is an average of windows that all lie inside their map."""

COMMON = (
    # what, whose counts, the tensors in the workspace and their words per image
    *("op", "node", "x", "x_words", "y", "y_words"),
    # the cast, a ``Target``, and what words are raised and lowered to; also the limits of pools and
    # fills, a softmax's constant
    *("rounding", "overflow", "low", "high", "least", "most"),
    # whether values below 0 are counted apart: an unsigned word in front of a ReLU
    "apart",
)
"""The fields of every instruction."""
FRAME = ("lines", "length", "pitch", "origin", "total")
WINDOWS = ("windows", "pooled", "taps")
_LAYER = (
    *("outputs", "used", "rows", "group", "starts", *FRAME, *WINDOWS),
    *("method", "word_low", "word_high", "leave", "extra", "near", "rule"),
    *("weights", "weights_size", "offsets", "offsets_size", "cuts", "columns", "segments"),
    *("bias", "shifts", "lanes"),
)
_STEPS = (
    *("fine_weights", "fine_weights_size", "fine_offsets", "fine_offsets_size", "fine_cuts"),
    *("matrix", "matrix_k", "edges", "kinds", "features", "bias_overflows"),
)
_DEPTHWISE = (
    *("outputs", "made", "rows", "strip", "stride_h", "origin_h", "reach", *FRAME, "starts"),
    *("weights", "weights_size", "offsets", "offsets_size", "cuts", "segments"),
    *("bias", "shifts", "lanes", "level", "near", "rule"),
)
DROPS = ("drops", "drop_rounding", "casts")
"""Fields of sums in a register that drops bits."""
_MATMUL = (
    *(name for name in _LAYER if name != "weights"),
    *DROPS,
    *("other", "other_words", "matrices", "firsts", "k", "down", "across", "sums"),
)
_POOL = (
    *("kind", "kernel_h", "kernel_w", "stride_h", "stride_w", "origin_h", "origin_w"),
    *("dilation_h", "dilation_w", "rim_t", "rim_l", "rim_b", "rim_r"),
    *("height", "width", "channels", "pooled_h", "pooled_w", "shift"),
)
_SOFTMAX = ("weights", "weights_size", "classes", "shift", "spans", "spans_size")
_PAIR = ("other", "other_words", "lift", "other_lift", "shift", "short")
FIELDS_OF = {
    SUM_32: _LAYER,
    SUM_64: _LAYER,
    LOOK_UP: ("weights", "flagged", "fallen"),
    POOL: _POOL,
    MEAN: ("channels", *WINDOWS),
    FILL: (),
    MOVE: ("moves", "moves_size"),
    SOFTMAX: _SOFTMAX,
    SLOPE: ("weights", "shifts"),
    ADD: _PAIR,
    MUL: _PAIR,
    SHIFTED: _SOFTMAX,
    CLAMP_32: (*_LAYER, *_STEPS),
    CLAMP_64: (*_LAYER, *_STEPS),
    PLAIN: _LAYER,
    REGISTER: (*_LAYER, *DROPS),
    DEPTHWISE: _DEPTHWISE,
    NORM: ("weights", "classes", "epsilon"),
    MATMUL: _MATMUL,
    SUM_8: (*_LAYER, "lift"),
}
"""What an operation reads beside the common fields. The names of arrays say where these begin in
their pool of constants, those with ``size`` how many values they have."""

ABSENT = (*FRAME, *WINDOWS, "leave", "extra", "near", "rule", "group")
"""Fields of sums that are 0 where there is no frame, no pool and no cast in registers, and until it
is known how many images are summed as one."""

FIELDS = tuple(dict.fromkeys((*COMMON, *(name for names in FIELDS_OF.values() for name in names))))
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

    @property
    def with_sign(self) -> "Target":
        """Give the cast to a signed word of one bit more than this unsigned one has.

        Clamped at 0 it gives the same words; only what is far below 0 is out of its range.
        """
        return self._replace(low=-self.high - 1)


def rounding_code(rounding: Rounding) -> int:
    """Encode a rounding for the kernels."""
    return _ROUNDINGS.index(rounding)


def target(cast: Shift) -> Target:
    """Encode a cast for the kernels."""
    return Target(rounding_code(cast.rounding), _OVERFLOWS.index(cast.overflow), *cast.limits)
