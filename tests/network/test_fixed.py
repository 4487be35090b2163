"""Fixed networks hold only integers that fit their formats, and say of each other what is wrong."""

import re
from typing import Any

import numpy as np
import pytest

from fxpnn import golden
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode, raw_weights
from fxpnn.network.graph import INPUT, Scaling
from fxpnn.network.layers import (
    Add,
    Array,
    Clip,
    Dense,
    Elu,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyRelu,
    Pad,
    Relu,
    Shape,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Step,
    Tanh,
    Window,
)
from fxpnn.network.lookup import response
from fxpnn.network.tables import table_for
from fxpnn.network.traits import Output

Q3_12, Q7_8, UQ0_8 = QFormat(16, 12), QFormat(16, 8), QFormat(8, 8, signed=False)
BIAS = (1 << 61) - 1
BIAS_RULE = "bias must be int64 of at most 62 bits"
DOT = Window((1, 1))


def one(layer: Layer, shape: Shape = (2,), source: QFormat = Q3_12, **fields: Any) -> FixedNetwork:
    """Build a network of one layer; what it needs and is not given is given as it should be."""
    kind = type(layer)
    needed: dict[str, Any] = {
        "output_format": kind.traits.format or source,
        "weight_formats": (Q3_12,) if kind.traits.weight else (),
        "accumulator": Accumulator() if kind.traits.sums else None,
        "table": table_for(kind),
    }
    inputs = (INPUT,) * (layer.inputs or 2)
    node = FixedNode("y", layer, inputs, **{**needed, **fields})
    return FixedNetwork("one", shape, source, (node,))


def dense(weight: object = 1, bias: object = 0, dtype: type[np.generic] = np.int16) -> Dense:
    """Build a layer from 2 to 3 values, with one weight and one bias throughout."""
    return Dense(np.full((3, 2), weight, dtype), np.full(3, bias, np.int64))


VALID: list[tuple[Layer, Shape]] = [
    (dense(), (2,)),
    (layers.Conv2D(np.ones((3, 2, 1, 1), np.int16), np.zeros(3, np.int64), DOT), (2, 1, 1)),
    *((pool(DOT), (2, 1, 1)) for pool in (layers.MaxPool2D, layers.AvgPool2D, layers.L2Pool2D)),
    (layers.PRelu(np.ones(2, np.int16)), (2,)),
    (LeakyRelu(41), (2,)),
    (HardSigmoid(819, 2**23), (2,)),
    (Clip(0, 24576), (2,)),
    (Step(0), (2,)),
    (Pad(((1, 1),), 0), (2,)),
    (layers.Reshape((1, 2)), (2,)),
    (layers.Transpose((0,)), (2,)),
    (layers.Slice(0, 1, 2), (2,)),
    *((kind(), (2,)) for kind in (Relu, layers.Flatten, Sigmoid, Tanh, Silu, HardSwish)),
    (layers.LayerNorm(np.ones(2, np.int16), np.zeros(2, np.int64), 1), (2,)),
    *((kind(), (2,)) for kind in (Elu, Softplus, layers.Abs)),
    *((kind(), (2,)) for kind in (Softmax, Add, layers.Concat)),
    (layers.MatMul(), (2, 2)),
]


@pytest.mark.parametrize(("layer", "shape"), VALID)
def test_every_layer_can_be_fixed(layer: Layer, shape: Shape) -> None:
    """The network knows the shape and format of its input and of every layer."""
    fixed = one(layer, shape)
    assert dict(fixed.formats) == {INPUT: Q3_12, "y": fixed["y"].output_format}
    assert fixed.shapes["y"] == layer.shape(*[shape] * len(fixed["y"].inputs))
    assert fixed.outputs == ("y",)
    with pytest.raises(KeyError, match=r"^'input'$"):
        fixed[INPUT]


@pytest.mark.parametrize(("layer", "shape"), VALID)
def test_layers_that_keep_the_format_cannot_change_it(layer: Layer, shape: Shape) -> None:
    """They are the ones listed; any other layer but softmax may have any format."""
    message = "layer y ({}): output must {} Q3.12, not {}Q7.8"
    if layer.traits.output is Output.KEPT:
        message = message.format(type(layer).__name__, "keep the input's", "be ")
    elif isinstance(layer, Softmax):
        message = "layer y (Softmax): output must be Q0.15, not Q7.8"
    else:
        assert one(layer, shape, output_format=Q7_8).formats["y"] == Q7_8
        return
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        one(layer, shape, output_format=Q7_8)


@pytest.mark.parametrize(("layer", "shape"), VALID)
def test_only_sums_have_an_accumulator(layer: Layer, shape: Shape) -> None:
    """They must have one, and no other layer may."""
    wrong = None if layer.traits.sums else Accumulator()
    message = rf"^layer y \({type(layer).__name__}\): an accumulator must stand where .*$"
    with pytest.raises(ModelError, match=message):
        one(layer, shape, accumulator=wrong)


