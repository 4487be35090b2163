"""Float values are counted over the range of their formats as plain arithmetic counts them."""

from collections import Counter
from fractions import Fraction
from math import ceil

import numpy as np
import pytest

import fxpnn
from fxpnn import Accumulator, QFormat, Settings
from fxpnn.analysis.float_values import BINS, _counted, float_values
from fxpnn.network.layers import Array
from fxpnn.reference import forward, scale
from tests.support.cli_runner import tiny


def images(count: int = 300) -> Array:
    """Give the first test images."""
    return fxpnn.load_data("mnist").x[:count]


@pytest.mark.parametrize("settings", [Settings(), Settings(word=6), Settings(output=QFormat(8, 7))])
def test_counts_are_those_of_the_words(settings: Settings) -> None:
    """Each value is where its nearest word is; what no word is near lies outside."""
    network = tiny()
    fixed = fxpnn.quantize(network, images(), settings)
    floats = forward(network, scale(images(), network.scaling), keep=fixed.shapes)
    found = float_values(network, fixed, images())
    assert [*found] == ["input", *(node.name for node in fixed.nodes)]
    for name, values in found.items():
        fmt = fixed.formats[name]
        bins = min(BINS, 1 << fmt.word)
        taken = floats[name].astype(np.float64).ravel()
        taken = np.maximum(taken, 0) if name in fixed.rectified else taken
        words = np.floor(np.ldexp(taken, fmt.frac) + 0.5)
        places = Counter(((words - fmt.min) * bins // (1 << fmt.word)).astype(int).tolist())
        assert values.counts == tuple(
            places[i] + sum(places[j] for j in places if j >= bins and i == bins - 1)
            if name == "softmax"
            else places[i]
            for i in range(bins)
        )
        beyond = sum(count for place, count in places.items() if place >= bins)
        assert values.above == (0 if name == "softmax" else beyond)
        assert values.below == sum(count for place, count in places.items() if place < 0)
        assert (values.least, values.most) == (taken.min(), taken.max())
        assert (values.low, values.high) == (
            (fmt.min - 0.5) * fmt.lsb,
            (fmt.max + 0.5) * fmt.lsb,
        )
        assert sum(values.counts) + values.below + values.above == taken.size


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(per_channel=True),
        Settings(weight=QFormat(8, 9)),  # clips
        Settings(accumulator=Accumulator.parse("ap_fixed<24,10>")),
        Settings(word=8, accumulator=Accumulator(12)),  # overflows
    ],
)
def test_sums_take_the_bits_of_the_largest(settings: Settings) -> None:
    """Of the integers' own, in plain Python, at the scale of the accumulator; never over proof."""
    network = tiny()
    fixed = fxpnn.quantize(network, images(), settings)
    found = float_values(network, fixed, images())
    engine = fxpnn.Engine(fixed)
    raw = engine.run(images(), keep=fixed.shapes).tensors
    for name in ("hidden", "output"):
        node = fixed[name]
        weight, bias = (getattr(node.layer, key).astype(object) for key in ("weight", "bias"))
        dropped = node.dropped(fixed.formats[node.inputs[0]])
        sums = (raw[node.inputs[0]].astype(object) @ weight.T + bias) * [
            Fraction(2) ** int(-shift) for shift in dropped
        ]
        bits = 1
        while not (sums.min() >= -(2 ** (bits - 1)) and ceil(sums.max()) < 2 ** (bits - 1)):
            bits += 1
        assert found[name].sum_bits == bits
        assert bits <= (engine.proofs[name].bits or 0)
    assert found["flatten"].sum_bits is None


def test_threads_and_progress() -> None:
    """The counts are the same on any number of threads; each image is told once."""
    network = tiny()
    fixed = fxpnn.quantize(network, images())
    told: list[int] = []
    one = float_values(network, fixed, images(700), 1, told.append)
    assert one == float_values(network, fixed, images(700), 3)
    assert sum(told) == 700


def test_what_is_not_finite() -> None:
    """Infinite values lie beyond the range, and what is no number is not counted."""
    values = np.array([[np.nan, np.inf], [-np.inf, -np.inf], [0.0, 1.0]], np.float32)
    counts = _counted(values, QFormat(2, 0), rectified=False).counts
    assert counts.tolist() == [2, 0, 0, 1, 1, 1]
    counts = _counted(values, QFormat(2, 0), rectified=True).counts
    assert counts.tolist() == [0, 0, 0, 3, 1, 1]
