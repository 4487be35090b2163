"""Measure each kernel alone against numpy's sgemm: one thread, CPU seconds, turn about.

Run ``python tests/benchmarks/kernels.py``. A ratio above 1 is faster than sgemm on the same product
of 10,000 images by 784 inputs and 100 outputs; kernels include the cast to 16 bits.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.kernels import codes, packing, plain, products
from fxpnn.kernels.packing import Packed, Steps
from fxpnn.kernels.pipeline import alone

Words: TypeAlias = npt.NDArray[np.int16]
Run: TypeAlias = Callable[[], object]

IMAGES, INPUTS, OUTPUTS, BLOCK = 9600, 784, 100, 480
REPEATS = 7
MODES = (0, 0, -32768, 32767, -32768)
LIMITS_32, LIMITS_24 = (-(2**31), 2**31 - 1), (-(2**23), 2**23 - 1)
NOTHING = np.zeros((0, 1), np.int64)
EXACT, CLAMPED, PLAIN = map(alone, (products.exact, products.clamped, plain.run))


def one_thread() -> None:
    """Start again with one BLAS thread, unless that is so."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | single)


def turn_about(runs: Mapping[str, Run]) -> dict[str, float]:
    """Run each in turn, several times; return the least CPU seconds of each."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(1 + REPEATS):  # the first compiles
        for name, run in runs.items():
            begin = time.thread_time()
            run()
            best[name] = min(best[name], time.thread_time() - begin)
    return best


def normal(seed: int, shape: tuple[int, ...], deviation: float) -> Words:
    """Draw words from a normal distribution, clipped to 16 bits."""
    drawn = np.random.default_rng(seed).normal(0, deviation, shape)
    return np.clip(drawn, -32768, 32767).astype(np.int16)


def tables(packed: Packed, starts: Any, outputs: int, sums: type, windows: Any = NOTHING) -> Any:
    """Put a layer's arrays together, with a bias of 0 and a shift of 14 bits."""
    bias: Any = np.zeros(outputs, np.int64)
    lanes: Any = packing.fill_lanes(bias).astype(sums), packing.fill_lanes(bias + 14)
    return (*packed, starts, *lanes, windows)


def dense(
    x: Words, packed: Packed, sums: type, outputs: int, steps: Steps | None, word: Any
) -> Run:
    """Return a run of a dense layer over all images, block by block."""
    images, inputs = x.shape
    block = min(BLOCK, images)
    flat, out = np.append(x.ravel(), np.int16(0)), np.empty(images * outputs, np.int16)
    layer = tables(packed, np.arange(block) * inputs, outputs, sums)
    parts: Any = None if steps is None else tuple(steps)
    frame = (1, block * inputs, outputs, 0, 0, 0, 0, 0)

    def run() -> None:
        for first in range(0, images, block):
            words, made = flat[first * inputs :], out[first * outputs : (first + block) * outputs]
            if parts is None:
                EXACT(words, made, layer, frame, word, False, MODES)
            else:
                CLAMPED(words, made, layer, parts, frame, word, MODES)

    return run


def scalar(x: Words, weight: Words, word: Any) -> Run:
    """Return a run of the plain loops, clamped after each product, on one block's first rows."""
    outputs, inputs = weight.shape
    flat, out = np.append(x.ravel(), np.int16(0)), np.empty(len(x) * outputs, np.int16)
    shifts, frame = np.full(outputs, 14), (1, x.size, outputs, 0, 0, 0, 0, 0)
    rows, bias = np.arange(len(x)) * inputs, np.zeros(outputs, np.int64)
    how = (codes.CLAMPED, *word)
    return lambda: PLAIN(
        flat, out, weight.ravel(), np.arange(inputs), rows, bias, shifts, frame, how, MODES
    )


