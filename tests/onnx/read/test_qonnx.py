"""A model's own formats reach the quantizer: weights, outputs, and the plan that they complete."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import raw_weights
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
from fxpnn.onnx import load_quantized
from fxpnn.onnx.graph.quant import ROUNDINGS
from fxpnn.quantization.choices import calibrated
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Given, Plan, Settings
from tests.support.onnx_models import MAPS, floats, model, op, refuse
from tests.support.qonnx_models import QONNX, computed, fixed_of, fixed_values, quant, read


@st.composite
def modes(draw: st.DrawFn, largest: float = 2.0) -> dict[str, Any]:
    """Draw a cast of few bits whose range is about ``largest``."""
    bits, signed = draw(st.integers(3, 7)), draw(st.booleans())
    exponent = int(np.log2(largest)) - bits + draw(st.integers(0, 2))
    return {
        "scale": 2.0**exponent,
        "bits": float(bits),
        "signed": int(signed),
        "narrow": int(signed and draw(st.booleans())),
        "rounding_mode": draw(st.sampled_from(sorted(ROUNDINGS))),
    }


@st.composite
def weights(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a cast of weights, often with a scale for each of three channels."""
    fracs = draw(st.lists(st.integers(1, 4), min_size=3, max_size=3))
    scale = np.ldexp(1.0, [-f for f in fracs]).reshape(3, 1, 1, 1)
    return draw(modes()) | {"scale": draw(st.sampled_from([scale, 2.0 ** -fracs[0]])), "signed": 1}


@settings(max_examples=25)
@given(entry=modes(), kernel=weights(), inner=modes(8.0), last=modes(8.0), seed=st.integers(0, 99))
def test_networks_compute_to_the_bit_what_qonnx_says(
    entry: dict[str, Any],
    kernel: dict[str, Any],
    inner: dict[str, Any],
    last: dict[str, Any],
    seed: int,
) -> None:
    """Whatever the words, modes and scales: convolution, ReLU, pool, dense layer, addition."""
    generator = np.random.default_rng(seed)
    proto = model(
        *quant("x", "h", **entry),
        *quant("k", "kq", **kernel),
        op("Conv", "h kq b", "c"),
        op("Relu", "c", "r"),
        *quant("r", "rq", **inner),
        op("MaxPool", "rq", "m", kernel_shape=[2, 2], strides=[2, 2]),
        op("Flatten", "m", "f"),
        *quant("d", "dq", 0.125, 4.0, narrow=1),
        op("MatMul", "f dq", "z"),
        *quant("z", "zq", **last),
        op("Add", "zq zq", "s"),
        *quant("s", "y", **{**last, "scale": 4 * last["scale"]}),
        shape=MAPS,
        weights={
            "k": generator.normal(size=(3, 2, 2, 2)).astype(np.float32),
            "b": np.array([0.5, -1.0, 1.5], np.float32),
            "d": generator.normal(size=(12, 2)).astype(np.float32),
        },
        domains={QONNX: 1},
    )
    x = np.round(generator.normal(size=(2, *MAPS[1:])) * 64).astype(np.float32) / 32
    fixed = fixed_of(proto)
    assert [node.op for node in fixed.nodes if node.op == "Quantize"] in ([], ["Quantize"])
    (found,) = fixed_values(fixed, x).values()
    assert found.tolist() == computed(proto, x)[0].tolist()


def layer(kind: str, scale: Any, *nodes: onnx.NodeProto, **attributes: Any) -> onnx.ModelProto:
    """Make a model of one layer whose weight is quantized, and further nodes."""
    shapes = {"Conv": (4, 2, 3, 3), "Gemm": (4, 5), "MatMul": (5, 4), "PRelu": (2, 1, 1)}
    return model(
        *quant("w", "wq", scale, 5),
        op(kind, "x wq", "y" if not nodes else "h", "it", **attributes),
        *nodes,
        shape=MAPS if kind in ("Conv", "PRelu") else ("N", 5),
        weights={"w": floats(*shapes[kind])},
        domains={QONNX: 1},
    )


