"""Packed layouts hold every weight once, in pairs of neighbours and in bounded segments."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.kernels.layout import packing
from fxpnn.kernels.layout.packing import LANES, LIMIT, Packed

Ints = npt.NDArray[np.int64]


def unpacked(packed: Packed, outputs: int, words: int, size: int = packing.PAIR) -> Ints:
    """Add each weight back to the word, or byte, that it meets: ``(outputs, words)``."""
    kind = {packing.PAIR: np.int16, packing.FOUR: np.int8}[size]
    weights = packed.weights.view(kind).reshape(-1, LANES, size).astype(np.int64)
    matrix = np.zeros((len(packed.cuts) * LANES, words + size - 1), np.int64)
    for column, cuts in enumerate(packed.cuts):
        mine = matrix[column * LANES : (column + 1) * LANES]
        for pair in range(cuts[0], cuts[-1]):
            offset = packed.offsets[pair]
            mine[:, offset : offset + size] += weights[pair]
    assert not matrix[outputs:].any()
    assert not matrix[:, words:].any()
    return matrix[:outputs, :words]


def draw(seed: int, outputs: int, k: int, words: int) -> tuple[Any, Ints]:
    """Draw weights, a third of the inputs pruned, and k different offsets below ``words``."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-32768, 32768, (outputs, k)).astype(np.int16)
    weight[:, rng.random(k) < 0.3] = 0
    return weight, rng.permutation(words)[:k]


@pytest.mark.parametrize(
    ("outputs", "k", "words"), [(1, 1, 1), (16, 9, 9), (17, 40, 60), (40, 300, 300)]
)
def test_every_layout_holds_each_weight_at_its_word(outputs: int, k: int, words: int) -> None:
    """Whatever the pairs and segments, weights meet the words that they shall meet."""
    weight, offsets = draw(k, outputs, k, words)
    expected = np.zeros((outputs, words), np.int64)
    expected[:, offsets] = weight
    pairs, steps = packing.pack_steps(weight, offsets, words)
    ends = np.full(k, -32768), np.full(k, 32767)
    chunks = packing.pack_chunks(weight, offsets, *ends)
    alone = Packed(*steps[:3])
    for packed in (packing.pack(weight, offsets), chunks, pairs, alone):
        np.testing.assert_array_equal(unpacked(packed, outputs, words), expected)
    low = weight.astype(np.int8)
    expected[:, offsets] = low
    fours = packing.pack(low.astype(np.int16), offsets, packing.FOUR)
    np.testing.assert_array_equal(unpacked(fours, outputs, words, packing.FOUR), expected)


def test_neighbours_share_pairs_and_pruned_words_take_none() -> None:
    """A run of n words takes n / 2 pairs or fours of n / 4, rounded up; a 0 for a word ends it."""
    weight = np.ones((16, 11), np.int16)
    weight[:, 4] = 0
    packed = packing.pack(weight, np.arange(11))
    assert packed.offsets.tolist() == [0, 2, 5, 7, 9]
    assert packing.pack(weight, np.arange(11), packing.FOUR).offsets.tolist() == [0, 5, 9]


def test_a_layer_of_zeros_has_a_segment_without_pairs() -> None:
    """A column without a weight is empty, and still begins its sums."""
    weight, offsets = np.zeros((17, 5), np.int16), np.arange(5)
    chunks = packing.pack_chunks(weight, offsets, offsets - 9, offsets)
    fours = packing.pack(weight, offsets, packing.FOUR)
    for packed in (packing.pack(weight, offsets), fours, chunks):
        assert packed.cuts.tolist() == [[0, 0], [0, 0]]
        assert packed.weights.size == 0


def chunked(k: int) -> tuple[Packed, Ints, Ints]:
    """Pack chunks for 20 outputs; also return how far each pair rises and falls, by lane."""
    weight, offsets = draw(1, 20, k, k)
    ends = np.sort(np.random.default_rng(2).integers(0, 32768, (2, k)), axis=0) * [[-1], [1]]
    packed = packing.pack_chunks(weight, offsets, *ends)
    by_word = np.zeros((2, k + 2), np.int64)
    by_word[:, offsets] = ends
    lanes = packed.weights.reshape(-1, LANES, 2).astype(np.int64)
    words = np.stack([by_word[:, packed.offsets], by_word[:, packed.offsets + 1]], 2)
    products = lanes * words[:, :, None]
    rise, fall = products.max(0).sum(2), products.min(0).sum(2)
    for cuts in packed.cuts:
        for first, last in pairwise(cuts):
            assert (rise[first:last].sum(0) <= LIMIT).all()
            assert (fall[first:last].sum(0) >= -LIMIT).all()
    return packed, rise, fall


def test_chunks_fit_32_bits_and_no_two_would() -> None:
    """A chunk rises and falls by at most 2**31 - 1 in any lane; one pair more would go beyond."""
    packed, rise, fall = chunked(456)
    for cuts in packed.cuts:
        assert cuts[-1] - cuts[0] > 128
        for first, last in pairwise(cuts):
            if last < cuts[-1]:
                more = slice(first, last + 1)
                assert (rise[more].sum(0) > LIMIT).any() or (fall[more].sum(0) < -LIMIT).any()


def filled(reach: Ints) -> list[int]:
    """Return where chunks end, pair by pair, in Python integers."""
    ends, sums = [], [0] * len(reach)
    for place, pair in enumerate(reach.T.tolist()):
        sums = [held + more for held, more in zip(sums, pair, strict=True)]
        if max(sums) > LIMIT:
            ends.append(place)
            sums = pair
    return [*ends, reach.shape[1]]


