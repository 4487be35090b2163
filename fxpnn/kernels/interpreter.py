"""The interpreter: one compiled call runs a whole program of layers on a block of images.

A program is a list of instructions and the pools of constants that they point into. Tensors lie in
one workspace, image by image. One call for all layers costs one image no more than its sums, keeps
a block in cache from its pixels to its classes, and lets go of Python's lock once.
"""

from typing import TypeAlias

import numpy as np

from fxpnn.kernels import (
    clamping,
    depthwise,
    lookup,
    matmul,
    moves,
    octets,
    pairs,
    plain,
    pool,
    products,
    registers,
    row_blocks,
    softmax,
)
from fxpnn.kernels.arithmetic import I16, I32, I64, Bools
from fxpnn.kernels.build.decorators import loop, part
from fxpnn.kernels.build.memory import empty, free, matrix
from fxpnn.kernels.layout.instructions import (
    ADD,
    CLAMP_32,
    FILL,
    LOOK_UP,
    LOOPS,
    MEAN,
    MOVE,
    MUL,
    PLAIN,
    POOL,
    REGISTER,
    SLOPE,
    SUM_32,
    SUM_64,
    WRAPPED,
    Code,
    Target,
)
from fxpnn.kernels.layout.packing import LIMIT

Pools: TypeAlias = tuple[I16, I32, I64, Bools]
"""The constants that instructions point into, by their width, and flags of words."""