COLUMN = np.ldexp(1.0, [-1, -2, -3, -3])
"""A scale for each of four channels."""

WEIGHTS = [
    (layer("Conv", 0.25), "Q2.2"),
    (layer("Conv", COLUMN.reshape(4, 1, 1, 1)), "Q3.1 Q2.2 Q1.3 Q1.3"),
    (layer("Gemm", COLUMN.reshape(4, 1), transB=1), "Q3.1 Q2.2 Q1.3 Q1.3"),
    (layer("MatMul", COLUMN.reshape(1, 4)), "Q3.1 Q2.2 Q1.3 Q1.3"),
    (layer("MatMul", COLUMN), "Q3.1 Q2.2 Q1.3 Q1.3"),
    (layer("PRelu", 0.25), "Q2.2"),
    (layer("PRelu", COLUMN[:2].reshape(2, 1, 1)), "Q3.1 Q2.2"),
    (layer("MatMul", COLUMN.repeat(5)[::4].reshape(5, 1)), ""),
]


@pytest.mark.parametrize(("proto", "formats"), WEIGHTS, ids=range(8))
def test_weights_keep_their_words(proto: onnx.ModelProto, formats: str) -> None:
    """One format, or one for each channel; none where a channel would need several."""
    assert " ".join(map(str, read(proto)[1]["it"].weights)) == formats


def test_weights_that_took_something_in_are_chosen_anew() -> None:
    """A factor behind a layer is folded into its weight, which is then off its grid."""
    scaled = [op("Mul", "h c", "y")]
    for factor, formats in ((0.3, 0), (0.5, 0), (2.0, 0), (-1.0, 1)):
        proto = layer("Gemm", 0.25, *scaled, transB=1)
        proto.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(factor, np.float32), "c")
        )
        assert len(read(proto)[1]["it"].weights) == formats


def test_a_weight_is_looked_for_behind_what_moves_it() -> None:
    """A transpose of words, and an identity, are words still."""
    moved = (op("Transpose", "wq", "wt", perm=[1, 0]), op("Identity", "wt", "wi"))
    for scale, fracs in ((0.25, [2]), (COLUMN.reshape(4, 1), [1, 2, 3, 3])):
        nodes = (*quant("w", "wq", scale, 5), *moved, op("MatMul", "x wi", "y"))
        proto = model(*nodes, weights={"w": floats(4, 4)}, domains={QONNX: 1})
        assert [fmt.frac for fmt in read(proto)[1]["y"].weights] == fracs


def test_words_too_wide_for_a_weight_are_refused() -> None:
    """Its node is named; a bias may be as wide."""
    nodes = (*quant("w", "wq", 0.25, 20), *quant("b", "bq", 2**-20, 24))
    weights_ = {"w": floats(3, 4), "b": floats(3)}
    wide = model(*nodes, op("Gemm", "x wq bq", "y", transB=1), weights=weights_, domains={QONNX: 1})
    refuse(
        wide,
        f"{QONNX}.Quant (node wq, opset 1): Q17.2 takes 20 bits with its sign, not 16; did you "
        "mean Q13.2?",
    )
    narrow = model(
        *nodes, op("Gemm", "x w bq", "y", transB=1), weights=weights_, domains={QONNX: 1}
    )
    assert read(narrow)[1].layers == {}


# The plan


def small(path: Path, *last: onnx.NodeProto) -> Path:
    """Write a model that fixes the formats of its input and weight, and of its output by nodes."""
    proto = model(
        *quant("x", "h", 2**-4),
        *quant("w", "wq", 2**-3, 6, narrow=1),
        op("Gemm", "h wq", "z", transB=1),
        *last,
        weights={"w": floats(3, 4)},
        outputs="y" if last else "z",
        domains={QONNX: 1},
    )
    path.write_bytes(proto.SerializeToString())
    return path


