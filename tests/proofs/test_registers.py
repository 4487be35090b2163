"""Bounds of sums in registers that drop bits: no input leaves them, and some input reaches them."""

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.fixedpoint.interval import Interval, full
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Conv2D, Dense, Window
from fxpnn.proofs.bounds import prove, prove_node
from fxpnn.proofs.registers import reached
from tests.support.oracle_sums import exact, register_sum
from tests.support.strategies import NetworkCase, dense_in_register

WORD = QFormat(16, 0)


def ends(layer: Dense, output: int, fmt: QFormat) -> list[Array]:
    """Construct the inputs that take each term to its upper end, and to its lower one."""
    rising = layer.weight[output] > 0
    return [np.where(rising, *pair) for pair in ((fmt.max, fmt.min), (fmt.min, fmt.max))]


def held(case: NetworkCase, output: int, x: Array) -> list[int]:
    """Return all that an endless register holds on the way, by the oracle, in counts of its LSB."""
    (node,) = case.fixed.nodes
    assert node.accumulator is not None
    assert isinstance(node.layer, Dense)
    wide = replace(node.accumulator, word=62)
    frac = int(case.fixed.product_fracs(node)[output])
    products = node.layer.weight[output].astype(object) * x
    terms = [exact(int(v), frac) for v in (node.layer.bias[output], *products)]
    sums = [register_sum(wide, terms[:k])[0] for k in range(1, len(terms) + 1)]
    if node.accumulator.product.value == "cast":
        sums += [register_sum(wide, [t])[0] for t in terms[1:]]
    assert wide.frac is not None
    found = [value / exact(1, wide.frac) for value in sums]
    assert all(value.denominator == 1 for value in found)
    return [int(value) for value in found]


@given(case=dense_in_register())
def test_the_bounds_are_reached_and_no_more_bits_are_needed(case: NetworkCase) -> None:
    """Of all that the inputs of extremes make a register hold, the widest gives the bits."""
    (node,) = case.fixed.nodes
    assert isinstance(node.layer, Dense)
    proof, fmt = prove(case.fixed)[node.name], case.fixed.input_format
    assert node.accumulator is not None
    dropped = node.dropped(fmt)
    total = reached(node.layer, full(fmt, case.fixed.input_shape), node.accumulator, dropped).total
    assert proof.total == total.limits
    held_by = []
    for output in range(len(node.layer.bias)):
        top, bottom = (held(case, output, x) for x in ends(node.layer, output, fmt))
        steps = len(node.layer.weight[output]) + 1
        assert total.high[output] == max(top[:steps])
        assert total.low[output] == min(bottom[:steps])
        held_by += [*top, *bottom]
    widest = max(v.bit_length() if v >= 0 else (~v).bit_length() for v in held_by) + 1
    assert proof.bits == widest


@given(case=dense_in_register())
def test_a_proved_register_is_as_good_as_an_endless_one(case: NetworkCase) -> None:
    """At the needed width no input of extremes overflows; at a bit less one does."""
    (node,) = case.fixed.nodes
    assert node.accumulator is not None
    assert isinstance(node.layer, Dense)
    bits = prove(case.fixed)[node.name].bits
    assume(bits is not None and 9 <= bits <= 62)
    assert bits is not None
    fmt, outputs = case.fixed.input_format, range(len(node.layer.bias))
    x = np.array([each for o in outputs for each in ends(node.layer, o, fmt)])
    for word, proved in ((bits, True), (bits - 1, False)):
        register = replace(node.accumulator, word=word)
        own = replace(node, accumulator=register)
        fixed = FixedNetwork("n", case.fixed.input_shape, fmt, (own,))
        assert prove(fixed)[own.name].proved is proved
        lost = golden.run(fixed, x).counts[own.name].accumulator_overflows > 0
        assert not (proved and lost)
        if register.overflow.value == "saturate":
            assert proved or lost


def dense(weights: list[int], bias: int, text: str, frac: int = 0) -> FixedNode:
    """Build a dense layer of one output whose weights have so many fraction bits."""
    layer = Dense(np.array([weights], np.int16), np.array([bias]))
    register = Accumulator.parse(text)
    return FixedNode("d", layer, (INPUT,), WORD, (QFormat(16, frac),), register)


def test_a_cast_product_must_fit_by_itself() -> None:
    """-100 and a product of up to 200 end at 100 of 127; only a fused register holds that."""
    x = [full(QFormat(2, 0, signed=False), (1,))]  # 0..3
    proofs = {
        product: prove_node(dense([66], -100, f"Q7.0 {product}"), x, [WORD])
        for product in ("fused", "cast")
    }
    assert [proofs["fused"].proved, proofs["cast"].proved] == [True, False]
    assert [proofs["fused"].bits, proofs["cast"].bits] == [8, 9]
    assert proofs["fused"].total == (-100, 98)


def test_bits_that_are_added_count() -> None:
    """A product of up to 3 in a register of 4 more fraction bits needs room for 48, and a sign."""
    x = [full(QFormat(2, 0, signed=False), (1,))]
    assert prove_node(dense([1], 0, "Q3.4"), x, [WORD]).bits == 7
    assert prove_node(dense([1], 0, "Q-33.60"), x, [WORD]).bits == 63
    far = prove_node(dense([1], 1, "Q-900.940"), x, [WORD])
    assert (far.bits, far.proved) == (64, False)  # of more, nothing but that is told
    assert prove_node(dense([0], 0, "Q-900.940"), x, [WORD]).proved


@given(st.integers(0, 12), st.sampled_from(["fused", "cast"]))
def test_padding_and_groups_count_as_in_other_sums(dropped: int, product: str) -> None:
    """Of weights that are whole counts of the register, bounds are those of all bits, shifted."""
    rng = np.random.default_rng(dropped)
    weight = rng.integers(-7, 8, (4, 1, 3, 2)).astype(np.int16)
    window = Window((3, 2), (2, 1), (1, 1, 2, 0), (1, 2))
    x = full(QFormat(9, 0), (2, 6, 5))

    def limits(scale: int, register: Accumulator) -> Interval:
        layer = Conv2D(weight * scale, np.arange(-2, 2) * scale, window, 2)
        node = FixedNode("c", layer, (INPUT,), WORD, (WORD,), register)
        return reached(layer, x, register, node.dropped(WORD)).total

    register = Accumulator.parse(f"Q{40 + dropped}.{-dropped} {product}")
    for own, all_bits in zip(limits(2**dropped, register), limits(1, Accumulator()), strict=True):
        np.testing.assert_array_equal(own, all_bits)
