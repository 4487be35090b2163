"""The golden model's layers: examples worked by hand, and oracles in rational arithmetic."""

import re
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.errors import DataError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network import layers
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Layer, Window, layer_types
from fxpnn.network.tables import table_for
from tests.support.oracle_sums import word_sum
from tests.support.oracles import ORACLES, cast_rational, judged
from tests.support.strategies import (
    Accumulation,
    NetworkCase,
    accumulations,
    dense_at_limit,
    fixed_networks,
    repeated_factors,
    unsigned_before_relus,
)

Q8 = QFormat(16, 8)
INTEGERS = QFormat(16, 0)
ACC8 = Accumulator(8)


def network(layer: Layer, shape: tuple[int, ...], source: QFormat, **fields: Any) -> FixedNetwork:
    """Build a network of one layer, named y, whose output has its input's format by default."""
    fields = {"output_format": source} | fields
    return FixedNetwork("one", shape, source, (FixedNode("y", layer, (INPUT,), **fields),))


def one(layer: Layer, x: Any, source: QFormat = Q8, **fields: Any) -> tuple[Any, Counts]:
    """Run one layer on one image; return its raw output as lists, and its counts."""
    run = golden.run(network(layer, np.shape(x), source, **fields), np.array([x]))
    return run.raw["y"][0].tolist(), run.counts["y"]


def summed(case: Accumulation) -> tuple[int, Counts]:
    """Sum by a dense layer with an output wide enough to show the accumulator's low bits."""
    layer = layers.Dense(case.weight[None], np.array([case.bias]))
    fields = {"accumulator": case.accumulator, "weight_formats": (INTEGERS,)}
    fields |= {"overflow": Overflow.WRAP}
    (y,), counts = one(layer, case.x.tolist(), INTEGERS, **fields)
    return y, counts


def terms(weight: list[int], word: Accumulator = ACC8, bias: int = 0) -> tuple[int, Counts]:
    """Sum a bias and weights (of inputs that are all 1)."""
    ones = np.ones(len(weight), np.int16)
    return summed(Accumulation(word, bias, np.array(weight, np.int16), ones))


# Sums


def test_the_bias_is_clamped_first() -> None:
    """200 does not fit 8 bits: it is 127 before -100 is added, and the sum 27, not 100."""
    assert terms([-100], bias=200) == (27, Counts(1, 0))


@pytest.mark.parametrize(
    ("weight", "total", "overflows"),
    [
        ([100, 28, -10], 117, 1),
        ([100, 27, -10], 117, 0),
        ([-100, -28, 10], -118, 0),
        ([-100, -29, 10], -118, 1),
        ([200, -10, -20], 97, 1),
        ([-10, -20, 200], 127, 1),
        ([200, 200, 200], 127, 3),
    ],
)
def test_a_saturating_sum_clamps_after_every_add(
    weight: list[int], total: int, overflows: int
) -> None:
    """In the first, a middle or the last step; a sum on the limit is none."""
    assert terms(weight) == (total, Counts(overflows, 0))


def test_a_wrapping_sum_may_overflow_on_the_way() -> None:
    """100 + 100 - 150 is 50 again; 100 + 100 ends outside, at -56, and counts once."""
    word = Accumulator(8, Overflow.WRAP)
    assert terms([100, 100, -150], word) == (50, Counts(0, 0))
    assert terms([100, 100], word) == (-56, Counts(1, 0))
    assert terms([-100, -100, 0, 0], word) == (56, Counts(1, 0))


@given(accumulations())
def test_a_sum_is_what_its_accumulator_holds(case: Accumulation) -> None:
    """Reaching the limit at the bias, the first, a middle or the last step, or beside it."""
    products = [int(w) * int(v) for w, v in zip(case.weight, case.x, strict=True)]
    total, overflows = word_sum(case.accumulator, [case.bias, *products])
    low_bits, _ = cast_rational(Fraction(total), INTEGERS, Rounding.FLOOR, Overflow.WRAP)
    y, counts = summed(case)
    assert (y, counts.accumulator_overflows) == (low_bits, overflows)


