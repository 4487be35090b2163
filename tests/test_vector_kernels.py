"""The fast kernels equal sums and casts of Python integers, for every shape, width and overflow."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from fxpnn.kernels import packing, products, vector
from fxpnn.kernels.arithmetic import target
from fxpnn.kernels.packing import LANES
from fxpnn.layers import Window
from fxpnn.qformat import Accumulator, Overflow, QFormat, Rounding
from tests.oracles import cast_rational, saturated_sum, wrapped_sum

Ints = npt.NDArray[np.int64]
WORD16 = QFormat(16, 0)
WIDE = Accumulator(62)


@dataclass(frozen=True)
class Case:
    """A dense layer, a block of its inputs, and how it sums and casts."""

    x: Ints
    weight: Ints
    bias: Ints
    accumulator: Accumulator = WIDE
    shift: int = 8
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE
    output: QFormat = WORD16
    relu: bool = False

    def modes(self) -> tuple[int, int, int, int, int]:
        """Encode the cast for the kernels."""
        to = target(self.output, self.rounding, self.overflow)
        return (*to, 0 if self.relu else -32768)

    def expected(self) -> tuple[Ints, int, int]:
        """Compute in Python integers: outputs, overflows of the accumulator and of the cast."""
        total = wrapped_sum if self.accumulator.overflow is Overflow.WRAP else saturated_sum
        products = self.x.astype(object)[:, None, :] * self.weight.astype(object)
        out, overflows, saturations = np.zeros(products.shape[:2], np.int64), 0, 0
        for at in np.ndindex(out.shape):
            acc, more = total(self.accumulator, [int(self.bias[at[1]]), *products[at]])
            scaled = Fraction(acc, 1) / Fraction(2) ** self.shift
            raw, over = cast_rational(scaled, self.output, self.rounding, self.overflow)
            out[at] = max(raw, 0) if self.relu else raw
            overflows, saturations = overflows + more, saturations + over
        return out, overflows, saturations


def block(x: Ints) -> npt.NDArray[np.int16]:
    """Lay rows out as the kernels read them, with one word behind that no weight meets."""
    return np.append(x.ravel(), 77).astype(np.int16)


def tables(packed: packing.Packed, starts: Ints, bias: Any, shift: int, windows: Ints) -> Any:
    """Put a layer's arrays together."""
    shifts = packing.fill_lanes(np.full(len(bias), shift))
    return (*packed, starts, packing.fill_lanes(bias), shifts, windows)


NO_WINDOWS = np.zeros((0, 1), np.int64)


def run_exact(case: Case, sums: type = np.int32, packed: packing.Packed | None = None) -> Any:
    """Run a dense layer with exact sums of 32 or 64 bits."""
    (n, k), outputs = case.x.shape, len(case.weight)
    weight, offsets = case.weight.astype(np.int16), np.arange(k)
    packed = packed or packing.pack(weight, offsets)
    layer = tables(packed, np.arange(n) * k, case.bias.astype(sums), case.shift, NO_WINDOWS)
    out = np.empty(n * outputs, np.int16)
    word = case.accumulator.min, case.accumulator.max
    wraps = case.accumulator.overflow is Overflow.WRAP
    frame = (1, n * k, outputs, 0, 0, 0, 0, 0)
    counts = products.exact(block(case.x), out, layer, frame, word, wraps, case.modes())
    return out.reshape(n, outputs), *counts


def run_chunked(case: Case) -> Any:
    """Run a dense layer with sums of 64 bits, in chunks that fit 32 for every int16 input."""
    k = case.x.shape[1]
    weight = case.weight.astype(np.int16)
    packed = packing.pack_chunks(weight, np.arange(k), np.full(k, -32768), np.full(k, 32767))
    return run_exact(case, np.int64, packed)


def run_clamped(case: Case) -> Any:
    """Run a dense layer with sums that are clamped after each product."""
    (n, k), outputs = case.x.shape, len(case.weight)
    pairs, steps = packing.pack_steps(case.weight.astype(np.int16), np.arange(k), k)
    word = case.accumulator.min, case.accumulator.max
    bias = np.clip(case.bias, *word).astype(np.int32 if case.accumulator.word <= 32 else np.int64)
    layer = tables(pairs, np.arange(n) * k, bias, case.shift, NO_WINDOWS)
    out = np.empty(n * outputs, np.int16)
    frame = (1, n * k, outputs, 0, 0, 0, 0, 0)
    overflows, saturations = products.clamped(
        block(case.x), out, layer, tuple(steps), frame, word, case.modes()
    )
    overflows += n * int((bias != case.bias).sum())
    return out.reshape(n, outputs), overflows, saturations


