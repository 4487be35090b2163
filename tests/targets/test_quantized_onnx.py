"""What is exported and read again is the same to the bit; other tools compute the same."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fxpnn
from fxpnn import golden
from fxpnn.errors import DataError, ModelError
from fxpnn.fixedpoint.casting import to_float
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network import layers
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Conv2D, Dense, Layer, Window
from fxpnn.network.tables import table_for
from fxpnn.onnx.read.model import read_model
from fxpnn.onnx.write.dialects import Dialect, Qdq, Qonnx
from fxpnn.onnx.write.quantized import to_quantized_model
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Plan, Settings
from tests.support.onnx_models import runtime
from tests.support.qonnx_models import QONNX, computed
from tests.support.strategies import NetworkCase, fixed_networks
from tests.support.strategies.networks import MAKERS
from tests.support.strategies.rectified import unsigned_before_relus

SAYABLE = {Rounding.NEAREST_UP: Rounding.NEAREST_AWAY, Rounding.NEAREST_DOWN: Rounding.FLOOR}
SATURATING = {Overflow.WRAP: Overflow.SATURATE, Overflow.SATURATE_ZERO: Overflow.SATURATE_SYMMETRIC}


def floated(layer: Layer) -> Layer:
    """Return a layer whose bias is one that a float can be."""
    if isinstance(layer, Dense | Conv2D):
        return replace(layer, bias=layer.bias.clip(-(2**53), 2**53))
    if isinstance(layer, layers.HardSigmoid):
        return replace(layer, beta=max(-(2**24), min(int(layer.beta), 2**24)))
    return layer


def qonnx_form(case: NetworkCase) -> NetworkCase:
    """Give the modes that QONNX lacks to none of the nodes."""
    nodes = (
        replace(
            node,
            layer=floated(node.layer),
            rounding=SAYABLE.get(node.rounding, node.rounding),
            overflow=SATURATING.get(node.overflow, node.overflow),
        )
        for node in case.fixed.nodes
    )
    return NetworkCase(replace(case.fixed, nodes=tuple(nodes)), case.raw)


def qdq_form(case: NetworkCase) -> NetworkCase:
    """Widen all words to 8 or 16 bits, and round all to nearest even."""

    def wide(fmt: QFormat) -> QFormat:
        return replace(fmt, word=8) if fmt.word <= 8 else QFormat(16, fmt.frac)

    plain: dict[str, Any] = {"rounding": Rounding.NEAREST_EVEN, "overflow": Overflow.SATURATE}
    nodes = (
        replace(node, layer=floated(node.layer), output_format=wide(node.output_format), **plain)
        for node in case.fixed.nodes
    )
    entry = wide(case.fixed.input_format)
    return NetworkCase(replace(case.fixed, nodes=tuple(nodes), input_format=entry), case.raw)


KINDS = tuple(kind for kind in MAKERS if kind is not layers.LayerNorm)
"""The layers that both dialects can say."""

FORMS = {Qonnx: qonnx_form, Qdq: qdq_form}


def keeping_all_bits(fixed: FixedNetwork) -> FixedNetwork:
    """Take the fraction from each register that drops bits of products."""
    nodes = (
        replace(node, accumulator=Accumulator(node.accumulator.word))
        if node.accumulator is not None and (node.dropped(*fixed.sources(node)) > 0).any()
        else node
        for node in fixed.nodes
    )
    return replace(fixed, nodes=tuple(nodes))


def scales_are_float32(fixed: FixedNetwork) -> bool:
    """Return whether each format's count, 2**-frac, is a float32: 2**-149 to 2**127."""
    fracs = [fmt.frac for fmt in fixed.formats.values()]
    for node in fixed.nodes:
        fracs += [fmt.frac for fmt in node.weight_formats]
        if node.layer.traits.sums:  # the scale of a bias
            fracs += fixed.product_fracs(node).tolist()
    return -127 <= min(fracs) <= max(fracs) <= 149


def again(fixed: FixedNetwork, model: onnx.ModelProto) -> FixedNetwork:
    """Quantize what is read of an export, by what no export carries."""
    network, given_ = read_model(model)
    own: dict[str, Settings] = {}
    for node in fixed.nodes:
        shift = node.softmax_shift
        constant = None if shift is None else to_float(shift, fixed.formats[node.inputs[0]]).item()
        own[node.name] = Settings(accumulator=node.accumulator or Accumulator(), softmax=constant)
    names = {*network.shapes}
    plan = Plan(layers={name: choice for name, choice in own.items() if name in names})
    return quantize(network, plan=plan.completed(given_))