def test_a_convolution_adds_maps_then_rows_then_columns() -> None:
    """It sums as a dense layer does over the flattened window, clamps and counts included."""
    weight = np.array([[[[100, 100], [-90, 5]], [[-128, 127], [3, -100]]]], np.int16)
    fields = {"accumulator": ACC8, "weight_formats": (INTEGERS,)}
    bias, x = np.array([120]), np.ones((2, 2, 2), int)
    conv, counts = one(layers.Conv2D(weight, bias, Window((2, 2))), x, INTEGERS, **fields)
    dense = one(layers.Dense(weight.reshape(1, 8), bias), x.ravel(), INTEGERS, **fields)
    assert ([conv[0][0][0]], counts) == dense
    assert dense == ([-56], Counts(2, 0))


def test_a_convolution_does_not_flip_its_kernel() -> None:
    """The kernel [1, 10] on [1, 2, 3] gives 21 and 32; padding on the right adds 0."""
    layer = layers.Conv2D(
        np.array([[[[1, 10]]]], np.int16), np.array([0]), Window((1, 2), padding=(0, 0, 0, 1))
    )
    fields = {"accumulator": Accumulator(), "weight_formats": (INTEGERS,)}
    assert one(layer, [[[1, 2, 3]]], INTEGERS, **fields) == ([[[21, 32, 3]]], Counts())


def test_each_channel_has_its_own_fraction() -> None:
    """3 * 1.0, the weight a raw 16 at F = 4 or a raw 64 at F = 6."""
    layer = layers.Dense(np.array([[16], [64]], np.int16), np.array([0, 0]))
    formats = (QFormat(16, 4), QFormat(16, 6))
    y = one(layer, [768], accumulator=Accumulator(), weight_formats=formats)
    assert y == ([768, 768], Counts())


# Examples of the other layers


@pytest.mark.parametrize(("counted", "average"), [(False, 8), (True, 2)])
def test_padding_may_be_counted(*, counted: bool, average: int) -> None:
    """8 in the corner of a window of four, of which three are padding."""
    layer = layers.AvgPool2D(Window((2, 2), padding=(1, 1, 0, 0)), counted)
    assert one(layer, [[[8]]]) == ([[[average]]], Counts())


def test_positions_beyond_the_padded_edge_are_never_counted() -> None:
    """The last window of three values by two, in ceil mode, averages one value."""
    row = Window((1, 2), (1, 2), ceil_mode=True)
    column = Window((2, 1), (2, 1), ceil_mode=True)
    assert one(layers.AvgPool2D(row, count_padding=True), [[[2, 4, 7]]])[0] == [[[3, 7]]]
    assert one(layers.AvgPool2D(column, count_padding=True), [[[2], [4], [7]]])[0] == [[[3], [7]]]


def test_a_dilated_window_may_see_only_padding() -> None:
    """Its average is 0, its maximum the format's minimum."""
    window = Window((1, 2), padding=(0, 2, 0, 3), dilation=(1, 3))
    assert one(layers.AvgPool2D(window), [[[6]]]) == ([[[0, 0, 6]]], Counts())
    assert one(layers.MaxPool2D(window), [[[6]]], QFormat(4, 0)) == ([[[-8, -8, 6]]], Counts())


def test_padding_never_wins_a_maximum() -> None:
    """Every window of negative values keeps the largest of them."""
    layer = layers.MaxPool2D(Window((2, 2), (2, 2), (1, 1, 1, 1)))
    assert one(layer, [[[-9, -8], [-7, -6]]]) == ([[[-9, -8], [-7, -6]]], Counts())


def test_formats_twenty_bits_apart_add_exactly() -> None:
    """A half of the coarse side is a tie, and goes to even; one fine LSB beside it is none."""
    node = FixedNode("y", layers.Add(), ("fine", "coarse"), QFormat(16, 0))
    unit = golden.Unit(node, (QFormat(16, 21), QFormat(16, 1)))
    fine, coarse = np.array([0, 1, -1, 0], object), np.array([1, 1, 1, 3], object)
    assert golden.compute(node.layer, unit, fine, coarse).tolist() == [0, 1, 0, 2]


def test_products_are_exact_and_cast_once() -> None:
    """-1 times -1 is 1, one count too many for Q0.15; a half is a tie, and goes to even."""
    node = FixedNode("y", layers.Mul(), ("x", "gate"), QFormat(16, 15))
    unit = golden.Unit(node, (QFormat(16, 15), QFormat(16, 15)))
    x, gate = np.array([[-32768, 3], [1, 5]], object), np.array([[-32768], [16384]], object)
    assert golden.compute(node.layer, unit, x, gate).tolist() == [[32767, -3], [0, 2]]
    assert unit.saturations == 1