@pytest.mark.parametrize(("layer", "shape"), VALID)
def test_only_weights_have_formats(layer: Layer, shape: Shape) -> None:
    """A layer with weights has one format or one per channel; any other has none."""
    weights = raw_weights(layer)
    if weights is None:
        wanted = "be none where there is no weight"
    else:
        wanted = f"be 1 or {len(weights)}, not 5"
    message = f"layer y ({type(layer).__name__}): weight formats must {wanted}"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        one(layer, shape, weight_formats=(Q3_12,) * 5)


@pytest.mark.parametrize(("layer", "shape"), VALID)
def test_only_functions_have_a_table(layer: Layer, shape: Shape) -> None:
    """It has the entries that the layer's segments need, as int32."""
    entries = layer.traits.table and layer.traits.table.entries
    message = f"layer y ({type(layer).__name__}): table must be {entries or 'no'} int32 entries"
    wrongs: list[Array | None] = [np.zeros(7, np.int32)]
    if entries:
        wrongs += [None, np.zeros((entries, 1), np.int32), np.zeros(entries, np.int64)]
    for wrong in wrongs:
        with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
            one(layer, shape, table=wrong)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (LeakyRelu(0.5), "slope"),
        (HardSigmoid(0.5, 0), "alpha"),
        (HardSigmoid(0, 0.5), "beta"),
        (Clip(0.5, 1), "low"),
        (Clip(0, 0.5), "high"),
        (Step(0.5), "threshold"),
        (Pad(((1, 1),), 0.5), "value"),
    ],
)
def test_scalars_are_integers(layer: Layer, name: str) -> None:
    """A float of the float network's layer has no place here."""
    message = f"layer y ({type(layer).__name__}): {name} must be an integer, not 0.5"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        one(layer)


@pytest.mark.parametrize("source", [Q3_12, UQ0_8])
def test_limits_are_words_of_the_input(source: QFormat) -> None:
    """A clip, a pad and a step have raw words; a step may stand one above them all."""
    low, high, around = source.min, source.max, ((1, 1),)
    right = [Clip(low, high), Pad(around, low), Pad(around, high), Step(low), Step(high + 1)]
    assert all(one(layer, source=source) for layer in right)
    wrong: list[tuple[Layer, str, int]] = [
        (Clip(low - 1, high), "low", low - 1),
        (Clip(low, high + 1), "high", high + 1),
        (Clip(2**70, 2**71), "low", 2**70),
        (Pad(around, low - 1), "value", low - 1),
        (Pad(around, high + 1), "value", high + 1),
        (Step(low - 1), "threshold", low - 1),
        (Step(high + 2), "threshold", high + 2),
    ]
    for layer, name, raw in wrong:
        message = (
            rf"^layer y \(\w+\): {name} must be a raw value of the input's {source}, not {raw}$"
        )
        with pytest.raises(ModelError, match=message):
            one(layer, source=source)


Q9_9 = QFormat(19, 9)
REMEDY = "Q9.9 takes 19 bits with its sign, not 16; did you mean Q6.9?"
FRACTION_ONLY = "weight formats must differ in their fraction only"
ODD_FIELDS: list[tuple[Layer, dict[str, Any], str]] = [
    (Sigmoid(), {"output_format": Q9_9}, REMEDY),
    (dense(), {"weight_formats": (Q9_9,)}, REMEDY),
    (
        dense(),
        {"weight_formats": (Q3_12, Q3_12, QFormat(1, 1))},
        "a tensor's word must be 2 to 16 bits, not 1 (Q-1.1)",
    ),
    (dense(), {"weight_formats": ()}, "weight formats must be 1 or 3, not 0"),
    (dense(), {"weight_formats": (Q3_12, Q3_12)}, "weight formats must be 1 or 3, not 2"),
    (dense(), {"weight_formats": (Q3_12, Q3_12, QFormat(15, 12))}, FRACTION_ONLY),
    (dense(), {"weight_formats": (QFormat(8, 8), UQ0_8, UQ0_8)}, FRACTION_ONLY),
    (dense(128), {"weight_formats": (QFormat(8, 4),)}, "weight must fit Q3.4, not reach 128..128"),
    (dense(-1), {"weight_formats": (UQ0_8,)}, "weight must fit UQ0.8, not reach -1..-1"),
    (dense(40000, dtype=np.int64), {}, "weight must fit Q3.12, not reach 40000..40000"),
    (LeakyRelu(32768), {}, "weight must fit Q3.12, not reach 32768..32768"),
    (dense(1, dtype=np.float32), {}, "weight must be integers, not float32"),
    (dense(1, dtype=np.uint8), {}, "weight must be integers, not uint8"),
    (LeakyRelu(2**70), {}, "weight must be integers, not object"),
    (Dense(np.ones((3, 2), np.int16), np.zeros(3)), {}, BIAS_RULE),
    (Dense(np.ones((3, 2), np.int16), np.zeros(3, np.int32)), {}, BIAS_RULE),
    (HardSigmoid(1, 2**70), {}, BIAS_RULE),
    (Relu(), {"softmax_shift": 0}, "softmax shift must be none where there is no softmax"),
    (
        Softmax(),
        {"softmax_shift": 32768},
        "softmax shift must be a raw value of the input's Q3.12, not 32768",
    ),
    (
        Softmax(),
        {"softmax_shift": -(2**70)},
        f"softmax shift must be a raw value of the input's Q3.12, not {-(2**70)}",
    ),
]