@pytest.mark.parametrize("dialect", [Qonnx, Qdq])
@given(case=fixed_networks(KINDS))
def test_what_is_read_again_is_the_same_to_the_bit(
    dialect: type[Dialect], case: NetworkCase
) -> None:
    """Any network in the dialect's formats and modes: the same raw outputs and formats.

    Scales are float32 in both; one that is none is refused, as another test says.
    """
    fixed, raw = FORMS[dialect](case)
    fixed = keeping_all_bits(fixed)
    assume(scales_are_float32(fixed))
    other = again(fixed, to_quantized_model(fixed, dialect))
    ours, theirs = golden.run(fixed, raw), golden.run(other, raw)
    for name, twin in zip(fixed.outputs, other.outputs, strict=True):
        assert ours.raw[name].tolist() == theirs.raw[twin].tolist()
        assert fixed.formats[name] == other.formats[twin]


@pytest.mark.parametrize("dialect", [Qonnx, Qdq])
@given(case=unsigned_before_relus())
def test_a_clamp_that_is_a_relu_comes_back_as_one(
    dialect: type[Dialect], case: NetworkCase
) -> None:
    """Whatever an output depends on has the same words and counts; what none does is left out."""
    fixed = keeping_all_bits(FORMS[dialect](case).fixed)
    live = {*fixed.outputs}
    for node in reversed(fixed.nodes):
        live.update(node.inputs if node.name in live else ())
    fixed = replace(fixed, nodes=tuple(node for node in fixed.nodes if node.name in live))
    assume(scales_are_float32(fixed))
    assume(all(isinstance(node.layer, KINDS) for node in fixed.nodes))
    other = again(fixed, to_quantized_model(fixed, dialect))
    assert bool(other.rectified) == bool(fixed.rectified)
    ours, theirs = (golden.run(each, case.raw) for each in (fixed, other))
    for name, twin in zip(fixed.outputs, other.outputs, strict=True):
        assert ours.raw[name].tolist() == theirs.raw[twin].tolist()
    assert sum(ours.counts.values(), Counts()) == sum(theirs.counts.values(), Counts())


KEPT = ("name", "op", "inputs", "output_format", "weight_formats", "rounding", "overflow")


def network(word: int = 16, **last: Any) -> FixedNetwork:
    """Build a network of maps, with a branch and a scale for each channel, of small words."""
    rng = np.random.default_rng(4)
    fine, coarse = QFormat(word, word - 4), QFormat(word, word - 6)
    conv = Conv2D(
        rng.integers(-8, 8, (3, 1, 3, 3)).astype(np.int16),
        rng.integers(-64, 64, 3),
        Window((3, 3), padding=(1, 1, 1, 1)),
    )
    dense = Dense(rng.integers(-8, 8, (4, 27)).astype(np.int16), rng.integers(-64, 64, 4))
    channels = (QFormat(4, 3), QFormat(4, 2), QFormat(4, 4))
    nodes = (
        FixedNode("conv", conv, (INPUT,), fine, channels, Accumulator()),
        FixedNode("relu", layers.Relu(), ("conv",), fine),
        FixedNode("sum", layers.Add(), ("relu", "conv"), coarse),
        FixedNode("pool", layers.AvgPool2D(Window((2, 2), (2, 2))), ("sum",), coarse),
        FixedNode("flat", layers.Flatten(), ("pool",), coarse),
        FixedNode("dense", dense, ("flat",), fine, (QFormat(4, 3),), Accumulator(), **last),
    )
    return FixedNetwork("small", (1, 6, 6), QFormat(8, 8, signed=False), nodes)


def images(count: int = 20) -> Array:
    """Draw raw images for it."""
    return np.random.default_rng(5).integers(0, 256, (count, 1, 6, 6))


@pytest.mark.parametrize("dialect", [Qonnx, Qdq])
@pytest.mark.parametrize("word", [8, 16])
def test_layers_come_back_with_names_words_and_modes(dialect: type[Dialect], word: int) -> None:
    """Nothing is added, renamed or rounded."""
    fixed = network(word)
    other = again(fixed, to_quantized_model(fixed, dialect))
    assert other.input_format == fixed.input_format
    for node, twin in zip(fixed.nodes, other.nodes, strict=True):
        for field in KEPT[:4]:
            assert getattr(node, field) == getattr(twin, field)
        for array in node.layer.arrays():
            assert getattr(node.layer, array).tolist() == getattr(twin.layer, array).tolist()
        assert [fmt.frac for fmt in node.weight_formats] == [f.frac for f in twin.weight_formats]


@pytest.mark.parametrize("dialect", [Qonnx, Qdq])
def test_others_compute_the_same_words(dialect: type[Dialect]) -> None:
    """Where floats are exact, what the file says is what the golden model computes."""
    fixed, raw = network(8), images()
    model = to_quantized_model(fixed, dialect)
    onnx.checker.check_model(model)
    x = to_float(raw, fixed.input_format).astype(np.float32)
    wanted = golden.run(fixed, raw).raw["dense"]
    if dialect is Qonnx:
        found = [computed(model, x)[0]]
    else:
        found = [runtime(model, x, fused=fused)[0] for fused in (False, True)]
    for y in found:
        assert (y / fixed.formats["dense"].lsb).tolist() == wanted.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp-784-100-10", "lenet5-relu"])