def test_what_the_file_fixes_needs_no_calibration(tmp_path: Path) -> None:
    """With every format in the file, no data is asked for."""
    path = small(tmp_path / "m.onnx", *quant("z", "y", 0.25, rounding_mode="FLOOR"))
    network, plan = load_quantized(path)
    assert calibrated(network, plan) == ()
    node = fxpnn.quantize(network, plan=plan)["z"]
    assert str(node.output_format) == "Q5.2"
    assert (node.rounding, node.overflow) == (Rounding.FLOOR, Overflow.SATURATE)
    assert [str(fmt) for fmt in node.weight_formats] == ["Q2.3"]


def test_what_the_file_leaves_open_is_calibrated(tmp_path: Path) -> None:
    """The formats that are there stay, others are chosen on data, which must then be given."""
    network, plan = load_quantized(small(tmp_path / "m.onnx"))
    assert calibrated(network, plan) == ("z",)
    fixed = fxpnn.quantize(network, floats(9, 4), plan)
    assert (str(fixed.input_format), fixed["z"].output_format.word) == ("Q3.4", 16)
    message = (
        "calibration data must be given to choose the format of z; without it use the method "
        "proved, or give every format"
    )
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        fxpnn.quantize(network, plan=plan)


def test_a_file_is_a_float_network_too(tmp_path: Path) -> None:
    """Read without its formats it has the same layers, so that one can be compared with other."""
    path = small(tmp_path / "m.onnx", *quant("z", "y", 0.25))
    network, _ = load_quantized(path)
    assert dict(fxpnn.load_onnx(path).shapes) == dict(network.shapes)


def test_a_plan_goes_before_the_file() -> None:
    """Formats that the user gives stay; modes come with the format that they belong to."""
    q8, q4 = QFormat(8, 4), QFormat(8, 2)
    fixed = {
        "a": Given((q8,), Shift(QFormat(8, 6), Rounding.FLOOR, Overflow.SATURATE_SYMMETRIC)),
        INPUT: Given(output=Shift(QFormat(8, 4))),
    }
    mine = Settings(weight=q4, output=q4, rounding=Rounding.ZERO)
    plan = Plan(Settings(word=12, rounding=Rounding.ZERO), {"a": mine}).completed(fixed)
    assert plan["a"] == mine
    assert plan[INPUT] == Settings(word=12, output=QFormat(8, 4))
    plan = Plan(Settings(word=12)).completed(fixed)
    assert (plan["a"].weights, plan["a"].output) == ((q8,), QFormat(8, 6))
    assert (plan["a"].rounding, plan["a"].overflow) == (
        Rounding.FLOOR,
        Overflow.SATURATE_SYMMETRIC,
    )
    assert plan["b"] == Settings(word=12)


def test_formats_per_channel_must_be_as_many_as_channels() -> None:
    """The layer is named."""
    network = read(layer("Gemm", 0.25, transB=1))[0]
    three = Settings(weight=(QFormat(8, 4),) * 3)
    message = "layer it (Dense): weight formats must be 1 or 4, not 3"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        quantize(network, floats(2, 5), three)


def test_an_unsigned_weight_fills_its_word() -> None:
    """Words up to the format's largest are not cut at half."""
    weight: Array = np.array([[0.0, 15.0, 8.0, 7.0, 1.0]], np.float32)
    proto = model(
        *quant("w", "wq", 1.0, 4, signed=0),
        op("Gemm", "x wq", "y", transB=1),
        shape=("N", 5),
        weights={"w": weight},
        domains={QONNX: 1},
    )
    network, plan = read(proto)
    raw = raw_weights(quantize(network, floats(2, 5), plan)["y"].layer)
    assert raw is not None
    assert raw.tolist() == weight.tolist()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Its path stands before what is wrong."""
    path = small(tmp_path / "m.onnx", *quant("z", "y", 0.3))
    message = f"{path}: {QONNX}.Quant (node y, opset 1): scale must be a power of two, not 0.3"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        load_quantized(path)