@pytest.mark.parametrize(("layer", "times"), [(layers.Concat(), 2), (layers.Quantize(), 1)])
@pytest.mark.parametrize(("word", "y", "saturated"), [(4, -8, 0), (5, -7, 1)])
def test_a_cast_to_its_own_format_changes_nothing(
    layer: Layer, times: int, word: int, y: int, saturated: int
) -> None:
    """Under saturate-symmetric the minimum stays, uncounted; from a wider format it moves."""
    symmetric, inputs = Overflow.SATURATE_SYMMETRIC, (INPUT,) * times
    node = FixedNode("y", layer, inputs, QFormat(4, 0), overflow=symmetric)
    run = golden.run(FixedNetwork("cast", (1,), QFormat(word, 0), (node,)), np.array([[-8]]))
    assert (run.raw["y"].tolist(), run.counts["y"]) == ([[y] * times], Counts(0, saturated * times))


def test_quantize_rounds_by_its_modes() -> None:
    """Halves go up, and what does not fit saturates: one cast to the layer's own format."""
    fields: dict[str, Any] = {"output_format": QFormat(4, 0), "rounding": Rounding.NEAREST_UP}
    y = one(layers.Quantize(), [128, -128, 384, 1791, 2000, -3000], **fields)
    assert y == ([1, 0, 2, 7, 7, -8], Counts(0, 2))


def test_a_step_that_cannot_hold_one_saturates() -> None:
    """In Q0.15 every one is 32767, and counted."""
    y = one(layers.Step(5), [4, 5, 6], output_format=QFormat(16, 15))
    assert y == ([0, 32767, 32767], Counts(0, 2))


def test_tables_are_the_nodes_own() -> None:
    """A sigmoid whose entries are their index is a line up to 1024/64, and flat beyond."""
    table, fine = np.arange(1025, dtype=np.int32), QFormat(16, 18)
    x = [0, 4, 4092, 4096, 4097, 32767]  # of Q7.8: 16 is 4096, and every fourth has an entry
    y = one(layers.Sigmoid(), x, table=table, output_format=fine)
    assert y == ([0, 1, 1023, 1024, 1024, 1024], Counts())


def test_tables_interpolate_up_to_the_last_entry() -> None:
    """Three quarters of the way from entry 1023, a 0, to entry 1024, a 4."""
    table, fine = np.array([0] * 1024 + [4], np.int32), QFormat(16, 18)
    y = one(layers.Sigmoid(), [4092, 4095, 4096], table=table, output_format=fine)
    assert y == ([0, 3, 4], Counts())


def test_silu_reads_fractions_finer_than_its_table() -> None:
    """A thousand at 40 fraction bits is 0 for the table, and the rest exact."""
    y = one(layers.Silu(), [1000, -1000], QFormat(16, 40), table=table_for(layers.Silu))
    assert y == ([1000, 0], Counts())


# Every layer against rational arithmetic


@pytest.mark.parametrize("kind", ORACLES, ids=lambda kind: kind.__name__)
@settings(max_examples=60)
@given(data=st.data())
def test_a_layer_is_its_exact_value_cast_once(kind: type[Layer], data: st.DataObject) -> None:
    """With any formats, modes and geometry, in raw values and counts."""
    kinds = (kind, kind, layers.Tanh)
    fixed, raw = data.draw(fixed_networks(kinds, max_layers=3, max_images=1))
    values, result = {INPUT: raw[0].astype(object)}, golden.run(fixed, raw)
    for node in fixed.nodes:
        inputs = [values[name] for name in node.inputs]
        sources = [fixed.formats[name] for name in node.inputs]
        y, counts = ORACLES[type(node.layer)](node, sources, inputs)
        assert result.raw[node.name][0].tolist() == y.tolist()
        assert result.counts[node.name] == judged(counts, node, fixed)
        values[node.name] = y


@settings(max_examples=200)
@given(case=unsigned_before_relus(max_images=1))
def test_an_unsigned_word_before_a_relu_is_the_relu(case: NetworkCase) -> None:
    """In raw values and counts; behind the ReLU nothing tells it from a word with a sign."""
    fixed, raw = case
    values, result = {INPUT: raw[0].astype(object)}, golden.run(fixed, raw)
    for node in fixed.nodes:
        inputs = [values[name] for name in node.inputs]
        sources = [fixed.formats[name] for name in node.inputs]
        if isinstance(node.layer, layers.Softmax):
            values[node.name] = result.raw[node.name][0].astype(object)
            continue
        y, counts = ORACLES[type(node.layer)](node, sources, inputs)
        assert result.raw[node.name][0].tolist() == y.tolist()
        assert result.counts[node.name] == judged(counts, node, fixed)
        values[node.name] = y