@pytest.mark.parametrize(("layer", "fields", "message"), ODD_FIELDS)
def test_what_a_layer_stores_must_fit(layer: Layer, fields: dict[str, Any], message: str) -> None:
    """Formats, weights and biases that cannot be are refused with the layer's name."""
    where = f"layer y ({type(layer).__name__}): "
    with pytest.raises(ModelError, match=rf"^{re.escape(where + message)}$"):
        one(layer, **fields)


@pytest.mark.parametrize("bias", [BIAS + 1, -BIAS - 1, -(2**63), 2**63 - 1])
def test_a_bias_has_62_bits(bias: int) -> None:
    """One beyond either end is refused, and so is the one word whose magnitude int64 lacks."""
    assert one(dense(bias=BIAS))["y"]
    assert one(dense(bias=-BIAS))["y"]
    for layer in (dense(bias=bias), HardSigmoid(1, bias)):
        with pytest.raises(ModelError, match=rf"^layer y \(\w+\): {BIAS_RULE}$"):
            one(layer)


TABLE_BITS = [
    *((kind, 18) for kind in (Sigmoid, Tanh, Elu, Softplus)),
    *((kind, 20) for kind in (Silu, Softmax)),
]


@pytest.mark.parametrize(("kind", "bits"), TABLE_BITS)
def test_table_entries_are_bounded(kind: type[Layer], bits: int) -> None:
    """What is 1 at most does not pass it (at 18 fraction bits); the others do not overflow."""
    for entry in (2**bits + 1, -(2**bits) - 1, -(2**31)):
        table = np.array(table_for(kind))
        table[3] = entry
        message = rf"^layer y \({kind.__name__}\): table entries must be at most 2\*\*{bits}$"
        with pytest.raises(ModelError, match=message):
            one(kind(), table=table)


@pytest.mark.parametrize(("index", "entry"), [(0, 2**20 - 1), (256, 2**19 - 1), (100, 2**20)])
def test_the_softmax_table_falls(index: int, entry: int) -> None:
    """From 1 to a half without ever rising: else a sum could be 0, or the order change."""
    table = np.array(table_for(Softmax))
    table[index] = entry
    message = r"^layer y \(Softmax\): table must fall from 2\*\*20 to 2\*\*19$"
    with pytest.raises(ModelError, match=message):
        one(Softmax(), table=table)


def test_softmax_has_at_most_4096_classes() -> None:
    """More would need a wider sum; what counts is the axis along which it runs."""
    assert one(Softmax(), (4096,))
    assert one(Softmax(0), (2, 4097))
    message = r"^layer y \(Softmax\): classes must be at most 4096, not 4097$"
    with pytest.raises(ModelError, match=message):
        one(Softmax(), (2, 4097))


ENDS: dict[type[Layer], tuple[int, int]] = {
    HardSwish: (-16, 24),
    **dict.fromkeys((Silu, Elu, Softplus), (-12, 56)),
}
FRACS = [(kind(), frac) for kind, ends in ENDS.items() for frac in ends]


@pytest.mark.parametrize(("layer", "frac"), FRACS)
def test_fraction_bits_end_where_62_bits_do(layer: Layer, frac: int) -> None:
    """At the ends the loops in 64 bits equal the golden model, beyond them nothing runs."""
    fixed = one(layer, (1,), QFormat(16, frac))
    answers = response(fixed["y"], fixed.input_format)
    words = np.array([-32768, -32767, -12345, -2, -1, 0, 1, 2, 12345, 32766, 32767])
    assert answers is not None
    assert answers.raw[words].tolist() == golden.run(fixed, words[:, None]).raw["y"][:, 0].tolist()
    low, high = ENDS[type(layer)]
    beyond = QFormat(16, frac + (1 if frac == high else -1))
    message = (
        f"layer y ({type(layer).__name__}): input must have {low} to {high} fraction bits, not "
        f"{beyond.frac}; change the format of input, {beyond}"
    )
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        one(layer, (1,), beyond, output_format=Q3_12)