def test_onnx_runtime_agrees_on_the_bundled_networks(name: str) -> None:
    """Softmax apart, which it computes in floats, logits differ where float sums round alone."""
    x = fxpnn.load_data("mnist").x[:200]
    path = Path(fxpnn.__file__).parents[1] / "models" / f"{name}.onnx"
    fixed = fxpnn.quantize(fxpnn.load_onnx(path), fxpnn.load_data("mnist:calibration").x)
    logits = replace(fixed, nodes=fixed.nodes[:-1], outputs=(fixed.nodes[-2].name,))
    model = to_quantized_model(logits, Qdq)
    (y,) = runtime(model, (x / 256).astype(np.float32))
    off = np.abs(y / logits.formats[logits.outputs[0]].lsb - fxpnn.infer(logits, x).raw)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.05  # sums of 24 bits miss the words of 15 near a tie only


# What the file is made of


def test_qonnx_is_said_in_quant_and_numbers() -> None:
    """Only Quant, never IntQuant; scale, zero point and bits are initializers of float32."""
    model = to_quantized_model(network(), Qonnx)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    custom = [node for node in model.graph.node if node.domain]
    assert {(node.domain, node.op_type) for node in custom} == {(QONNX, "Quant")}
    assert {o.domain for o in model.opset_import} == {"", QONNX}
    numbers = [weights[name] for node in custom for name in node.input[1:]]
    assert {number.data_type for number in numbers} == {onnx.TensorProto.FLOAT}
    channels = {(3,), (3, 1, 1, 1)}  # of the convolution's bias and weight
    assert {tuple(number.dims) for number in numbers} == {(), *channels}


def test_equal_networks_give_equal_bytes() -> None:
    """Nothing in the file changes with time."""
    for dialect in (Qonnx, Qdq):
        texts = {to_quantized_model(network(), dialect).SerializeToString() for _ in range(2)}
        assert len(texts) == 1


def test_pixels_are_scaled_as_before() -> None:
    """How pixels become numbers stands in the file."""
    fixed = replace(network(), scaling=fxpnn.Scaling(1 / 255, (0.5,), (0.25,)))
    for dialect in (Qonnx, Qdq):
        assert read_model(to_quantized_model(fixed, dialect))[0].scaling == fixed.scaling


@given(bias=st.integers(-(2**53), 2**53) | st.integers(-(2**25), 2**25))
def test_a_bias_of_many_bits_is_carried(bias: int) -> None:
    """What no float32 holds is a sum of some."""
    layer = Dense(np.ones((1, 1), np.int16), np.array([bias]))
    fields: dict[str, Any] = {"weight_formats": (QFormat(16, 15),), "accumulator": Accumulator(62)}
    node = FixedNode("d", layer, (INPUT,), QFormat(16, 8), **fields)
    fixed = FixedNetwork("n", (1,), QFormat(16, 15), (node,))
    for dialect in (Qonnx, Qdq):
        twin = again(fixed, to_quantized_model(fixed, dialect))["d"].layer
        assert isinstance(twin, Dense)
        assert twin.bias.tolist() == [bias]


def test_a_join_of_one_format_needs_no_cast() -> None:
    """It changes nothing, so its mode may be one that the dialect lacks."""
    wrap = Overflow.WRAP
    join = FixedNode("y", layers.Concat(), (INPUT, INPUT), QFormat(8, 4), overflow=wrap)
    fixed = FixedNetwork("n", (2,), QFormat(8, 4), (join,))
    for dialect in (Qonnx, Qdq):
        assert again(fixed, to_quantized_model(fixed, dialect)).formats["y"] == QFormat(8, 4)


# What cannot be exported


def one(layer: Layer, **fields: Any) -> FixedNetwork:
    """Build a network of one layer y."""
    fields = {"output_format": QFormat(16, 8)} | fields
    return FixedNetwork("n", (2,), QFormat(16, 8), (FixedNode("y", layer, (INPUT,), **fields),))


