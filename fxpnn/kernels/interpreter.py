"""The interpreter: one compiled call runs a whole program of layers on a block of images.

A program is a list of instructions and the pools of constants that they point into. Tensors lie in
one workspace, image by image. One call for all layers costs one image no more than its sums, keeps
a block in cache from its pixels to its classes, and lets go of Python's lock once.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels import clamping, lookup, plain, pool, products, row_blocks, softmax
from fxpnn.kernels.arithmetic import I16, I32, I64, Bools
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import matrix
from fxpnn.kernels.layout.instructions import (
    ADD,
    CLAMP_32,
    FILL,
    LOOK_UP,
    MAX,
    MEAN,
    MOVE,
    MUL,
    PLAIN,
    POOL,
    SLOPE,
    SUM_32,
    SUM_64,
    WRAPPED,
    Code,
    Target,
)

Pools: TypeAlias = tuple[I16, I32, I64, Bools]
"""The constants that instructions point into, by their width, and flags of words."""


@loop
def run(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run instructions on the ``n`` images whose words stand in the workspace.

    ``counts`` is ``(nodes, 2)``: the accumulator's overflows and the output's are added to it.
    Nothing is checked.
    """
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        if do.op <= SUM_64:
            frame, word, to, wraps = _modes(do, n)
            short, long = _tables(do, words, doubles, quads)
            if do.op == SUM_32:
                overflows, saturations = products.exact(x, y, short, frame, word, wraps, to)
            else:
                overflows, saturations = products.exact(x, y, long, frame, word, wraps, to)
            counts[do.node, 0] += overflows
            counts[do.node, 1] += saturations
        elif do.op == LOOK_UP:
            if do.flagged >= 0:  # first, since answers may take their words' place
                flagged = flags[do.flagged : do.flagged + 65536]
                counts[do.node, 1] += lookup.count(x[:-1], flagged)
            lookup.look_up(x[:-1], words[do.weights : do.weights + 65536], y)
        elif do.op == POOL:
            counts[do.node, 1] += _pool(do, x, y, n)
        elif do.op == MEAN:
            windows = matrix(quads[do.windows :], do.pooled, do.taps)
            pool.mean_pool(x, do.x_words, windows, do.channels, y, n)
        elif do.op == FILL:
            y[:] = do.low
        elif do.op == MOVE:
            lookup.move(x, do.x_words, quads[do.offsets : do.offsets + do.y_words], y)
        else:
            table = doubles[do.weights : do.weights + do.weights_size]
            rows = matrix(x, y.size // do.classes, do.classes)
            shares = matrix(y, y.size // do.classes, do.classes)
            softmax.softmax(rows, table, do.shift, shares)


@loop
def run_rare(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run the rarer instructions, as ``run`` does the others."""
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        to = Target(do.rounding, do.overflow, do.low, do.high)
        if do.op == SLOPE:
            slopes = quads[do.weights : do.weights + do.x_words]
            shifts = quads[do.shifts : do.shifts + do.x_words]
            saturations = lookup.slope(x[:-1], slopes, shifts, to, y)
        elif do.op == ADD:
            other = space[do.other : do.other + n * do.x_words]
            saturations = lookup.add(x[:-1], other, do.lift, do.other_lift, do.shift, to, y)
        elif do.op == MUL:
            other = space[do.other : do.other + n * do.x_words]
            saturations = lookup.multiply(x[:-1], other, do.shift, to, y)
        else:
            table = doubles[do.weights : do.weights + do.weights_size]
            rows = matrix(x, y.size // do.classes, do.classes)
            shares = matrix(y, y.size // do.classes, do.classes)
            saturations = softmax.shifted_softmax(rows, table, do.shift, do.low, shares)
        counts[do.node, 1] += saturations


@loop
def run_steps(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run the sums that go step by step, as ``run`` does the others."""
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        overflows, saturations = _stepwise(do, words, doubles, quads, x, y, n)
        counts[do.node, 0] += overflows
        counts[do.node, 1] += saturations


@loop
def _ends(do: np.void, space: I16, n: int) -> tuple[I16, I16]:
    """Return what an instruction reads, with one word more, and where it writes."""
    return space[do.x : do.x + n * do.x_words + 1], space[do.y : do.y + n * do.y_words]


@loop
def _modes(do: np.void, n: int) -> tuple[row_blocks.Frame, row_blocks.Word, row_blocks.Modes, bool]:
    """Return a sum's frame, word and cast, and whether its totals wrap."""
    frame = (
        n,
        do.x_words,
        do.outputs,
        do.leave,
        do.lines,
        do.length,
        do.pitch,
        do.origin,
        do.total,
        do.used,
        do.group,
        do.rows,
        do.extra,
        do.near,
    )
    to = (do.rounding, do.overflow, do.low, do.high, do.least)
    return frame, (do.word_low, do.word_high), to, do.method == WRAPPED


@loop
def _tables(
    do: np.void, words: I16, doubles: I32, quads: I64
) -> tuple[row_blocks.Tables, row_blocks.Tables]:
    """Return a sum's constants with 32-bit and with 64-bit sums; one of them is meant."""
    weights = words[do.weights : do.weights + do.weights_size]
    offsets = quads[do.offsets : do.offsets + do.offsets_size]
    cuts = matrix(quads[do.cuts :], do.columns, do.segments + 1)
    starts = quads[do.starts : do.starts + do.group * do.rows]
    shifts = quads[do.shifts : do.shifts + do.lanes]
    windows = matrix(quads[do.windows :], do.pooled, do.taps)
    bias, rule = slice(do.bias, do.bias + do.lanes), slice(do.rule, do.rule + 4 * do.lanes)
    common = weights, offsets, cuts, starts, shifts, windows
    return (*common, doubles[bias], doubles[rule]), (*common, quads[bias], doubles[rule])


@loop
def _stepwise(
    do: np.void, words: I16, doubles: I32, quads: I64, x: I16, y: I16, n: int
) -> row_blocks.Counts:
    frame, word, to, _ = _modes(do, n)
    short, long = _tables(do, words, doubles, quads)
    if do.op == PLAIN:
        weights, offsets, starts, shifts, bias = long[0], long[1], long[3], long[4], long[6]
        how = (do.method, do.word_low, do.word_high)
        return plain.run(x, y, weights, offsets, starts, bias, shifts, frame, how, to)
    steps = (
        words[do.fine_weights : do.fine_weights + do.fine_weights_size],
        quads[do.fine_offsets : do.fine_offsets + do.fine_offsets_size],
        matrix(quads[do.fine_cuts :], do.columns, do.segments + 1),
        matrix(words[do.matrix :], do.matrix_k, do.lanes),
        quads[do.edges : do.edges + do.segments + 1],
        quads[do.kinds : do.kinds + do.matrix_k],
        do.features,
    )
    if do.op == CLAMP_32:
        overflows, saturations = clamping.clamped(x, y, short, steps, frame, word, to)
    else:
        overflows, saturations = clamping.clamped(x, y, long, steps, frame, word, to)
    return overflows + do.bias_overflows * n, saturations


@part
def _pool(do: np.void, x: I16, y: I16, n: int) -> int:
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
    limit = do.low if do.kind == MAX else do.high
    return pool.pool(do.kind, x, shape, window, rim, limit, y, n)
