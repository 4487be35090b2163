"""Quantizing operators of constants and tensors: every mode as QONNX and ONNX say, or refused."""

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Dense
from fxpnn.onnx import from_model
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import parse
from fxpnn.onnx.graph.quant import ROUNDINGS, fold_quantized
from tests.support.onnx_models import check, floats, form, model, op, refuse, runtime
from tests.support.oracle_sums import ROUNDED
from tests.support.qonnx_models import (
    BREVITAS,
    MODES,
    QONNX,
    computed,
    fixed_of,
    fixed_values,
    quant,
)

TABLE = {
    "ROUND": [6, 2, 2, 1, 1, -1, -1, -2, -2, -6],
    "FLOOR": [5, 2, 1, 1, 1, -1, -2, -2, -3, -6],
    "DOWN": [5, 2, 1, 1, 1, -1, -1, -1, -2, -5],
    "HALF_UP": [6, 3, 2, 1, 1, -1, -1, -2, -3, -6],
    "HALF_DOWN": [5, 2, 2, 1, 1, -1, -1, -2, -2, -5],
}
"""QONNX's own examples, of the numbers below; HALF_EVEN is another name of ROUND."""
NUMBERS = [5.5, 2.5, 1.6, 1.1, 1.0, -1.0, -1.1, -1.6, -2.5, -5.5]


def quantized(x: npt.ArrayLike, *parameters: npt.ArrayLike, **attributes: Any) -> Array:
    """Quantize constants by a Quant with this scale, zero point and these bits."""
    arrays = tuple(np.asarray(array, np.float32) for array in (x, *parameters))
    return fold_quantized(Op(f"{QONNX}.Quant", "q", 1, (), (), attributes), arrays)


@pytest.mark.parametrize("mode", [*TABLE, "HALF_EVEN", "half_up"])
def test_numbers_round_as_in_qonnx_table(mode: str) -> None:
    """Each mode that fxpnn has gives the table's integers; its name may be in small letters."""
    wanted = TABLE["ROUND" if mode == "HALF_EVEN" else mode.upper()]
    assert quantized(NUMBERS, 1, 0, 8, rounding_mode=mode).tolist() == wanted


@given(n=st.integers(-400, 400), mode=st.sampled_from(sorted(ROUNDINGS)))
def test_modes_are_those_of_a_cast(n: int, mode: str) -> None:
    """QONNX's mode and ours send every eighth to the same integer."""
    assert MODES[mode](Fraction(n, 8)) == ROUNDED[ROUNDINGS[mode]](Fraction(n, 8))


@st.composite
def constants(draw: st.DrawFn) -> tuple[Array, tuple[Array, float, float], dict[str, Any]]:
    """Draw numbers on and beside ties and limits, a scale for all or each row, and modes."""
    bits, signed = draw(st.integers(2, 16)), draw(st.booleans())
    shape = draw(st.sampled_from([(), (3, 1), (1, 1), (3, 4)]))
    exponents = draw(st.lists(st.integers(-20, 20), min_size=12, max_size=12))
    scale = np.ldexp(1.0, np.resize(exponents, shape)).astype(np.float32)
    limit = 2 ** (bits + 1)
    halves = draw(st.lists(st.integers(-limit, limit), min_size=12, max_size=12))
    x = np.reshape(halves, (3, 4)) / 2 * np.broadcast_to(scale, (3, 4))
    attributes = {
        "signed": int(signed),
        "narrow": int(signed and draw(st.booleans())),
        "rounding_mode": draw(st.sampled_from(sorted(ROUNDINGS))),
    }
    return x.astype(np.float32), (scale, 0, bits), attributes


@given(case=constants())
def test_constants_are_what_qonnx_computes(
    case: tuple[Array, tuple[Array, float, float], dict[str, Any]],
) -> None:
    """A folded Quant gives QONNX's numbers, whatever the word, the modes and the scales."""
    x, (scale, _, bits), modes = case
    nodes = quant("x", "y", scale, bits, **modes)
    (wanted,) = computed(model(*nodes, shape=x.shape, domains={QONNX: 1}), x)
    assert quantized(x, scale, 0, bits, **modes).tolist() == wanted.tolist()