Q = layers.Quantize()
REFUSED: list[tuple[type[Dialect], FixedNetwork, str]] = [
    (Qonnx, one(Q, overflow=Overflow.WRAP, output_format=QFormat(8, 8)),
     "layer y (Quantize): overflow must be saturate or saturate-symmetric in QONNX, not wrap"),
    (Qonnx, one(Q, rounding=Rounding.NEAREST_UP),
     "layer y (Quantize): rounding must be one of nearest-even, floor, zero, nearest-away, "
     "nearest-zero in QONNX, not nearest-up"),
    (Qdq, one(Q, rounding=Rounding.FLOOR, overflow=Overflow.SATURATE_SYMMETRIC,
                     output_format=QFormat(12, 8)),
     "layer y (Quantize): a word must be of 8 or, signed, 16 bits in QDQ, not Q3.8; "
     "layer y (Quantize): rounding must be nearest-even in QDQ, not floor; "
     "layer y (Quantize): overflow must be saturate in QDQ, not saturate-symmetric"),
    (Qdq, replace(one(Q), input_format=QFormat(15, 8, signed=False)),
     "input: a word must be of 8 or, signed, 16 bits in QDQ, not UQ7.8"),
    (Qdq, one(layers.LayerNorm(np.ones(2, np.int16), np.zeros(2, np.int64), 1),
              weight_formats=(QFormat(16, 12),)),
     "layer y (LayerNorm): must be a layer whose integers ONNX can say; export it --to c"),
    (Qonnx, one(Q, output_format=QFormat(16, 200)),
     "layer y (Quantize): scale must fit float32"),
    (Qdq, one(layers.HardSigmoid(1, 2**53 + 1), weight_formats=(QFormat(16, 30),)),
     "layer y (HardSigmoid): beta must be at most 2**53 counts to be a float"),
    (Qonnx, one(layers.HardSigmoid(1, 2**40 + 1), weight_formats=(QFormat(16, 30),)),
     "layer y (HardSigmoid): beta must fit float32"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "fixed", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_a_target_has_no_name_for_is_refused(
    dialect: type[Dialect], fixed: FixedNetwork, message: str
) -> None:
    """Every layer that is in the way is named."""
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        to_quantized_model(fixed, dialect)


def test_an_overflow_that_cannot_happen_has_any_mode(tmp_path: Path) -> None:
    """Where every input is proved to fit, wrap and saturate are one; else wrap is refused."""
    wrap: dict[str, Any] = {"overflow": Overflow.WRAP}
    fxpnn.export(
        one(Q, output_format=QFormat(16, 7), **wrap), tmp_path / "y.onnx", fxpnn.Target.QONNX
    )
    line = "layer y (Quantize): overflow must be saturate or saturate-symmetric in QONNX, not wrap"
    with pytest.raises(ModelError, match=f"^{re.escape(line)}$"):
        fxpnn.export(
            one(Q, output_format=QFormat(16, 9), **wrap), tmp_path / "n.onnx", fxpnn.Target.QONNX
        )
    assert not (tmp_path / "n.onnx").exists()


def test_what_is_not_carried_is_told(tmp_path: Path) -> None:
    """Accumulators that may overflow, softmax's constant, integer functions; else nothing."""
    path = tmp_path / "y.onnx"
    assert fxpnn.export(network(), path, fxpnn.Target.QONNX) == ()
    narrow = replace(network()["dense"], accumulator=Accumulator(10), inputs=("flat",))
    softmax = FixedNode(
        "p", layers.Softmax(), ("dense",), QFormat(16, 15), table=table_for(layers.Softmax),
        softmax_shift=3,
    )  # fmt: skip
    lossy = replace(network(), nodes=(*network().nodes[:-1], narrow, softmax), outputs=())
    assert fxpnn.export(lossy, path, fxpnn.Target.QONNX) == (
        "the accumulators of dense, which may overflow",
        "the constants that p subtract",
        "the integer arithmetic of p",
    )


@pytest.mark.parametrize("dialect", [Qonnx, Qdq])
def test_registers_that_drop_bits_are_refused(dialect: type[Dialect]) -> None:
    """Each layer that has one is named; one that keeps all bits makes no difference to the file."""
    fixed = network(8) if dialect is Qdq else network()

    def with_register(text: str) -> FixedNetwork:
        own = [
            replace(node, accumulator=Accumulator.parse(text)) if node.accumulator else node
            for node in fixed.nodes
        ]
        return replace(fixed, nodes=tuple(own))

    plain, finer = (
        to_quantized_model(each, dialect).SerializeToString(deterministic=True)
        for each in (fixed, with_register("Q20.20 nearest-up cast"))
    )
    assert plain == finer
    told = (
        "accumulator must hold every bit of a product, not drop some (Q20.4 floor saturate fused)"
    )
    line = f"layer conv (Conv2D): {told}; layer dense (Dense): {told}"
    with pytest.raises(ModelError, match=f"^{re.escape(line)}$"):
        to_quantized_model(with_register("Q20.4"), dialect)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """And what the system says."""
    path = tmp_path / "none" / "y.onnx"
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: cannot be written: "):
        fxpnn.export(network(), path, fxpnn.Target.QDQ)
