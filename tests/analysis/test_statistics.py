"""Statistics of parts merge to those of the whole, to the bit, in any order."""

import math
import pickle
import random
import re
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from operator import add

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.analysis import blocks as sizes
from fxpnn.analysis.comparison import compare, measure, summarize
from fxpnn.analysis.remedy import with_remedy
from fxpnn.analysis.report import Timing
from fxpnn.analysis.statistics import ErrorStatistics, Statistics, error_statistics
from fxpnn.analysis.summary import Report
from fxpnn.analysis.workers import Workers
from fxpnn.errors import DataError
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Dense, Flatten, Relu, Softmax
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Settings

RNG = np.random.default_rng(11)
BLOCK, COUNT = 16, 150
IMAGES = RNG.integers(0, 256, (COUNT, 1, 3, 4), np.uint8)
LABELS = RNG.integers(0, 5, COUNT)


def network() -> Network:
    """Build a 12-9-5 classifier."""
    weights = [RNG.normal(0, 1, shape).astype(np.float32) for shape in ((9, 12), (5, 9))]
    layers = {
        "flat": Flatten(),
        "hidden": Dense(weights[0], np.zeros(9, np.float32)),
        "relu": Relu(),
        "output": Dense(weights[1], np.zeros(5, np.float32)),
        "softmax": Softmax(),
    }
    return chain("small", (1, 3, 4), layers)


FLOAT = network()
FIXED = quantize(FLOAT, IMAGES[:5], Settings(word=5))  # others overflow


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few images make many blocks."""
    monkeypatch.setattr(sizes, "BLOCK", BLOCK)


def untimed(report: Report) -> Report:
    """Take the clock out of a report."""
    return msgspec.structs.replace(report, timing=Timing(0.0, 0.0, 1))


@pytest.fixture(scope="module")
def blocks() -> list[Statistics]:
    """Measure each block alone, as workers would, and send it through pickle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "BLOCK", BLOCK)
        parts = [
            measure(FLOAT, FIXED, IMAGES[i : i + BLOCK], LABELS[i : i + BLOCK], i, threads=1)
            for i in range(0, COUNT, BLOCK)
        ]
    return [pickle.loads(pickle.dumps(part)) for part in parts]


@given(seed=st.integers(0, 2**32))
def test_any_order_gives_the_same_report(blocks: list[Statistics], seed: int) -> None:
    """Parts are added in any order and grouping; the report is that of the whole."""
    draw, parts = random.Random(seed), list(blocks)
    while len(parts) > 1:
        one = parts.pop(draw.randrange(len(parts)))
        other = parts.pop(draw.randrange(len(parts)))
        parts.append(one + other)
    assert parts[0].spans == ((0, COUNT),)
    assert merged(parts[0]) == merged(reduce(add, blocks))


def merged(found: Statistics) -> Report:
    """Report on merged parts; what helps is tried on all images, as it is where nothing was cut."""
    return untimed(with_remedy(summarize(FIXED, found), FIXED, IMAGES, 1))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_split_gives_the_report_of_the_whole(blocks: list[Statistics], threads: int) -> None:
    """Few long parts or one, on any number of threads, give what the blocks do."""
    whole = untimed(compare(FLOAT, FIXED, IMAGES, LABELS, threads))
    assert whole == merged(reduce(add, blocks))
    cuts = (0, 2 * BLOCK, 7 * BLOCK, COUNT)
    parts = [measure(FLOAT, FIXED, IMAGES[a:b], LABELS[a:b], a, threads) for a, b in pairwise(cuts)]
    assert merged(parts[2] + (parts[0] + parts[1])) == whole
    assert any(layer.remedy for layer in whole.layers)


def test_one_part_without_classes_leaves_no_accuracy() -> None:
    """Labels that name no classes in one part tell nothing of the whole, whatever the others."""
    bare = chain("bare", (5,), {"relu": Relu()})
    x = RNG.normal(0, 1, (2 * BLOCK, 5))
    y = np.concatenate([np.zeros(BLOCK, int), np.full(BLOCK, 9)])
    fixed = quantize(bare, x, Settings(word=3))
    parts = [measure(bare, fixed, x[i : i + BLOCK], y[i : i + BLOCK], i) for i in (0, BLOCK)]
    found = with_remedy(summarize(fixed, parts[1] + parts[0]), fixed, x, 1)
    assert untimed(found) == untimed(compare(bare, fixed, x, y))
    assert found.accuracy.fixed is None


@given(cuts=st.sets(st.integers(1, COUNT - 1), max_size=100), seed=st.integers(0, 99))
def test_any_cut_gives_the_report_of_the_whole(cuts: set[int], seed: int) -> None:
    """A data set may be cut anywhere: a part's floats are rounded as those of the whole."""
    ends = [0, *sorted(cuts), COUNT]
    parts = [measure(FLOAT, FIXED, IMAGES[a:b], LABELS[a:b], a, 1) for a, b in pairwise(ends)]
    random.Random(seed).shuffle(parts)
    assert merged(reduce(add, parts)) == untimed(compare(FLOAT, FIXED, IMAGES, LABELS))


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
def test_parts_give_the_same_json(parts: int) -> None:
    """The report's JSON is the same to the byte, in whatever order they come."""
    whole = msgspec.json.encode(untimed(compare(FLOAT, FIXED, IMAGES, LABELS)))
    ends = [round(i * COUNT / parts) for i in range(parts + 1)]
    found = [measure(FLOAT, FIXED, IMAGES[a:b], LABELS[a:b], a, 1) for a, b in pairwise(ends)]
    for seed in range(5):
        random.Random(seed).shuffle(found)
        assert msgspec.json.encode(merged(reduce(add, found))) == whole