def assert_equal(found: Any, case: Case) -> None:
    """Compare outputs and both counts."""
    outputs, *counts = case.expected()
    np.testing.assert_array_equal(found[0], outputs)
    assert list(found[1:]) == counts


def random_case(seed: int, n: int, k: int, outputs: int, x: int = 300, weight: int = 300) -> Case:
    """Draw words and weights up to the given magnitudes."""
    rng = np.random.default_rng(seed)
    return Case(
        rng.integers(-x, x, (n, k)),
        rng.integers(-weight, weight, (outputs, k)),
        rng.integers(-(10**6), 10**6, outputs),
    )


SHAPES = [
    (1, 1, 1),
    (1, 2, 1),
    (2, 1, 3),
    (7, 3, 16),
    (8, 5, 17),
    (9, 16, 15),
    (17, 33, 33),
    (3, 300, 2),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("run", [run_exact, run_chunked, run_clamped])
def test_every_shape_gives_the_sums_of_integers(run: Any, shape: tuple[int, int, int]) -> None:
    """Shapes that fill no vector, tile or pair are computed like all others."""
    case = random_case(sum(shape), *shape)
    assert_equal(run(case), case)


def test_pairs_of_the_most_negative_word_wrap_only_on_the_way() -> None:
    """Two products of -32768 by -32768 make 2**31, yet a sum that fits 32 bits is exact."""
    lowest = np.full((9, 4), -32768)
    weight = np.array([[-32768, -32768, 32767, 1], [-32768, -32768, -1, 0]])
    case = Case(lowest, weight, np.array([-1, -(2**31)]), shift=16)
    assert_equal(run_exact(case), case)
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("run", [run_chunked, run_clamped])
def test_extreme_words_are_summed_in_64_bits(run: Any) -> None:
    """Sums of many products of 2**30 leave 32 bits without a trace where the word is wide."""
    x = np.array([[-32768] * 40, [32767] * 40, [-32768, 32767] * 20])
    weight = np.array([[-32768] * 40, [32767] * 40, [32767, -32768] * 20])
    case = Case(x, weight, np.array([-(2**40), 2**40, 0]), Accumulator(48), shift=22)
    assert_equal(run(case), case)


@pytest.mark.parametrize("word", [8, 16, 24, 31, 32, 33, 40, 62])
@pytest.mark.parametrize("shape", [(9, 7, 3), (1, 300, 17)], ids=str)
def test_clamped_sums_equal_a_walk_through_integers(word: int, shape: tuple[int, int, int]) -> None:
    """Each add is clamped, and each clamp counted, the bias's too, for words of every kind."""
    case = random_case(word, *shape, x=32768, weight=32768)
    limit = 2 ** min(word - 1, 60)
    bias = np.resize([0, limit, limit - 1, -limit, -limit - 1], shape[2])
    case = replace(case, bias=bias, accumulator=Accumulator(word), shift=max(0, word - 16))
    assert_equal(run_clamped(case), case)


@pytest.mark.parametrize("word", [24, 32, 40])
def test_segments_with_and_without_room_take_turns(word: int) -> None:
    """Sums jump through quiet segments, walk through wild ones, and try what only may be wild."""
    rng = np.random.default_rng(word)
    loud = np.repeat(2 ** rng.integers(0, 16, 19), packing.SEGMENT)
    weight = (rng.normal(0, 0.5, (20, loud.size)) * loud).clip(-32768, 32767).astype(np.int64)
    x = (rng.normal(0, 2.0 ** min(14, word - 17), (17, loud.size))).astype(np.int64)
    room = 2 ** min(word - 2, 30)  # from a limit, as far as some dozen products go
    bias = np.resize([2 ** (word - 1) - room, room - 2 ** (word - 1)], 20)
    case = Case(x.clip(-32768, 32767), weight, bias, Accumulator(word), shift=word - 16)
    assert 0 < case.expected()[1] < 0.1 * x.size * len(weight)
    assert_equal(run_clamped(case), case)


@pytest.mark.parametrize("word", [16, 32, 40])
@pytest.mark.parametrize(("step", "sign"), [(0, -1), (1, 1), (150, -1), (259, 1)])
def test_a_single_overflow_is_found_wherever_it_stands(word: int, step: int, sign: int) -> None:
    """One add clamps, in the first, a middle or the last step, in one row and one lane."""
    x, weight = np.zeros((9, 260), np.int64), np.zeros((17, 260), np.int64)
    x[4, step], weight[16, step] = 32767, sign * 32767
    x[:, step - 1], weight[:, step - 1] = 1, -sign  # a clamped sum leaves its limit again
    bias = np.zeros(17, np.int64)
    bias[16] = sign * (2 ** (word - 1) - 10)
    case = Case(x, weight, bias, Accumulator(word), shift=word - 16)
    assert case.expected()[1] == 1
    assert_equal(run_clamped(case), case)


@dataclass(frozen=True)
class Maps:
    """A convolution over maps ``(N, channels, height, width)``, and the pool behind it."""

    x: Ints
    weight: Ints
    bias: Ints
    window: Window
    groups: int = 1
    pool: Window | None = None

    @property
    def positions(self) -> tuple[int, int]:
        """Give the lines and pixels of the output, before a pool."""
        return self.window.output(*self.x.shape[2:])

    def patches(self, group: int) -> Ints:
        """Gather what each position of each image sees, in the order of summing."""
        top, left, bottom, right = self.window.padding
        padded = np.pad(self.x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        depth = self.weight.shape[1]
        (kh, kw), (sh, sw), (dh, dw) = self.window.kernel, self.window.stride, self.window.dilation
        seen = [
            image[
                group * depth : (group + 1) * depth,
                line * sh : line * sh + dh * kh : dh,
                pixel * sw : pixel * sw + dw * kw : dw,
            ].ravel()
            for image in padded
            for line, pixel in np.ndindex(self.positions)
        ]
        return np.array(seen)

    def expected(self, case: Case) -> Any:
        """Compute each group as a dense layer, then the pool; outputs pixel by pixel."""
        made = len(self.weight) // self.groups
        parts = []
        for group in range(self.groups):
            mine = slice(group * made, (group + 1) * made)
            weight = self.weight[mine].reshape(made, -1)
            dense = replace(case, x=self.patches(group), weight=weight, bias=self.bias[mine])
            parts.append(dense.expected())
        out = np.concatenate([part[0] for part in parts], axis=1)
        maps = out.reshape(len(self.x), *self.positions, -1)
        overflows, saturations = (sum(part[i] for part in parts) for i in (1, 2))
        return maps if self.pool is None else pooled(maps, self.pool), overflows, saturations


def pooled(maps: Ints, window: Window) -> Ints:
    """Keep the largest value of each window of ``(N, lines, pixels, channels)``."""
    top, left, bottom, right = window.padding
    lines, pixels = window.output(*maps.shape[1:3])
    (sh, sw), (dh, dw), (kh, kw) = window.stride, window.dilation, window.kernel
    around = ((0, 0), (top, bottom + kh), (left, right + kw), (0, 0))
    padded = np.pad(maps, around, constant_values=-32768)
    out = np.empty((len(maps), lines, pixels, maps.shape[3]), np.int64)
    for line, pixel in np.ndindex(lines, pixels):
        y, z = line * sh, pixel * sw
        out[:, line, pixel] = padded[:, y : y + dh * kh : dh, z : z + dw * kw : dw].max((1, 2))
    return out


def run_maps(maps: Maps, case: Case) -> Any:
    """Run a convolution, clamped if the accumulator is narrow, and its pool."""
    n, channels, height, width = maps.x.shape
    (top, left, bottom, right), window = maps.window.padding, maps.window
    pitch = (width + left + right) * channels
    rows = packing.convolution(
        maps.weight.astype(np.int16),
        maps.groups,
        window.stride,
        window.dilation,
        width + left + right,
        maps.positions,
    )
    outputs = len(maps.weight)
    windows = NO_WINDOWS
    final = maps.positions
    if maps.pool is not None:
        final = maps.pool.output(*maps.positions)
        pool = maps.pool
        geometry = pool.kernel, pool.stride, pool.padding[:2], pool.dilation
        windows = packing.pool_windows(geometry, maps.positions, final, rows.share, outputs)
    total = (height + top + bottom) * pitch + 1 if any(window.padding) else 0
    made = outputs if maps.pool else outputs * rows.share
    length, origin = width * channels, top * pitch + left * channels
    frame = (n, length * height, made, height, length, pitch, origin, total)
    word, modes = (case.accumulator.min, case.accumulator.max), case.modes()
    x = block(maps.x.transpose(0, 2, 3, 1))
    out = np.empty(n * final[0] * final[1] * outputs, np.int16)
    narrow = case.accumulator.word <= 32
    bias = np.tile(np.clip(maps.bias, *word), rows.share).astype(np.int32 if narrow else np.int64)
    if narrow:
        taps = 2 * window.kernel[0] * window.kernel[1]
        pairs, steps = packing.pack_steps(rows.weight, rows.offsets, channels, taps)
        layer = tables(pairs, rows.starts, bias, case.shift, windows)
        counts = products.clamped(x, out, layer, tuple(steps), frame, word, modes)
    else:
        least = np.full(len(rows.offsets), -32768)
        packed = packing.pack_chunks(rows.weight, rows.offsets, least, -least - 1)
        layer = tables(packed, rows.starts, bias, case.shift, windows)
        counts = products.exact(x, out, layer, frame, word, False, modes)
    return out.reshape(n, *final, outputs), *counts


GEOMETRIES = {
    "one channel, pixels share lanes": (1, 6, Window((5, 5)), 1, 12),
    "one pixel": (3, 2, Window((4, 4)), 1, 4),
    "one by one": (5, 17, Window((1, 1)), 1, 4),
    "padded": (3, 5, Window((3, 3), padding=(1, 2, 0, 1)), 1, 6),
    "strided, wider than high": (2, 3, Window((1, 4), stride=(2, 3)), 1, 10),
    "dilated": (3, 4, Window((2, 3), dilation=(3, 2), padding=(1, 1, 1, 1)), 1, 9),
    "grouped": (6, 8, Window((3, 3), padding=(1, 1, 1, 1)), 2, 5),
    "depthwise": (18, 18, Window((3, 3)), 18, 5),
    "even lines share with stride": (2, 4, Window((3, 3), stride=(2, 2)), 1, 9),
}


@pytest.mark.parametrize("word", [24, 62])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolutions_equal_dense_layers_of_patches(name: str, word: int) -> None:
    """Any stride, padding, dilation and groups, exact or clamped, with every count."""
    channels, outputs, window, groups, size = GEOMETRIES[name]
    rng = np.random.default_rng(len(name))
    weight = rng.integers(-32768, 32768, (outputs, channels // groups, *window.kernel))
    x = rng.integers(-2000, 2000, (2, channels, size, size))
    maps = Maps(x, weight, rng.integers(-(10**6), 10**6, outputs), window, groups)
    case = Case(x, weight, maps.bias, Accumulator(word), shift=10)
    found, expected = run_maps(maps, case), maps.expected(case)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]


POOLS = [
    Window((2, 2), (2, 2)),
    Window((3, 2), (1, 2)),
    Window((3, 3), (2, 2), (1, 1, 1, 1)),
    Window((2, 2), (3, 3), ceil_mode=True),
    Window((2, 2), (1, 1), dilation=(2, 3)),
]


@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda o: o.value)
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_a_pool_keeps_the_largest_cast_value(pool: Window, overflow: Overflow) -> None:
    """A max pool behind the cast works on lanes and shared pixels; all casts are counted."""
    rng = np.random.default_rng(1)
    x, weight = rng.integers(-300, 300, (3, 1, 12, 12)), rng.integers(-300, 300, (6, 1, 5, 5))
    maps = Maps(x, weight, rng.integers(-300, 300, 6), Window((5, 5)), pool=pool)
    case = Case(x, weight, maps.bias, shift=4, overflow=overflow, relu=overflow.value == "wrap")
    found, expected = run_maps(maps, case), maps.expected(case)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]
    assert found[2] > 0


def near_ties(shift: int, bits: int) -> Ints:
    """Return sums on and beside ties and limits, 33 of them, that fit a word of ``bits``."""
    quotients = [-32769, -32768, -32767, -3, -2, -1, 0, 1, 2, 32767, 32766]
    half = 2**shift // 2
    sums = [q * 2**shift + half + beside for q in quotients for beside in (-1, 0, 1)]
    return np.array([sorted((-(2 ** (bits - 1)), s, 2 ** (bits - 1) - 1))[1] for s in sums])


@pytest.mark.parametrize("rounding", list(Rounding), ids=lambda r: r.value)
@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda o: o.value)
@pytest.mark.parametrize("sums", [np.int32, np.int64], ids=["32", "64"])
def test_casts_round_and_overflow_as_rationals_do(
    rounding: Rounding, overflow: Overflow, sums: type
) -> None:
    """Sums on and beside a tie or a limit are cast and counted exactly, in vectors and alone."""
    bits = 31 if sums is np.int32 else 60
    for shift in (-70, -3, 0, 1, 2, 13, 14, 30, 31, 44, 62, 63, 80):
        bias = near_ties(min(max(shift, 0), 45), bits)
        x, weight = np.zeros((4, 1), np.int64), np.zeros((len(bias), 1), np.int64)
        for output in (WORD16, QFormat(7, 0), QFormat(15, 0, signed=False)):
            case = Case(x, weight, bias, Accumulator(62), shift, rounding, overflow, output)
            assert_equal(run_exact(case, sums), case)