@pytest.mark.parametrize("domain", [QONNX, BREVITAS])
@pytest.mark.parametrize("kind", ["Quant", "IntQuant"])
def test_both_domains_and_both_names_are_read(domain: str, kind: str) -> None:
    """Brevitas writes a domain of its own, newer QONNX another name."""
    nodes = quant("w", "q", 0.25, 4, domain, kind=kind)
    network = from_model(
        model(*nodes, op("MatMul", "x q", "y"), weights={"w": floats(4, 2)}, domains={domain: 1})
    )
    layer = network["y"].layer
    assert isinstance(layer, Dense)
    assert layer.weight.tolist() == quantized(floats(4, 2).T, 0.25, 0, 4).tolist()


def test_the_import_of_the_domain_may_be_left_out() -> None:
    """Tools of QONNX leave it out, though ONNX asks for one of every domain."""
    proto = node()
    del proto.opset_import[1:]
    assert [n.op for n in from_model(parse(proto.SerializeToString())).nodes] == ["Quantize"]


def node(**modes: Any) -> onnx.ModelProto:
    """Make a model of one Quant, of the input."""
    return model(*quant("x", "y", **{"scale": 0.5, **modes}), domains={QONNX: 1})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"scale": 0.3}, "scale must be a power of two, not 0.3"),
    ({"scale": 0.0}, "scale must be a power of two, not 0"),
    ({"scale": -0.5}, "scale must be a power of two, not -0.5"),
    ({"scale": np.array([[0.5, 0.25, 0.5, 0.5]])}, "scale must be one number, not 4"),
    ({"zero": 3.0}, "zero point must be 0, not 3"),
    ({"bits": 1.0}, "bit width must be one of 2 to 32, not 1.0"),
    ({"bits": 4.5}, "bit width must be one of 2 to 32, not 4.5"),
    ({"bits": np.array([4.0, 4.0])}, "bit width must be one of 2 to 32, not [4.0, 4.0]"),
    ({"bits": 17.0}, "Q15.1 takes 17 bits with its sign, not 16; did you mean Q14.1?"),
    ({"bits": 17.0, "signed": 0}, "UQ16.1 takes 18 bits with the zero sign of int16, not 16; "
     "did you mean UQ14.1?"),
    ({"narrow": 1, "signed": 0}, "narrow must be 0 where signed is 0"),
    ({"rounding_mode": "CEIL"}, "rounding_mode must be one of ROUND, HALF_EVEN, FLOOR, DOWN, "
     "HALF_UP, HALF_DOWN, not CEIL"),
    ({"rounding_mode": "up"}, "rounding_mode must be one of ROUND, HALF_EVEN, FLOOR, DOWN, "
     "HALF_UP, HALF_DOWN, not up"),
]  # fmt: skip


@pytest.mark.parametrize(("modes", "reason"), REFUSED)
def test_what_no_format_can_say_is_refused(modes: dict[str, Any], reason: str) -> None:
    """The node is named, and what of it cannot be."""
    refuse(node(**modes), f"{QONNX}.Quant (node y, opset 1): {reason}")


@pytest.mark.parametrize(
    ("array", "scale", "message"),
    [
        ([np.nan], 1.0, "must quantize numbers"),
        ([1.0], np.ones(2), "scale must fit (1,), not be (2,)"),
        ([1.0], np.ones((1, 2)), "scale must fit (1,), not be (1, 2)"),
        ([], [], "must have an input 1"),
    ],
)
def test_constants_that_cannot_be_quantized(array: Any, scale: Any, message: str) -> None:
    """They must be numbers, and the scale broadcast to them without making them more."""
    with pytest.raises(ModelError, match=rf"^{message.replace('(', '.').replace(')', '.')}$"):
        quantized(array, scale, 0, 8)


def test_a_quant_has_four_inputs() -> None:
    """Neither fewer nor more, and none left out."""
    bare = onnx.helper.make_node("Quant", ["x"], ["y"], "y", domain=QONNX)
    where = f"{QONNX}.Quant (node y, opset 1)"
    refuse(model(bare, domains={QONNX: 1}), f"{where}: must have 4 inputs, not 1")
    cut = onnx.helper.make_node("Quant", ["x", "", "", ""], ["y"], "y", domain=QONNX)
    refuse(model(cut, domains={QONNX: 1}), f"{where}: must have an input 2")


# QuantizeLinear and DequantizeLinear

ZERO = np.int8(0)
PAIR = (op("QuantizeLinear", "x s z", "q"), op("DequantizeLinear", "q s z", "y"))


