"""Convolutions and the pools behind them equal dense layers of patches, in every geometry."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from fxpnn.fixedpoint.qformat import Accumulator, Overflow
from fxpnn.kernels.layout import instructions, packing, rounding
from fxpnn.network.layers import Window
from tests.support.sums import (
    NO_WINDOWS,
    Case,
    Ints,
    assert_guarded,
    block,
    clamped,
    exact,
    guarded,
    tables,
)


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
        counts = (sum(part[i] for part in parts) for i in (1, 2, 3))
        return (maps if self.pool is None else pooled(maps, self.pool), *counts)


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


def run_maps(maps: Maps, case: Case, sums: type = np.int64) -> Any:
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
        found = packing.pool_windows(geometry, maps.positions, final, rows.share, outputs)
        assert found is not None
        windows = found
    total = (height + top + bottom) * pitch + 1 if any(window.padding) else 0
    made = outputs if maps.pool else outputs * rows.share
    length, origin = width * channels, top * pitch + left * channels
    frame = (
        n,
        length * height,
        made,
        instructions.STRIPS,
        height,
        length,
        pitch,
        origin,
        total,
        len(rows.weight),
        1,
        rows.starts.size,
        0,
        0,
    )
    word, modes = (case.accumulator.min, case.accumulator.max), case.modes()
    x = block(maps.x.transpose(0, 2, 3, 1))
    out = guarded(n * final[0] * final[1] * outputs)
    narrow = case.accumulator.word <= 32
    bias = np.tile(np.clip(maps.bias, *word), rows.share).astype(np.int32 if narrow else np.int64)
    if narrow:
        taps = 2 * window.kernel[0] * window.kernel[1]
        pairs, steps = packing.pack_steps(rows.weight, rows.offsets, channels, taps)
        layer = tables(pairs, rows.starts, bias, case.shift, windows)
        counts = clamped(x, out, layer, (*steps,), frame, word, modes)
    else:
        least = np.full(len(rows.offsets), -32768)
        packed = packing.pack_chunks(rows.weight, rows.offsets, least, -least - 1)
        if sums is np.int32:
            packed = packing.pack(rows.weight, rows.offsets)
        most = 32768 * int(np.abs(maps.weight).sum()) + 10**6
        extra = rounding.extra_bits(most, packed.cuts.shape[1]) if sums is np.int64 else 0
        assert extra is not None
        frame = (*frame[:-2], extra, 0)
        layer = tables(packed, rows.starts, bias.astype(sums), case.shift, windows)
        counts = exact(x, out, layer, frame, word, False, modes)
        to = case.direct()
        rule = rounding.rule(layer[4], to, (-(10**9), 10**9), extra)
        assert (rule is None) == (case.shift < extra)
        if rule is not None:
            layer = (*layer[:7], rule.astype(np.int32))
            for near in {rounding.near(layer[4], layer[6], to), False}:
                direct, frame = (
                    guarded(out.size),
                    (*frame[:3], instructions.DIRECT, *frame[4:-1], near),
                )
                assert exact(x, direct, layer, frame, word, False, modes) == counts
                np.testing.assert_array_equal(direct, out)
                assert_guarded(direct)
    assert_guarded(out)
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
    Window((2, 2), (5, 3)),
]


@pytest.mark.parametrize("sums", [np.int32, np.int64], ids=["32", "64"])
@pytest.mark.parametrize("shift", [4, 12])
@pytest.mark.parametrize("overflow", list(Overflow), ids=lambda o: o.value)
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_a_pool_keeps_the_largest_cast_value(
    pool: Window, overflow: Overflow, shift: int, sums: type
) -> None:
    """A max pool works on lanes and shared pixels, before or behind the cast; all are counted."""
    rng = np.random.default_rng(1)
    x, weight = rng.integers(-300, 300, (3, 1, 12, 12)), rng.integers(-300, 300, (6, 1, 5, 5))
    maps = Maps(x, weight, rng.integers(-300, 300, 6), Window((5, 5)), pool=pool)
    case = Case(x, weight, maps.bias, shift=shift, overflow=overflow, relu=overflow.value == "wrap")
    found, expected = run_maps(maps, case, sums), maps.expected(case)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]
    assert (found[2] > 0) == (shift == 4)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("place", [0, 77, 143])
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_one_value_out_of_range_is_counted_before_a_pool(
    pool: Window, place: int, sign: int
) -> None:
    """The first, a middle or the last, above or below, in the last lane; in a window or not."""
    x = np.zeros((2, 1, 12, 12), np.int64)
    x.reshape(2, -1)[1, place] = sign * 32767
    weight = np.ones((6, 1, 1, 1), np.int64)
    weight[5] = 2
    maps = Maps(x, weight, np.zeros(6, np.int64), Window((1, 1)), pool=pool)
    case = Case(x, weight, maps.bias, shift=0)
    for sums in (np.int32, np.int64):
        found, expected = run_maps(maps, case, sums), maps.expected(case)
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1:] == expected[1:] == (0, 1, 0)