@given(
    st.integers(0, 2**32),
    st.integers(1, 3 * packing.AHEAD),
    st.sampled_from([0, 1, 4, 8, 31, 32, 64]),
)
def test_chunks_end_where_the_next_pair_does_not_fit(seed: int, pairs: int, chunk: int) -> None:
    """Chunks of any length end as they do where pairs are added up one by one."""
    reach = np.random.default_rng(seed).integers(0, 1 + LIMIT // max(chunk, 1), (4, pairs))
    reach[2:] = LIMIT // chunk if chunk else 0  # chunks of as many, unless the others end before
    assert packing.chunk_ends(reach).tolist() == filled(reach)


def test_words_that_are_always_zero_take_one_chunk() -> None:
    """Their products need no room at all, those of a layer without weights not even a pair."""
    for weight, pairs in ((np.full((3, 4), 32767, np.int16), 2), (np.zeros((3, 4), np.int16), 0)):
        packed = packing.pack_chunks(weight, np.arange(4), *np.zeros((2, 4), np.int64))
        assert packed.cuts.tolist() == [[0, pairs]]


def test_two_lowest_words_by_two_lowest_weights_stand_apart() -> None:
    """Their sum of 2**31 does not fit 32 bits, so each takes a pair and a chunk of its own."""
    weight, lowest = np.full((1, 2), -32768, np.int16), np.full(2, -32768)
    packed = packing.pack_chunks(weight, np.arange(2), lowest, -lowest - 1)
    assert packed.offsets.tolist() == [0, 1]
    assert packed.cuts.tolist() == [[0, 1, 2]]


def test_steps_keep_the_order_of_summing() -> None:
    """Product by product, offsets come as they are given, whatever lies in memory beside them."""
    size = packing.SEGMENT
    weight, offsets = np.ones((3, 2 * size + 11), np.int16), np.arange(2 * size + 11)[::-1].copy()
    pairs, steps = packing.pack_steps(weight, offsets, 7)
    assert steps.offsets.tolist() == offsets.tolist()
    assert steps.edges.tolist() == [0, size, 2 * size, 2 * size + 11]
    assert steps.kinds.tolist() == (offsets % 7).tolist()
    sizes = [np.diff(cuts[0]).tolist() for cuts in (steps.cuts, pairs.cuts)]
    assert sizes == [[size, size, 11], [size // 2, size // 2, 6]]


@pytest.mark.parametrize(
    ("outputs", "pixels", "share"), [(6, 24, 2), (6, 25, 1), (1, 24, 8), (8, 6, 2), (9, 24, 1)]
)
def test_neighbouring_pixels_share_lanes_where_they_fit(
    outputs: int, pixels: int, share: int
) -> None:
    """As many pixels as divide the line and fill the lanes, or half, are made by one row."""
    weight = np.ones((outputs, 1, 5, 5), np.int16)
    rows = packing.convolution(weight, 1, (1, 1), (1, 1), pixels + 4, (3, pixels))
    assert rows.share == share
    assert rows.weight.shape[0] == share * outputs
    assert rows.starts.size == 3 * pixels // share


def test_a_depthwise_column_reads_its_own_channels() -> None:
    """A column of 16 outputs, each of its own channel, has pairs for those channels alone."""
    rows = packing.convolution(np.ones((32, 1, 3, 3), np.int16), 32, (1, 1), (1, 1), 5, (3, 3))
    packed = packing.pack(rows.weight, rows.offsets)
    assert np.diff(packed.cuts).ravel().tolist() == [9 * 8, 9 * 8]
    assert (packed.offsets[: 9 * 8] % 32 < 16).all()


@pytest.mark.parametrize("outputs", [32, 4])
def test_what_a_dilated_kernel_skips_is_no_weight(outputs: int) -> None:
    """Rows hold the taps alone, those of pixels that share a row side by side."""
    weight = np.arange(1, 1 + outputs * 18, dtype=np.int16).reshape(outputs, 2, 3, 3)
    rows = packing.convolution(weight, 1, (1, 1), (36, 36), 80, (8, 8))
    taps = [(line * 36 * 80 + pixel * 36) * 2 for line in range(3) for pixel in range(3)]
    for pixel in range(rows.share):
        made = rows.weight[pixel * outputs : (pixel + 1) * outputs]
        for channel in range(2):
            at = [int(np.flatnonzero(rows.offsets == tap + 2 * pixel + channel)[0]) for tap in taps]
            assert made[:, at].tolist() == weight[:, channel].reshape(outputs, -1).tolist()
            made[:, at] = 0
        assert not made.any()
    assert rows.weight.shape[1] == 2 * 3 * 3 * rows.share


def test_pool_windows_repeat_a_pixel_where_they_leave_the_map() -> None:
    """Padding never wins: taps outside the map find a pixel inside, in a row that two share."""
    geometry = (2, 2), (2, 2), (1, 1), (1, 1)
    windows = packing.pool_windows(geometry, (2, 4), (1, 3), 2, 6)
    assert windows is not None
    assert windows.tolist() == [[0, 0, 0, 0], [6, 16, 6, 16], [22, 22, 22, 22]]


@pytest.mark.parametrize(
    ("height", "dilation", "stands"), [(1, 1, True), (1, 2, False), (3, 4, False), (4, 4, True)]
)
def test_a_window_without_a_pixel_has_no_places(height: int, dilation: int, stands: bool) -> None:
    """Of two taps, the first a line above the map, the second may be below; so it is sideways."""
    upright = (2, 1), (1, 1), (1, 0), (dilation, 1)
    sideways = (1, 2), (1, 1), (0, 1), (1, dilation)
    for geometry, positions in ((upright, (height, 1)), (sideways, (1, height))):
        windows = packing.pool_windows(geometry, positions, (1, 1), 1, 3)
        assert (windows is not None) == stands
