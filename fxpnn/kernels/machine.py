"""Own the machine: one compiled call that runs a whole program of layers on a block of images.

A program is a list of instructions and the pools of constants that they point into. Tensors lie in
one workspace, image by image. One call for all layers costs one image no more than its sums, keeps
a block in cache from its pixels to its classes, and lets go of Python's lock once.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from fxpnn.kernels import lookup, plain, pool, products, softmax
from fxpnn.kernels.arithmetic import I16, I32, I64, Bools, Target, inner

(
    SUM_32,
    SUM_64,
    CLAMP_32,
    CLAMP_64,
    PLAIN,
    LOOK_UP,
    SLOPE,
    POOL,
    ADD,
    FILL,
    MOVE,
    SOFTMAX,
    SHIFTED,
) = range(13)
"""What an instruction does with a block; the first five are sums."""

FIELDS = (
    # every instruction: what, whose counts, the tensors in the workspace and their words per image
    *("op", "node", "x", "x_words", "y", "y_words"),
    # casts: Target and a floor; also the limits of pools and fills, the constant of a softmax
    *("rounding", "overflow", "low", "high", "least"),
    # sums: Frame, Word, and whether images are rows
    *("outputs", "lines", "length", "pitch", "origin", "total"),
    *("method", "word_low", "word_high", "dense"),
    # where constants begin in their pool, and how many there are
    *("weights", "weights_size", "offsets", "offsets_size", "cuts", "columns", "segments"),
    *("starts", "starts_size", "bias", "shifts", "lanes", "windows", "pooled", "taps"),
    *("fine_weights", "fine_weights_size", "fine_offsets", "fine_offsets_size", "fine_cuts"),
    *("matrix", "matrix_k", "edges", "kinds", "features", "bias_overflows", "flags"),
    # add: the other tensor and both lifts; look-ups and softmax: the shift
    *("other", "lift", "other_lift", "shift", "classes"),
    # pools: window, rim, shapes
    *("kind", "kernel_h", "kernel_w", "stride_h", "stride_w", "origin_h", "origin_w"),
    *("dilation_h", "dilation_w", "rim_t", "rim_l", "rim_b", "rim_r"),
    *("height", "width", "channels", "pooled_h", "pooled_w"),
)
INSTRUCTION = np.dtype([(name, np.int64) for name in FIELDS])


@njit(cache=True, nogil=True)
def run(
    code: npt.NDArray[np.void],
    words: I16,
    doubles: I32,
    quads: I64,
    flags: Bools,
    space: I16,
    images: int,
    counts: I64,
) -> None:
    """Run a program on the images whose words stand in the workspace; add up what overflowed.

    ``counts`` is ``(nodes, 2)``: the accumulator's overflows and the output's. Nothing is checked.
    """
    for i in range(code.size):
        do = code[i]
        x = space[do.x : do.x + images * do.x_words + 1]
        y = space[do.y : do.y + images * do.y_words]
        if do.op <= PLAIN:
            overflows, saturations = _sum(do, words, doubles, quads, x, y, images)
            counts[do.node, 0] += overflows
        else:
            saturations = _map(do, words, doubles, quads, flags, space, x[:-1], y, images)
        counts[do.node, 1] += saturations


@inner
def _sum(
    do: np.void, words: I16, doubles: I32, quads: I64, x: I16, y: I16, images: int
) -> tuple[int, int]:
    rows = images if do.dense else do.starts_size
    frames = 1 if do.dense else images
    frame = (
        frames,
        do.x_words,
        do.outputs,
        do.lines,
        do.length,
        do.pitch,
        do.origin,
        do.total,
    )
    word = (do.word_low, do.word_high)
    to = (do.rounding, do.overflow, do.low, do.high, do.least)
    weights = words[do.weights : do.weights + do.weights_size]
    offsets = quads[do.offsets : do.offsets + do.offsets_size]
    starts = quads[do.starts : do.starts + rows]
    shifts = quads[do.shifts : do.shifts + do.lanes]
    narrow = doubles[do.bias : do.bias + do.lanes]
    wide = quads[do.bias : do.bias + do.lanes]
    if do.op == PLAIN:
        plain_word = (do.method, do.word_low, do.word_high)
        return plain.run(x, y, weights, offsets, starts, wide, shifts, frame, plain_word, to)
    ends = do.columns * (do.segments + 1)
    cuts = quads[do.cuts : do.cuts + ends].reshape((do.columns, do.segments + 1))
    windows = quads[do.windows : do.windows + do.pooled * do.taps].reshape((do.pooled, do.taps))
    short = (weights, offsets, cuts, starts, narrow, shifts, windows)
    long = (weights, offsets, cuts, starts, wide, shifts, windows)
    if do.op == SUM_32:
        return products.exact(x, y, short, frame, word, do.method == plain.WRAPPED, to)
    if do.op == SUM_64:
        return products.exact(x, y, long, frame, word, do.method == plain.WRAPPED, to)
    steps = (
        words[do.fine_weights : do.fine_weights + do.fine_weights_size],
        quads[do.fine_offsets : do.fine_offsets + do.fine_offsets_size],
        quads[do.fine_cuts : do.fine_cuts + ends].reshape((do.columns, do.segments + 1)),
        words[do.matrix : do.matrix + do.lanes * do.matrix_k].reshape((do.lanes, do.matrix_k)),
        quads[do.edges : do.edges + do.segments + 1],
        quads[do.kinds : do.kinds + do.matrix_k],
        do.features,
    )
    if do.op == CLAMP_32:
        overflows, saturations = products.clamped(x, y, short, steps, frame, word, to)
    else:
        overflows, saturations = products.clamped(x, y, long, steps, frame, word, to)
    return overflows + do.bias_overflows * images, saturations


@inner
def _map(
    do: np.void,
    words: I16,
    doubles: I32,
    quads: I64,
    flags: Bools,
    space: I16,
    x: I16,
    y: I16,
    images: int,
) -> int:
    to = Target(do.rounding, do.overflow, do.low, do.high)
    if do.op == LOOK_UP:
        lookup.look_up(x, words[do.weights : do.weights + 65536], y)
        return lookup.count(x, flags[do.flags : do.flags + 65536]) if do.flags >= 0 else 0
    if do.op == SLOPE:
        slopes = quads[do.weights : do.weights + do.x_words]
        shifts = quads[do.shifts : do.shifts + do.x_words]
        return lookup.slope(x, slopes, shifts, to, y)
    if do.op == POOL:
        return _pool(do, x, y, images)
    if do.op == ADD:
        other = space[do.other : do.other + images * do.x_words]
        return lookup.add(x, other, do.lift, do.other_lift, do.shift, to, y)
    if do.op == FILL:
        y[:] = do.low
        return 0
    if do.op == MOVE:
        lookup.move(x, do.x_words, quads[do.offsets : do.offsets + do.y_words], y)
        return 0
    table = doubles[do.weights : do.weights + do.weights_size]
    rows = x.size // do.classes
    vectors, shares = x.reshape((rows, do.classes)), y.reshape((rows, do.classes))
    if do.op == SHIFTED:
        return softmax.shifted_softmax(vectors, table, do.shift, do.low, shares)
    softmax.softmax(vectors, table, do.shift, shares)
    return 0


@inner
def _pool(do: np.void, x: I16, y: I16, images: int) -> int:
    window = (
        do.kernel_h,
        do.kernel_w,
        do.stride_h,
        do.stride_w,
        do.origin_h,
        do.origin_w,
        do.dilation_h,
        do.dilation_w,
    )
    rim = (do.rim_t, do.rim_l, do.rim_b, do.rim_r)
    shape = (do.height, do.width, do.channels, do.pooled_h, do.pooled_w)
    limit = do.low if do.kind == pool.MAX else do.high
    return pool.pool(do.kind, x, shape, window, rim, limit, y, images)