@pytest.mark.parametrize(("weight_frac", "total"), [(-13, -1), (35, 47)])
def test_a_hard_sigmoid_holds_1_in_62_bits(weight_frac: int, total: int) -> None:
    """The fraction bits of input and alpha add up to 0 to 46."""
    inside = QFormat(16, weight_frac + (1 if total < 0 else -1))
    assert one(HardSigmoid(1, 0), weight_formats=(inside,))
    weight = QFormat(16, weight_frac)
    message = (
        "layer y (HardSigmoid): fraction bits of input and alpha must add up to 0 to 46, not "
        f"{total}; change the weight format, {weight}"
    )
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        one(HardSigmoid(1, 0), weight_formats=(weight,))


@pytest.mark.parametrize("apart", [44, -44, 45, -45])
def test_summands_are_aligned_in_62_bits(apart: int) -> None:
    """Their fraction bits differ by at most 44."""
    other = QFormat(16, 12 + apart)
    nodes = (
        FixedNode("other", HardSwish(), (INPUT,), other),
        FixedNode("kept", Relu(), ("other",), other),  # its format is changed where it was chosen
        FixedNode("y", Add(), (INPUT, "kept"), Q3_12),
    )
    if abs(apart) <= 44:
        assert FixedNetwork("sum", (2,), Q3_12, nodes).formats["other"] == other
        return
    message = (
        "layer y (Add): fraction bits of the branches must differ by at most 44, not 45; "
        f"change the format of input, Q3.12, or other, {other}"
    )
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        FixedNetwork("sum", (2,), Q3_12, nodes)


RELU = FixedNode("relu", Relu(), (INPUT,), Q3_12)
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"nodes": ()}, "a network must have one or more layers, not none"),
    ({"nodes": (RELU, RELU)}, "layer relu (Relu): names must be unique and not empty"),
    ({"outputs": ("rely",)}, "outputs must be names of layers, not 'rely'"),
    ({"input_shape": ()}, "the input must hold 1 to 2**27 values on its axes, not ()"),
    ({"scaling": Scaling(1.0, (0.0,) * 3)}, "mean must hold 1 or 2 values, not 3"),
    ({"input_format": Q9_9}, f"input: {REMEDY}"),
    (
        {"input_format": QFormat(16, 0, signed=False)},
        "input: UQ16.0 takes 17 bits with the zero sign of int16, not 16; did you mean UQ15.0?",
    ),
]


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_a_fixed_network_is_a_network(fields: dict[str, Any], message: str) -> None:
    """The graph, the scaling and the input's format are checked too."""
    arguments: dict[str, Any] = {"input_shape": (2,), "input_format": Q3_12, "nodes": (RELU,)}
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        FixedNetwork("wrong", **{**arguments, **fields})


def test_weight_formats_serve_one_or_all_channels() -> None:
    """The fraction bits come per channel, also where all have the same."""
    formats = (Q3_12, Q7_8, QFormat(16, -3))
    assert one(dense(), weight_formats=formats)["y"].fracs(3).tolist() == [12, 8, -3]
    assert one(dense())["y"].fracs(3).tolist() == [12, 12, 12]
    assert one(dense())["y"].fracs(3).dtype == np.int64


@pytest.mark.parametrize(
    ("layer", "fmt", "overflow", "clips"),
    [
        (Sigmoid(), QFormat(16, 15), Overflow.SATURATE, True),
        (Tanh(), QFormat(8, 7), Overflow.SATURATE_SYMMETRIC, True),
        (HardSigmoid(1, 0), UQ0_8, Overflow.SATURATE, True),
        (Tanh(), UQ0_8, Overflow.SATURATE, False),
        (Sigmoid(), QFormat(16, 14), Overflow.SATURATE, False),
        (Sigmoid(), QFormat(16, 16), Overflow.SATURATE, False),
        (Sigmoid(), QFormat(16, 15), Overflow.WRAP, False),
        (Sigmoid(), QFormat(16, 15), Overflow.SATURATE_ZERO, False),
        (HardSwish(), QFormat(16, 15), Overflow.SATURATE, False),
    ],
)
def test_the_largest_word_stands_for_one_without_integer_bits(
    layer: Layer, fmt: QFormat, overflow: Overflow, clips: bool
) -> None:
    """Where a clamped function of no more than 1 has no integer bit, and only there."""
    assert one(layer, output_format=fmt, overflow=overflow)["y"].clips_one is clips


def test_counts_add_up() -> None:
    """What overflowed in a batch is the sum of what overflowed in its parts."""
    assert sum([Counts(1, 20), Counts(300, 4000)], Counts()) == Counts(301, 4020)
