"""Statistics of parts merge to those of the whole, to the bit, in any order."""

import math
import pickle
import random
import re
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from operator import add

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.analysis import comparison
from fxpnn.analysis.comparison import block_images, compare, measure, summarize
from fxpnn.analysis.report import Report, Timing
from fxpnn.analysis.statistics import ErrorStatistics, Statistics, error_statistics
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
FIXED = quantize(FLOAT, IMAGES, Settings(word=5))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few images make many blocks."""
    monkeypatch.setattr(comparison, "BLOCK", BLOCK)


def untimed(report: Report) -> Report:
    """Take the clock out of a report."""
    return msgspec.structs.replace(report, timing=Timing(0.0, 0.0, 1))


@pytest.fixture(scope="module")
def blocks() -> list[Statistics]:
    """Measure each block alone, as workers would, and send it through pickle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "BLOCK", BLOCK)
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
    assert untimed(summarize(FIXED, parts[0])) == untimed(reduce_all(blocks))


def reduce_all(blocks: list[Statistics]) -> Report:
    """Report on the blocks in their order."""
    return summarize(FIXED, reduce(add, blocks))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_split_gives_the_report_of_the_whole(blocks: list[Statistics], threads: int) -> None:
    """Few long parts or one, on any number of threads, give what the blocks do."""
    whole = untimed(compare(FLOAT, FIXED, IMAGES, LABELS, threads))
    assert whole == untimed(reduce_all(blocks))
    cuts = (0, 2 * BLOCK, 7 * BLOCK, COUNT)
    parts = [measure(FLOAT, FIXED, IMAGES[a:b], LABELS[a:b], a, threads) for a, b in pairwise(cuts)]
    assert untimed(summarize(FIXED, parts[2] + (parts[0] + parts[1]))) == whole


def test_one_part_without_classes_leaves_no_accuracy() -> None:
    """Labels that name no classes in one part tell nothing of the whole, whatever the others."""
    bare = chain("bare", (5,), {"relu": Relu()})
    x = RNG.normal(0, 1, (2 * BLOCK, 5))
    y = np.concatenate([np.zeros(BLOCK, int), np.full(BLOCK, 9)])
    fixed = quantize(bare, x, Settings(word=3))
    parts = [measure(bare, fixed, x[i : i + BLOCK], y[i : i + BLOCK], i) for i in (0, BLOCK)]
    merged = untimed(summarize(fixed, parts[1] + parts[0]))
    assert merged == untimed(compare(bare, fixed, x, y))
    assert merged.accuracy.fixed is None


def test_a_part_begins_at_a_block() -> None:
    """Another cut would change the blocks in which floats are rounded."""
    assert block_images(FIXED) == BLOCK
    message = "a part must begin at a multiple of 16 images, not at 8"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        measure(FLOAT, FIXED, IMAGES, LABELS, 8)


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


SUMS = st.floats(0, 1e200) | st.sampled_from([0.0, 5e-324, 2.0**-1022, 2.0**600])


@given(pairs=st.lists(st.tuples(SUMS, SUMS), min_size=1, max_size=8))
def test_sums_of_squares_are_exact(pairs: list[tuple[float, float]]) -> None:
    """The sums are those of the rationals."""
    parts = [error_statistics(signal, noise, 1.0, -1.0, 1.0) for signal, noise in pairs]
    total = reduce(add, parts)
    for found, values in zip((total.signal, total.noise), zip(*pairs, strict=True), strict=True):
        assert Fraction(found, 2**1074) == sum(map(Fraction, values))


def test_the_ratio_of_nothing_and_of_what_is_not_finite() -> None:
    """No noise is endless dB, no signal none, and a sum that is not finite tells nothing."""
    assert ErrorStatistics().sqnr_db == math.inf
    assert error_statistics(0.0, 1.0, 1.0, 0.0, 0.0).sqnr_db == -math.inf
    assert error_statistics(100.0, 1.0, 1.0, 0.0, 10.0).sqnr_db == 20.0
    endless = error_statistics(math.inf, 1.0, 1.0, 0.0, 1.0)
    assert math.isnan((endless + error_statistics(1.0, 1.0, 1.0, 0.0, 1.0)).sqnr_db)