@pytest.mark.parametrize("make", [lambda: ThreadPoolExecutor(3), lambda: Workers(2)])
@pytest.mark.parametrize("reference", [FLOAT, None])
def test_an_executor_gives_the_report_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Executor], reference: Network | None
) -> None:
    """But for the timing; progress counts each image as it does in one process."""
    monkeypatch.undo()  # worker processes have blocks of the usual length
    x, y = np.resize(IMAGES, (700, 1, 3, 4)), np.resize(LABELS, 700)
    told: list[int] = []
    with make() as executor:
        report = compare(reference, FIXED, x, y, 2, told.append, executor)
    assert untimed(report) == untimed(compare(reference, FIXED, x, y))
    assert report.timing.threads == 1
    assert sum(told) == len(x) * (1 if reference is None else 2)
    assert len(told) == 3


def test_an_executor_gets_what_fits_as_a_whole() -> None:
    """More labels than images, or no image, are refused as in one process."""
    with ThreadPoolExecutor(2) as executor:
        with pytest.raises(DataError, match=r"^labels must be an array \(149,\), one per image"):
            compare(FLOAT, FIXED, IMAGES[:-1], LABELS, executor=executor)
        with pytest.raises(DataError, match=r"^images must be \(N, 1, 3, 4\) with N of 1 or more"):
            compare(FLOAT, FIXED, IMAGES[:0], executor=executor)


def test_a_part_has_a_place() -> None:
    """No image lies before a data set's first."""
    message = "a part's first image must be 0 or later, not -1"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        measure(FLOAT, FIXED, IMAGES, LABELS, -1)


def test_parts_do_not_overlap(blocks: list[Statistics]) -> None:
    """An image that was counted is not counted again."""
    message = "parts must not overlap, as they do at image 16"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        _ = (blocks[0] + blocks[1]) + blocks[1]


def test_parts_are_of_the_same_networks(blocks: list[Statistics]) -> None:
    """Statistics with and without a reference are not of one comparison."""
    message = "parts must be of the same networks to be merged"
    alone = measure(None, FIXED, IMAGES[BLOCK : 2 * BLOCK], None, BLOCK)
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        _ = blocks[0] + alone


def statistics(channels: list[tuple[float, float]], finite: bool = True) -> ErrorStatistics:
    """Make statistics of the sums of channels."""
    units = (int(Fraction(value) * 2**1074) for pair in channels for value in pair)
    return error_statistics(1.0, -1.0, 1.0, finite, units)


SUMS = st.floats(0, 1e200) | st.sampled_from([0.0, 5e-324, 2.0**-1022, 2.0**600])
CHANNELS = st.lists(st.tuples(SUMS, SUMS), min_size=3, max_size=3)


@given(parts=st.lists(CHANNELS, min_size=1, max_size=5), seed=st.integers(0, 99))
def test_sums_are_exact(parts: list[list[tuple[float, float]]], seed: int) -> None:
    """The sums of each channel and of the tensor are those of the rationals, in any order."""
    made = [statistics(channels) for channels in parts]
    random.Random(seed).shuffle(made)
    total = reduce(add, made, ErrorStatistics())
    for side, name in enumerate(("signal", "noise")):
        for i, found in enumerate(total.channels):
            expected = sum(Fraction(channels[i][side]) for channels in parts)
            assert Fraction(getattr(found, name), 2**1074) == expected
        whole = sum(Fraction(channel[side]) for channels in parts for channel in channels)
        assert Fraction(getattr(total, name), 2**1074) == whole


@pytest.mark.parametrize(
    ("channels", "worst"),
    [
        ([(1.0, 0.1), (9.0, 1.0), (4.0, 0.1)], 1),
        ([(1.0, 0.1), (2.0, 0.2), (5.0, 0.5)], 0),  # the first of equals
        ([(1.0, 0.0), (0.0, 5.0), (4.0, 0.1)], 2),  # exact, and without a signal
        ([(1.0, 0.0), (0.0, 5.0)], None),
        ([], None),
    ],
)
def test_the_worst_channel(channels: list[tuple[float, float]], worst: int | None) -> None:
    """It is the first of the lowest ratio among those that had a signal and lost some."""
    assert statistics(channels).worst_channel == worst


def test_the_ratio_of_nothing_and_of_what_is_not_finite() -> None:
    """No noise is endless dB, no signal none, and a sum that is not finite tells nothing."""
    assert ErrorStatistics().sqnr_db == math.inf
    assert statistics([(0.0, 1.0)]).sqnr_db == -math.inf
    assert statistics([(100.0, 1.0)]).sqnr_db == 20.0
    total = statistics([(2.0, 1.0), (1.0, 0.5)], finite=False) + statistics([(1.0, 1.0)])
    assert math.isnan(total.sqnr_db)
    assert [round(sums.sqnr_db, 2) for sums in total.channels] == [1.76, 3.01]