def against_sgemm() -> None:
    """Print each kernel's rate and its ratio to sgemm on the same product."""
    x, weight = normal(0, (IMAGES, INPUTS), 300), normal(1, (OUTPUTS, INPUTS), 1500)
    wild_x, wild_weight = normal(2, (IMAGES, INPUTS), 30000), normal(3, (OUTPUTS, INPUTS), 30000)
    offsets, few = np.arange(INPUTS), IMAGES // 40
    ends = x.min(axis=0).astype(np.int64), x.max(axis=0).astype(np.int64)
    chunks = packing.pack_chunks(weight, offsets, *ends)
    finer = packing.pack_chunks(weight, offsets, np.full(INPUTS, -32768), np.full(INPUTS, 32767))
    tame_pairs, tame = packing.pack_steps(weight, offsets, INPUTS)
    wild_pairs, wild = packing.pack_steps(wild_weight, offsets, INPUTS)
    floats, matrix = x.astype(np.float32), np.ascontiguousarray(weight.T.astype(np.float32))
    pack = packing.pack(weight, offsets)
    runs: dict[str, Run] = {
        "numpy sgemm": lambda: floats @ matrix,
        "plain 32-bit": dense(x, pack, np.int32, OUTPUTS, None, LIMITS_32),
        "64-bit, 1 chunk": dense(x, chunks, np.int64, OUTPUTS, None, LIMITS_32),
        f"64-bit, {finer.cuts.shape[1] - 1} chunks": dense(
            x, finer, np.int64, OUTPUTS, None, LIMITS_32
        ),
        "saturating 32, bound holds": dense(x, tame_pairs, np.int32, OUTPUTS, tame, LIMITS_32),
        "saturating 32, every step": dense(wild_x, wild_pairs, np.int32, OUTPUTS, wild, LIMITS_32),
        "clamped to 24, every step": dense(wild_x, wild_pairs, np.int32, OUTPUTS, wild, LIMITS_24),
        "clamped to 48, every step": dense(
            wild_x, wild_pairs, np.int64, OUTPUTS, wild, (-(2**47), 2**47 - 1)
        ),
        "saturating 32, scalar loop": scalar(wild_x[:few], wild_weight, LIMITS_32),
    }
    seconds = turn_about(runs)
    seconds["saturating 32, scalar loop"] *= IMAGES / few
    print(f"{'kernel':<30}{'GMAC/s':>8}{'sgemm = 1':>11}")
    for name, time_taken in seconds.items():
        rate = IMAGES * INPUTS * OUTPUTS / time_taken / 1e9
        print(f"{name:<30}{rate:8.1f}{seconds['numpy sgemm'] / time_taken:11.2f}")


def over_sizes() -> None:
    """Print the rate of plain sums over layer sizes, kernels and channels, on a block in cache."""
    runs: dict[str, Run] = {}
    work: dict[str, int] = {}
    for size in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096):
        name, packed = f"dense {size}", packing.pack(normal(1, (size, size), 300), np.arange(size))
        once = dense(normal(0, (BLOCK, size), 300), packed, np.int32, size, None, LIMITS_32)
        runs[name], work[name] = repeated(once, BLOCK * size * size)
    for kernel in (1, 3, 5, 7):
        for channels in (8, 16, 32, 64, 128, 256):
            name = f"{kernel}x{kernel} on {channels} channels"
            runs[name], work[name] = repeated(*convolution(kernel, channels))
    print(f"\n{'layer':<30}{'GMAC/s':>8}")
    for name, seconds in turn_about(runs).items():
        print(f"{name:<30}{work[name] / seconds / 1e9:8.1f}")


def repeated(run: Run, macs: int) -> tuple[Run, int]:
    """Repeat a run until it takes some milliseconds; also return its multiply-adds."""
    times = max(1, 2**28 // macs)

    def runs() -> None:
        for _ in range(times):
            run()

    return runs, times * macs


def convolution(kernel: int, channels: int, side: int = 16) -> tuple[Run, int]:
    """Return a run of a convolution that keeps its channels, and its multiply-adds."""
    width = side + kernel - 1
    images = max(1, 2**17 // (width * width * channels))
    weight = normal(channels, (channels, channels, kernel, kernel), 300)
    rows = packing.convolution(weight, 1, (1, 1), (1, 1), width, (side, side))
    outputs = rows.share * channels
    layer = tables(packing.pack(rows.weight, rows.offsets), rows.starts, outputs, np.int32)
    x = normal(0, (images * width * width * channels + 1,), 300)
    out = np.empty(images * side * side * channels, np.int16)
    frame = (images, width * width * channels, outputs, 0, 0, 0, 0, 0)
    macs = images * side * side * channels * channels * kernel * kernel
    return lambda: EXACT(x, out, layer, frame, LIMITS_32, False, MODES), macs


if __name__ == "__main__":
    one_thread()
    against_sgemm()
    over_sizes()
