"""Bounds are sound for every input, and tight: an input that reaches them is constructed."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.fixedpoint.interval import Interval, full
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Dense, Relu, Window
from fxpnn.proofs.bounds import prove, prove_node, signed_bits
from fxpnn.proofs.sums import product_interval, sum_interval
from tests.support.strategies import (
    NetworkCase,
    fixed_networks,
    repeated_factors,
    unsigned_before_relus,
)

WORD = QFormat(16, 0)


def words(*sizes: int) -> st.SearchStrategy[np.ndarray]:
    """Draw int16 arrays of a shape, aimed at the limits of the word."""
    count = int(np.prod(sizes))
    limits = st.sampled_from([-32768, -32767, -1, 0, 1, 32767])
    word = limits | st.integers(-32768, 32767)
    return st.lists(word, min_size=count, max_size=count).map(
        lambda values: np.array(values, np.int16).reshape(sizes)
    )


@st.composite
def dense_nodes(draw: st.DrawFn) -> FixedNode:
    """Draw a dense layer of 16-bit integers with any accumulator."""
    outs, ins = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    bias = draw(st.lists(st.integers(-(2**33), 2**33), min_size=outs, max_size=outs))
    layer = Dense(draw(words(outs, ins)), np.array(bias, np.int64))
    register = Accumulator(draw(st.integers(8, 62)), draw(st.sampled_from(ACCUMULATORS)))
    return FixedNode("dense", layer, (INPUT,), WORD, (WORD,), register)


ACCUMULATORS = (Overflow.SATURATE, Overflow.WRAP)


def reaching(layer: Dense, output: int, x: Interval, upper: bool) -> np.ndarray:
    """Construct the input that takes a dense layer's sum to its bound."""
    rising = (layer.weight[output] > 0) == upper
    return np.where(rising, x.high, x.low).astype(np.int64)


def exact_sums(layer: Dense, x: np.ndarray) -> list[int]:
    """Sum in Python integers."""
    return [
        int(b) + sum(int(w) * int(v) for w, v in zip(row, x, strict=True))
        for row, b in zip(layer.weight, layer.bias, strict=True)
    ]


@given(node=dense_nodes())
def test_the_bound_is_reached(node: FixedNode) -> None:
    """For each output an input exists whose exact sum is the bound, above and below."""
    assert isinstance(node.layer, Dense)
    x = full(WORD, node.layer.weight.shape[1:])
    total = sum_interval(node.layer, x)
    for output in range(len(node.layer.bias)):
        top = exact_sums(node.layer, reaching(node.layer, output, x, upper=True))
        bottom = exact_sums(node.layer, reaching(node.layer, output, x, upper=False))
        assert top[output] == total.high[output]
        assert bottom[output] == total.low[output]


@given(node=dense_nodes(), data=st.data())
def test_no_prefix_exceeds_the_bound(node: FixedNode, data: st.DataObject) -> None:
    """In any order of the terms, every prefix of every input's sum lies inside."""
    assert isinstance(node.layer, Dense)
    ins = node.layer.weight.shape[1]
    total = sum_interval(node.layer, full(WORD, (ins,)))
    x, order = data.draw(words(ins)), data.draw(st.permutations(range(ins)))
    for output, bias in enumerate(node.layer.bias):
        prefix = int(bias)
        for k in order:
            assert total.low[output] <= prefix <= total.high[output]
            prefix += int(node.layer.weight[output, k]) * int(x[k])
        assert total.low[output] <= prefix <= total.high[output]


@given(node=dense_nodes())
def test_needed_bits_are_exact(node: FixedNode) -> None:
    """At the needed width the layer is proved and at one bit less the bound's input overflows."""
    assert isinstance(node.layer, Dense)
    layer, x = node.layer, full(WORD, node.layer.weight.shape[1:])
    bits = prove_node(node, [x], [WORD]).bits
    assert bits is not None
    for word in range(max(bits, 8), min(bits + 2, 63)):
        wide = FixedNode("d", layer, (INPUT,), WORD, (WORD,), Accumulator(word))
        assert prove_node(wide, [x], [WORD]).proved
    if not 9 <= bits <= 63:
        return
    narrow = Accumulator(bits - 1)
    node = FixedNode("d", layer, (INPUT,), WORD, (WORD,), narrow)
    assert not prove_node(node, [x], [WORD]).proved
    fixed = FixedNetwork("d", layer.weight.shape[1:], WORD, (node,))
    inputs = [
        reaching(layer, output, x, upper)
        for output in range(len(layer.bias))
        for upper in (True, False)
    ]
    assert golden.run(fixed, np.array(inputs)).counts["d"].accumulator_overflows > 0