@loop
def run(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run instructions on the ``n`` images whose words stand in the workspace.

    ``counts`` is ``(nodes, 3)``: the accumulator's overflows, the output's, and outputs below 0
    that are counted apart are added to it. Nothing is checked.
    """
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        if do.op <= SUM_64:
            frame, word, to, wraps = _modes(do, n)
            short, long = _tables(do, words, doubles, quads)
            if do.op == SUM_32:
                lost = products.exact(x, y, short, frame, word, wraps, to)
            else:
                lost = products.exact(x, y, long, frame, word, wraps, to)
            for kind in range(3):
                counts[do.node, kind] += lost[kind]
        elif do.op == LOOK_UP:
            if do.flagged >= 0:  # first, since answers may take their words' place
                flagged = flags[do.flagged : do.flagged + 65536]
                counts[do.node, 1] += lookup.count(x[:-1], flagged)
            if do.fallen >= 0:
                fallen = flags[do.fallen : do.fallen + 65536]
                counts[do.node, 2] += lookup.count(x[:-1], fallen)
            lookup.look_up(x[:-1], words[do.weights : do.weights + 65536], y)
        elif do.op == POOL:
            saturations, fallen = _pool(do, x, y, n)
            fallen *= do.apart
            counts[do.node, 1] += saturations - fallen
            counts[do.node, 2] += fallen
        elif do.op == MEAN:
            windows = matrix(quads[do.windows :], do.pooled, do.taps)
            pool.mean_pool(x, do.x_words, windows, do.channels, y, n)
        elif do.op == FILL:
            y[:] = do.low
        elif do.op == MOVE:
            runs = matrix(quads[do.moves :], do.moves_size, 2 + 3 * LOOPS)
            moves.move(x, do.x_words, runs, y, do.y_words, n)
        else:
            table = doubles[do.weights : do.weights + do.weights_size]
            rows = matrix(x, y.size // do.classes, do.classes)
            shares = matrix(y, y.size // do.classes, do.classes)
            spans = matrix(quads[do.spans :], do.spans_size, 2)
            softmax.softmax(rows, table, do.shift, spans, shares)


@loop
def run_rare(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run the rarer instructions, as ``run`` does the others."""
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        to, fallen = Target(do.rounding, do.overflow, do.low, do.high), 0
        if do.op == SLOPE:
            slopes = quads[do.weights : do.weights + do.x_words]
            shifts = quads[do.shifts : do.shifts + do.x_words]
            saturations = lookup.slope(x[:-1], slopes, shifts, to, y)
        elif do.op == ADD or do.op == MUL:
            saturations, fallen = _pair(do, x, space[do.other :], y, n)
        else:
            table = doubles[do.weights : do.weights + do.weights_size]
            rows = matrix(x, y.size // do.classes, do.classes)
            shares = matrix(y, y.size // do.classes, do.classes)
            spans = matrix(quads[do.spans :], do.spans_size, 2)
            saturations = softmax.shifted_softmax(rows, table, do.shift, do.low, spans, shares)
        counts[do.node, 1] += saturations
        counts[do.node, 2] += fallen


@loop
def run_steps(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run the sums that go step by step, as ``run`` does the others."""
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        overflows, saturations, fallen = _stepwise(do, words, doubles, quads, x, y, n)
        counts[do.node, 0] += overflows
        counts[do.node, 1] += saturations
        counts[do.node, 2] += fallen


@loop
def run_depthwise(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run depthwise convolutions, as ``run`` does the others."""
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        lanes, rule = slice(do.bias, do.bias + do.lanes), slice(do.rule, do.rule + 4 * do.lanes)
        tables = (
            words[do.weights : do.weights + do.weights_size],
            quads[do.offsets : do.offsets + do.offsets_size],
            quads[do.cuts : do.cuts + do.segments + 1],
            quads[do.starts : do.starts + do.strip * do.rows],
            quads[lanes],
            quads[do.shifts : do.shifts + do.lanes],
            doubles[rule],
        )
        frame = (
            n,
            do.x_words,
            do.made,
            do.outputs,
            do.rows,
            do.strip,
            do.stride_h,
            do.origin_h,
            do.reach,
            do.lines,
            do.length,
            do.pitch,
            do.origin,
            do.total,
            do.level,
            do.near,
        )
        to = (do.rounding, do.overflow, do.low, do.high, do.least, do.most, do.apart)
        lost = depthwise.depthwise(x, y, tables, frame, to)
        for kind in range(3):
            counts[do.node, kind] += lost[kind]


@loop
def run_matmul(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run products of two tensors' matrices, as ``run`` does layers of products.

    Each matrix of the second is packed as the weights of the rows of the first; one that several
    meet in a row is packed once. No chunk of products is longer than the largest words of both
    let it be, so that its sum fits 32 bits. Where two products of -32768 by -32768 may meet, each
    has a pair of its own.
    """
    for i in range(code.size):
        do = code[i]
        packed = empty(do.weights_size, np.int16)
        offsets, cuts = empty(do.columns * do.k, np.int64), empty(do.columns * (do.k + 1), np.int64)
        firsts, size = matrix(quads[do.firsts :], do.matrices, 2), do.rows * do.outputs
        inner, steps = (do.k, do.outputs), (do.down, do.across)
        starts = quads[do.starts : do.starts + do.rows]
        together, largest, segments = 0, 0, 0
        for block in range(n * do.matrices):
            image, which = block // do.matrices, block % do.matrices
            x = space[do.x + image * do.x_words + firsts[which, 0] :]
            other = space[do.other + image * do.other_words + firsts[which, 1] :]
            fresh = which == 0 or firsts[which, 1] != firsts[which - 1, 1]
            if do.sums != SUM_64:
                if fresh:
                    matmul.turn(other, inner, steps, packed)
            else:
                if fresh:
                    together = 2
                    largest = matmul.pack(other, inner, steps, together, packed)
                most, whole = matmul.magnitudes(x, starts, do.k)
                most, whole = largest * most, largest * whole
                wanted = 2 if min(2 * most, whole) <= LIMIT else 1
                if wanted != together:
                    together = wanted
                    matmul.pack(other, inner, steps, together, packed)
                segments = matmul.cut(do.columns, do.k, together, most, whole, offsets, cuts)
            y = space[do.y + block * size : do.y + (block + 1) * size]
            chunks = offsets, matrix(cuts, do.columns, segments + 1)
            lost = _multiplied(do, packed, chunks, doubles, quads, x, y)
            for kind in range(3):
                counts[do.node, kind] += lost[kind]
        free((packed, offsets, cuts))


@part
def _multiplied(
    do: np.void,
    weights: I16,
    chunks: tuple[I64, I64],
    doubles: I32,
    quads: I64,
    x: I16,
    y: I16,
) -> row_blocks.Counts:
    """Multiply rows by packed weights, as ``do`` says the sums are made."""
    frame, word, to, wraps = _modes(do, 1)
    _, long = _tables(do, weights, doubles, quads)
    offsets, starts, shifts, bias = long[1], long[3], long[4], long[6]
    if do.sums == SUM_64:
        tables = (weights, *chunks, *long[3:])
        return products.exact(x, y, tables, frame, word, wraps, to)
    if do.sums == PLAIN:
        how = (do.method, do.word_low, do.word_high)
        return plain.run(x, y, weights, offsets, starts, bias, shifts, frame, how, to)
    constants = weights, offsets, starts, bias, shifts, quads[do.drops : do.drops + do.lanes]
    register = do.method, do.word_low, do.word_high, do.drop_rounding, do.casts != 0
    return registers.run(x, y, constants, frame, register, to)


@loop
def run_octets(
    n: int, code: Code, words: I16, doubles: I32, quads: I64, flags: Bools, space: I16, counts: I64
) -> None:
    """Run sums of bytes, as ``run`` does the others."""
    for i in range(code.size):
        do = code[i]
        x, y = _ends(do, space, n)
        frame, word, to, wraps = _modes(do, n)
        short, _ = _tables(do, words, doubles, quads)
        framed, inside = octets.frames(x, frame, do.lift)
        lost = products.exact(framed, y, short, inside, word, wraps, to)
        free((framed,))
        for kind in range(3):
            counts[do.node, kind] += lost[kind]


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
    to = (do.rounding, do.overflow, do.low, do.high, do.least, do.most, do.apart)
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
    if do.op == PLAIN or do.op == REGISTER:
        weights, offsets, starts, shifts, bias = long[0], long[1], long[3], long[4], long[6]
        if do.op == PLAIN:
            how = (do.method, do.word_low, do.word_high)
            return plain.run(x, y, weights, offsets, starts, bias, shifts, frame, how, to)
        constants = weights, offsets, starts, bias, shifts, quads[do.drops : do.drops + do.lanes]
        register = do.method, do.word_low, do.word_high, do.drop_rounding, do.casts != 0
        return registers.run(x, y, constants, frame, register, to)
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
        lost = clamping.clamped(x, y, short, steps, frame, word, to)
    else:
        lost = clamping.clamped(x, y, long, steps, frame, word, to)
    return lost[0] + do.bias_overflows * n, lost[1], lost[2]


@part
def _pair(do: np.void, x: I16, other: I16, y: I16, n: int) -> tuple[int, int]:
    """Combine each image's words with those beside them; all images at once if none repeats."""
    how = np.int64(do.op == MUL), do.lift, do.other_lift, do.shift
    to = (do.rounding, do.overflow, do.low, do.high, do.least, do.most, do.apart)
    images, words, period = n, do.x_words, do.other_words
    if period == words:
        images, words, period = 1, n * words, n * period
    saturations, fallen = 0, 0
    for image in range(images):
        a, b = x[image * words :], other[image * period :]
        out, done = y[image * words :], 0
        if do.short:
            done, over, below = pairs.by_vectors(a, b, words, period, how, to, out)
            saturations, fallen = saturations + over, fallen + below
        over, below = lookup.combine(a, b[:period], how, to, done, out[:words])
        saturations, fallen = saturations + over, fallen + below
    return saturations, fallen


@part
def _pool(do: np.void, x: I16, y: I16, n: int) -> tuple[int, int]:
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
    to = Target(do.rounding, do.overflow, do.low, do.high)
    return pool.pool(do.kind, x, shape, window, rim, do.shift, to, y, n)