@pytest.mark.parametrize("word", [8, 24, 32, 48])
def test_totals_wrap_and_are_counted(word: int) -> None:
    """A wrapping accumulator keeps the total's low bits and counts what did not fit."""
    case = random_case(word, 9, 40, 5, x=32768, weight=32768)
    case = replace(case, accumulator=Accumulator(word, Overflow.WRAP), shift=max(0, word - 16))
    assert_equal(run_chunked(case), case)


def test_a_relu_comes_behind_the_count() -> None:
    """A negative value out of range is counted, and then raised to 0."""
    case = replace(random_case(3, 9, 20, 5, 32767, 32767), relu=True)
    assert_equal(run_chunked(case), case)


@pytest.mark.parametrize("height", [1, 2, 5, 8])
def test_tiles_of_every_machine_sum_alike(height: int) -> None:
    """The tile that another machine's registers hold gives the same sums and counts here."""

    def tile(x: Any, pairs: Any, products: Any, bias: Any, acc: Any, word: Any) -> Any:
        starts = np.arange(height) * 37
        exact, clamped = acc
        vector.dot(height, (x, starts, *pairs, bias, exact), (0, 0, pairs[1].size, 0, 0))
        for i in range(height * LANES):
            clamped[i] = bias[i % LANES]
        arrays = x, starts, *products, clamped
        overflows = vector.step(height, arrays, (0, 0, products[1].size), word)
        floor, ceiling = np.full_like(bias, word[0]), np.full_like(bias, word[1] - 1)
        return overflows, vector.within(height, (clamped, floor, ceiling), (0, 0))

    rng = np.random.default_rng(height)
    x, weight = rng.integers(-9999, 9999, (height, 37)), rng.integers(-9999, 9999, (LANES, 37))
    bias, word = np.arange(LANES, dtype=np.int32), Accumulator(28)
    pairs, steps = packing.pack_steps(weight.astype(np.int16), np.arange(37), 37)
    acc = np.empty(height * LANES, np.int32), np.empty(height * LANES, np.int32)
    counts = njit(tile)(block(x), pairs[:2], steps[:2], bias, acc, (word.min, word.max))
    exact, clamped = (sums.reshape(height, LANES).astype(np.int64) for sums in acc)
    np.testing.assert_array_equal(exact, x @ weight.T + bias)
    walks = [
        [saturated_sum(word, [int(bias[o]), *map(int, x[r] * weight[o])]) for o in range(LANES)]
        for r in range(height)
    ]
    np.testing.assert_array_equal(clamped, np.array(walks)[..., 0])
    assert counts == (np.array(walks)[..., 1].sum(), bool(clamped.max() < word.max))


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "rows"), [("haswell", 5), ("x86-64", 2)])
def test_other_machines_compute_the_same_bits(machine: str, rows: int) -> None:
    """All of this holds where registers hold 8 or 4 lanes: AVX2 and SSE2."""
    environment = {"NUMBA_CPU_NAME": machine, "NUMBA_CPU_FEATURES": ""}
    program = (
        "import sys, pytest; from fxpnn.kernels import vector; "
        f"assert vector.ROWS == {rows}; sys.exit(pytest.main(sys.argv[1:]))"
    )
    chosen = [__file__, "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-c", program, *chosen],
        env=os.environ | environment,
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