@given(case=fixed_networks() | repeated_factors())
def test_no_output_leaves_its_interval(case: NetworkCase) -> None:
    """Every layer's outputs lie in the proved interval; what is proved never overflows."""
    run = golden.run(case.fixed, case.raw)
    for name, proof in prove(case.fixed).items():
        assert (run.raw[name] >= proof.output.low).all()
        assert (run.raw[name] <= proof.output.high).all()
        counts = run.counts[name]
        assert not (proof.proved and counts.accumulator_overflows)
        assert proof.saturates or not counts.saturations


ENDS = st.lists(st.integers(-9, 9), min_size=2, max_size=2).map(sorted)


@given(x=ENDS, y=ENDS)
def test_products_reach_their_bounds(x: list[int], y: list[int]) -> None:
    """The smallest and the largest product of all pairs are the interval's ends, of any signs."""
    found = product_interval(*(Interval(*np.array(ends)[:, None]) for ends in (x, y)))
    products = [a * b for a in range(x[0], x[1] + 1) for b in range(y[0], y[1] + 1)]
    assert [int(end[0]) for end in found] == [min(products), max(products)]


def test_products_of_ends_kept_once_are_whole() -> None:
    """Ends that are the same along different axes are multiplied as if they were repeated."""
    x = Interval(np.array([[-3]]), np.array([[2], [5]])).spread((2, 3))
    y = Interval(np.array([[-1, 0, 4]]), np.array([[7]])).spread((2, 3))
    found = product_interval(x, y)
    assert found.low.tolist() == [[-21, -21, -21], [-21, -21, -21]]
    assert found.high.tolist() == [[14, 14, 14], [35, 35, 35]]


def test_padding_counts_as_zero() -> None:
    """A padded convolution's bound takes 0 in, though the input never is 0."""
    layer = Conv2D(
        np.full((1, 1, 3, 3), -5, np.int16),
        np.zeros(1, np.int64),
        Window((3, 3), padding=(1, 1, 1, 1)),
    )
    x = Interval(np.full((1, 2, 2), 2), np.full((1, 2, 2), 3))
    total = sum_interval(layer, x)
    assert total.high.max() == 0
    assert total.low.tolist() == [[[-60, -60], [-60, -60]]]  # four taps of nine lie inside


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (-1, 255, 9)],
)
def test_signed_bits(low: int, high: int, bits: int) -> None:
    """The narrowest two's complement word holds both ends."""
    assert signed_bits(low, high) == bits


def test_the_main_network_is_proved() -> None:
    """784 pixels times full 16-bit weights fit 48 bits, and the report's bits say how tightly."""
    layer = Dense(np.full((1, 784), -32768, np.int16), np.zeros(1, np.int64))
    pixels = QFormat(8, 8, signed=False)
    node = FixedNode("h", layer, (INPUT,), QFormat(16, 9), (QFormat(16, 15),), Accumulator())
    proof = prove(FixedNetwork("n", (784,), pixels, (node,)))["h"]
    assert proof.proved
    assert proof.bits == (784 * 255 * 32768 - 1).bit_length() + 1
    assert proof.terms == (-784 * 255 * 32768, 0)
    assert Fraction(proof.terms[0], 2**23) == -784 * 255 * Fraction(1, 256)


@given(case=unsigned_before_relus())
def test_what_is_proved_of_unsigned_words_before_relus_holds(case: NetworkCase) -> None:
    """Nothing saturates, and nothing is below 0, where the proof says that it cannot."""
    run, proofs = golden.run(*case), prove(case.fixed)
    for name, counts in run.counts.items():
        assert proofs[name].saturates or counts.saturations == 0
        assert proofs[name].below_zero or counts.below_zero == 0
        assert not proofs[name].below_zero or name in case.fixed.rectified
        assert (proofs[name].output.low <= run.raw[name]).all()
        assert (run.raw[name] <= proofs[name].output.high).all()


def test_a_clamp_at_zero_before_a_relu_is_no_overflow() -> None:
    """Sums from -8 to 6 leave UQ3.0 only below 0, and UQ2.0 on both sides."""
    layer = Dense(np.array([[1, -1]], np.int16), np.array([-1]))
    for word, saturates in ((3, False), (2, True)):
        fmt = QFormat(word, 0, signed=False)
        nodes = (
            FixedNode("d", layer, (INPUT,), fmt, (WORD,), Accumulator()),
            FixedNode("r", Relu(), ("d",), fmt),
        )
        proof = prove(FixedNetwork("n", (2,), QFormat(3, 0), nodes))["d"]
        assert (proof.saturates, proof.below_zero) == (saturates, True)