def pair(zero: Any = ZERO, *nodes: onnx.NodeProto, **settings: Any) -> onnx.ModelProto:
    """Make a model of a pair of scale 1/4."""
    weights = {"s": np.float32(0.25), "z": zero, **settings.pop("weights", {})}
    return model(*(nodes or PAIR), weights=weights, **{"opset": 21, **settings})


@pytest.mark.parametrize("zero", [np.int8(0), np.uint8(0), np.int16(0)], ids=lambda z: z.dtype.name)
@settings(max_examples=20)
@given(words=st.lists(st.integers(-(2**17), 2**17), min_size=8, max_size=8))
def test_a_pair_casts_as_onnx_runtime_does(zero: Any, words: list[int]) -> None:
    """To nearest even, saturated to the type's words."""
    proto = pair(zero)
    x = np.reshape(words, (2, 4)).astype(np.float32) / 8
    (found,) = fixed_values(fixed_of(proto), x).values()
    assert found.tolist() == runtime(proto, x)[0].tolist()


def test_constants_are_dequantized_per_axis() -> None:
    """Words of a type each; scales for all, or along an axis."""
    weights = {
        "w": np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
        "ws": np.array([0.5, 0.25, 2.0], np.float32),
        "b": np.array([1000, -70000, 2**24 + 2], np.int32),
        "bs": np.float32(2**-10),
    }
    check(
        form(
            "Dense",
            op("DequantizeLinear", "w ws", "wf", axis=0),
            op("DequantizeLinear", "b bs", "bf"),
            op("Gemm", "x wf bf", "y", transB=1),
            weights=weights,
        )
    )


def test_constants_are_quantized_to_their_type() -> None:
    """Words of a constant are folded; the type is the zero point's, else uint8."""
    x = np.array([-1.5, 0.125, 0.375, 100.0], np.float32)
    first = Op("QuantizeLinear", "q", 21, (), (), {})
    scale = np.array(0.25, np.float32)
    assert fold_quantized(first, (x, scale)).tolist() == [0, 0, 2, 255]
    words = fold_quantized(first, (x, scale, np.zeros(1, np.int8)))
    assert (words.tolist(), words.dtype.name) == ([-6, 0, 2, 127], "int8")


LINEAR = "QuantizeLinear (node q, opset 21)"
DELINEAR = "DequantizeLinear (node y, opset 21)"
APART = "must stand in a pair with one scale and zero point, or read constants"


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (pair(np.int8(3)), f"{LINEAR}: zero point must be 0, not 3"),
        (pair(weights={"s": np.float32(0.3)}), f"{LINEAR}: scale must be a power of two, not 0.3"),
        (
            pair(weights={"s": np.full(4, 0.5, np.float32), "z": np.zeros(4, np.int8)}),
            f"{LINEAR}: scale must be one number, not 4",
        ),
        (
            pair(
                ZERO,
                op("QuantizeLinear", "x s z", "q"),
                op("DequantizeLinear", "q t z", "y"),
                weights={"t": np.float32(0.5)},
            ),
            f"{LINEAR}: {APART}; {DELINEAR}: {APART}",
        ),
        (
            pair(ZERO, op("Cast", "x", "q", to=3), op("DequantizeLinear", "q s z", "y")),
            "Cast (node q, opset 21): must cast to a float type",
        ),
        (
            pair(
                ZERO,
                op("DequantizeLinear", "w ws", "wf", axis=2),
                op("MatMul", "x wf", "y"),
                weights={"w": np.ones((4, 2), np.int8), "ws": np.ones(2, np.float32)},
            ),
            "DequantizeLinear (node wf, opset 21): axis must be inside the 2 axes, not 2",
        ),
        (
            pair(
                ZERO,
                op("DequantizeLinear", "w ws", "wf", axis=0, block_size=2),
                op("MatMul", "x wf", "y"),
                weights={"w": np.ones((4, 2), np.int8), "ws": np.ones((2, 2), np.float32)},
            ),
            "DequantizeLinear (node wf, opset 21): block_size must be 0, not 2",
        ),
    ],
    ids=range(7),
)
def test_pairs_that_no_format_can_say(refused: onnx.ModelProto, message: str) -> None:
    """The node is named, and what of it cannot be."""
    refuse(refused, message)


def test_only_dequantize_linear_may_read_quantized_words() -> None:
    """A QuantizeLinear that something else than its DequantizeLinear reads is refused."""
    proto = pair(ZERO, *PAIR, op("Cast", "q", "c", to=1), op("Add", "c y", "z2"), outputs="z2")
    refuse(proto, f"{LINEAR}: {APART}")
