"""A fixed network with some formats changed: what is not changed keeps its integers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import BIAS_BITS, FixedNetwork, Provenance, raw_bias
from fxpnn.network.fxp import dumps
from fxpnn.network.graph import INPUT, Network, chain
from fxpnn.network.layers import AvgPool2D, Dense, Relu, Window
from fxpnn.network.rounded import Rounded, WeightRounding
from fxpnn.quantization.changes import Change, changed
from fxpnn.quantization.dequantizer import FLOAT_LIMIT, dequantize
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Settings
from tests.support.parameters import weight as weight_of
from tests.support.strategies import NetworkCase, fixed_networks
from tests.support.strategies.quantized import trained_like


def integers(fixed: FixedNetwork) -> bytes:
    """Spell a network, but for where it came from."""
    return dumps(replace(fixed, provenance=Provenance()))


def all_of(fixed: FixedNetwork) -> dict[str, Change]:
    """Return what makes a network of the same layers this one."""
    nodes = {
        node.name: Change(node.weight_formats or None, node.requantize, node.accumulator)
        for node in fixed.nodes
    }
    return {INPUT: Change(output=Shift(fixed.input_format)), **nodes}


def floats_of(fixed: FixedNetwork) -> Network:
    """Return the numbers that a network's integers mean, where a double holds them all."""
    assume(all(np.abs(raw_bias(node.layer)).max() <= FLOAT_LIMIT for node in fixed.nodes))
    return dequantize(fixed)


@given(case=fixed_networks())
def test_no_change_changes_nothing(case: NetworkCase) -> None:
    """Not a bit, in any network."""
    assert integers(changed(floats_of(case.fixed), case.fixed, {})) == integers(case.fixed)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), words=st.tuples(st.integers(3, 16), st.integers(3, 16)))
def test_all_changes_make_the_other_network(seed: int, words: tuple[int, int]) -> None:
    """Of two quantizations of one network each becomes the other, in every bit and count."""
    rng = np.random.default_rng(seed)
    network = trained_like(rng)
    x = rng.normal(0, 1, (20, *network.input_shape))
    one, other = (
        quantize(network, x, Settings(word=word, per_channel=bool(word % 2))) for word in words
    )
    assert integers(changed(network, one, all_of(other))) == integers(other)


def test_weights_that_were_fed_back_are_nearest_anew() -> None:
    """And biases uncorrected, and it is told so; where another part is changed both stay."""
    rng = np.random.default_rng(1)
    weight, x = rng.normal(0, 1, (3, 5)), rng.normal(0, 1, (30, 5))
    network = chain("n", (5,), {"d": Dense(weight, np.ones(3))})
    fed = Settings(4, weight_rounding=WeightRounding.FEEDBACK, bias_correction=True)
    one, other = quantize(network, x, fed), quantize(network, x, Settings(5))
    assert integers(changed(network, one, all_of(other))) == integers(other)
    cast = {"d": Change(output=Shift(QFormat(9, 4)))}
    kept = changed(network, one, cast)["d"]
    assert kept.rounded == one["d"].rounded == Rounded(WeightRounding.FEEDBACK, True)
    assert np.array_equal(weight_of(kept), weight_of(one["d"]))


@given(case=fixed_networks(kinds=(Dense,), max_layers=1), finer=st.integers(-12, 12))
def test_a_bias_is_aligned_and_the_register_keeps_its_range(case: NetworkCase, finer: int) -> None:
    """Behind an input of another fraction the sums are the same numbers, to half a count."""
    fixed = case.fixed
    node = fixed.nodes[0]
    assert node.accumulator is not None
    fmt = replace(fixed.input_format, frac=fixed.input_format.frac + finer)
    try:
        made = changed(floats_of(fixed), fixed, {INPUT: Change(output=Shift(fmt))}).nodes[0]
    except ModelError:  # the float network's bias fits no longer
        assume(False)
    assert isinstance(made.layer, Dense)
    assert isinstance(node.layer, Dense)
    assert np.array_equal(made.layer.weight, node.layer.weight)
    for now, before in zip(made.layer.bias.tolist(), node.layer.bias.tolist(), strict=True):
        exact = before * 2 ** max(finer, 0)
        beyond = abs(exact) >= 1 << BIAS_BITS - 1
        assert beyond or abs(now * 2 ** max(-finer, 0) - exact) * 2 <= 2 ** max(-finer, 0)
    assert made.accumulator is not None
    if node.accumulator.frac is None:
        assert made.accumulator.word == min(62, node.accumulator.word + max(finer, 0))
    else:
        assert made.accumulator == node.accumulator


def test_what_has_its_inputs_format_follows_it() -> None:
    """A ReLU, and a pool without a format of its own; one with its own keeps it."""
    layers = {
        "dense": AvgPool2D(Window((2, 2), (2, 2))),
        "relu": Relu(),
        "pool": AvgPool2D(Window((1, 2), (1, 2))),
    }
    network = chain("pools", (1, 4, 4), layers)
    x = np.random.default_rng(0).normal(0, 1, (9, 1, 4, 4))
    fixed = quantize(network, x, Settings(word=8))
    finer = Shift(replace(fixed.input_format, frac=fixed.input_format.frac + 2), Rounding.FLOOR)
    made = changed(network, fixed, {INPUT: Change(output=finer)})
    assert {node.output_format for node in made.nodes} == {finer.format}
    made = changed(network, fixed, {"pool": Change(output=finer)})
    assert [made.formats[name] for name in ("dense", "relu", "pool")] == [
        *[fixed.input_format] * 2,
        finer.format,
    ]
    assert made["pool"].rounding is Rounding.FLOOR
    again = changed(network, made, {INPUT: Change(output=Shift(QFormat(9, 5)))})
    assert again.formats["relu"] == QFormat(9, 5)
    assert again.formats["pool"] == finer.format


def test_a_change_that_cannot_be_is_refused() -> None:
    """The library's own error says why."""
    network = chain("one", (2,), {"dense": Dense(np.ones((1, 2)), np.full(1, 2.0**40))})
    fixed = quantize(network, np.ones((1, 2)), Settings(word=4, accumulator=Accumulator(62)))
    with pytest.raises(ModelError, match="layer dense"):
        changed(network, fixed, {"dense": Change(weight=(QFormat(4, 900),))})