@given(case=repeated_factors())
def test_a_factor_repeats_exactly(case: NetworkCase) -> None:
    """Each value of a map is multiplied by that of its channel, row or column, and cast once."""
    run, (_, y) = golden.run(*case), case.fixed.nodes[2:]
    sources, values = [case.fixed.formats[name] for name in y.inputs], run.raw
    counts = Counts()
    for i, found in enumerate(values[y.name]):
        wanted, count = ORACLES[layers.Mul](y, sources, [values[name][i] for name in y.inputs])
        assert found.tolist() == wanted.tolist()
        counts += count
    assert run.counts[y.name] == judged(counts, y, case.fixed)


@given(dense_at_limit())
def test_a_dense_layer_at_its_limit_is_exact(case: NetworkCase) -> None:
    """The cast sees the accumulator's word, whatever the sum has come to."""
    (node,), result = case.fixed.nodes, golden.run(*case)
    y, counts = ORACLES[layers.Dense](node, [case.fixed.input_format], [case.raw[0].astype(object)])
    assert result.raw["dense"][0].tolist() == y.tolist()
    assert result.counts["dense"] == judged(counts, node, case.fixed)


# Whole networks


@given(fixed_networks())
def test_images_do_not_affect_each_other(case: NetworkCase) -> None:
    """Images run one by one give the same raw values, and counts that add up."""
    whole = golden.run(*case)
    parts = [golden.run(case.fixed, case.raw[i : i + 1]) for i in range(len(case.raw))]
    for name, raw in whole.raw.items():
        assert np.array_equal(raw, np.concatenate([part.raw[name] for part in parts]))
        assert whole.counts[name] == sum((part.counts[name] for part in parts), Counts())


@given(fixed_networks())
def test_raw_values_fit_their_formats(case: NetworkCase) -> None:
    """So they fit int16; shapes are those that the network promises."""
    for name, raw in golden.run(*case).raw.items():
        fmt = case.fixed.formats[name]
        assert raw.shape == (len(case.raw), *case.fixed.shapes[name])
        assert fmt.min <= raw.min()
        assert raw.max() <= fmt.max


@given(fixed_networks())
def test_every_number_is_a_python_integer(case: NetworkCase) -> None:
    """No fixed-width integer slips in, which would overflow unseen."""
    values = {INPUT: case.raw[0].astype(object)}
    for node in case.fixed.nodes:
        unit = golden.Unit(node, tuple(case.fixed.formats[name] for name in node.inputs))
        y = golden.compute(node.layer, unit, *(values[name] for name in node.inputs))
        assert {type(value) for value in y.flat} == {int}
        values[node.name] = y


def test_every_layer_is_specified() -> None:
    """Each kind of layer has a function of its own, for a tensor or for a value."""
    for kind in layer_types().values():
        assert {golden.compute.dispatch(kind), golden.activate.dispatch(kind)} != {
            golden.compute.dispatch(Layer),
            golden.activate.dispatch(Layer),
        }


def test_an_unknown_layer_is_named() -> None:
    """A kind of layer that has no function is no silent identity."""
    with pytest.raises(NotImplementedError, match=r"^Layer$"):
        golden.activate(Layer(), golden.Unit(network(layers.Relu(), (1,), Q8)["y"], (Q8,)), 1)


def test_no_images_give_no_values() -> None:
    """Zero images keep the shape and count nothing."""
    run = golden.run(network(layers.Relu(), (2, 3), Q8), np.zeros((0, 2, 3), np.int16))
    assert (run.raw["y"].shape, run.counts["y"]) == ((0, 2, 3), Counts())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2)), "images must be (images, 2) integers, not float64 (1, 2)"),
        (np.zeros((1, 3), int), "images must be (images, 2) integers, not int64 (1, 3)"),
        (np.array([[0, 8]]), "images must fit Q3.0, not reach 0..8"),
        (np.array([[-9, 0]]), "images must fit Q3.0, not reach -9..0"),
    ],
)
def test_images_must_fit_the_input(images: npt.NDArray[Any], message: str) -> None:
    """Their type, shape and range are checked."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        golden.run(network(layers.Relu(), (2,), QFormat(4, 0)), images)
