"""A refused model names every kind of operator in the way, once, however many nodes there are."""

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

from fxpnn.errors import ModelError
from fxpnn.onnx import from_model
from tests.support.onnx_models import FLOAT, MAPS, floats, model, op, refuse
from tests.support.qonnx_models import QONNX, quant

ODD_SCALE = "scale must be a power of two, not 0.3"
BEHIND = "Clip (node y, opset 17): its min must be one number, not 2"
"""What is wrong with a Clip that stands behind something refused."""


def test_nodes_of_one_kind_are_one_refusal() -> None:
    """Many nodes of a kind are counted, and the first is named."""
    erfs = [op("Erf", f"t{i - 1}" if i else "x", f"t{i}") for i in range(60)]
    refuse(
        model(*erfs, op("Tan", "t59", "y")),
        "Erf (60 nodes, first t0, opset 17): is not supported; "
        "Tan (node y, opset 17): is not supported",
    )


def test_operators_known_for_constants_alone_do_not_hide() -> None:
    """A deviation written out names Sqrt too, which only constants may be given to."""
    refuse(
        model(
            op("Erf", "x", "e"),
            op("ReduceMean", "e", "v", axes=[-1]),
            op("Sqrt", "v", "r"),
            op("Div", "e r", "y"),
            opset=13,
        ),
        "Erf (node e, opset 13): is not supported; Sqrt (node r, opset 13): is not supported; "
        "Div (node y, opset 13): its divisor must be a constant",
    )


def test_constants_behind_a_refused_shape_are_not_blamed() -> None:
    """What is computed from the shape of a refused tensor is a constant: it is not in the way."""
    behind = (
        op("Shape", "e", "s"),
        op("Gather", "s one", "n"),
        op("Cast", "n", "f", to=1),
        op("Sqrt", "f", "r"),
        op("Add", "e r", "y"),
    )
    one = {"one": np.array(1)}
    refuse(
        model(op("Erf", "x", "e"), *behind, weights=one), "Erf (node e, opset 17): is not supported"
    )
    refuse(
        model(op("Own", "x", "e", domain="mine"), *behind, weights=one, domains={"mine": 1}),
        "mine.Own (node e, opset 1): is not supported",
    )


def test_many_kinds_are_counted() -> None:
    """What would take too long a line is told by kinds and numbers."""
    kinds = ("Erf", "Acos", "Asin", "Atan", "Sin", "Cos", "Tan", "Ceil", "Sign", "Round")
    nodes = [op(kind, "x", kind) for kind in (*kinds, "Erf", "Floor")]
    for i, node in enumerate(nodes):
        node.output[0] = f"t{i}"
    soft = op("Softmax", "x", "z", axis=0)
    joined = " ".join(f"t{i}" for i in range(12))
    listed = "2 Erf, " + ", ".join(f"1 {kind}" for kind in (*kinds[1:], "Floor"))
    refuse(
        model(*nodes, soft, op("Sum", f"{joined} z", "y")),
        f"not supported: {listed}; Softmax (node z, opset 17): "
        "axis must be one of the 2 axes but the images', not 0",
    )


def test_dynamic_quantization_is_told_once_with_what_to_do() -> None:
    """As ONNX Runtime writes it: words of every image have scales of their own."""
    refuse(
        model(
            op("DynamicQuantizeLinear", "x", "q s z"),
            op("MatMulInteger", "q w z", "a"),
            op("Cast", "a", "b", to=1),
            op("Mul", "b s", "y"),
            weights={"w": np.ones((4, 2), np.uint8)},
        ),
        "1 DynamicQuantizeLinear, 1 MatMulInteger (first q): words must be the same for all "
        "images, not chosen for each (dynamic quantization); quantize the float model statically, "
        "as fxpnn quantize does",
    )


REMEDY = (
    "quantize the float model (fxpnn quantize), or let the other tool choose scales that are "
    "powers of two and zero points of 0 (Brevitas: Int8ActPerTensorFixedPoint, QKeras: "
    "alpha='auto_po2')"
)


def test_free_scales_are_told_once_with_what_to_do() -> None:
    """Pairs, and operators that compute with words, are one reason, whatever their number."""
    scales: dict[str, npt.ArrayLike] = {"s": 0.3, "r": 0.7, "z": np.uint8(3), "o": np.uint8(0)}
    pairs = (
        op("QuantizeLinear", "x s o", "a"),
        op("DequantizeLinear", "a s o", "b"),
        op("Relu", "b", "c"),
        op("QuantizeLinear", "c r z", "d"),
        op("DequantizeLinear", "d r z", "y"),
    )
    refuse(
        model(*pairs, weights=scales),
        f"2 QuantizeLinear (first a): scale must be a power of two, not 0.3; {REMEDY}",
    )
    words = (
        op("QuantizeLinear", "x s o", "a"),
        op("QLinearMatMul", "a s o w s o r z", "b"),
        op("DequantizeLinear", "b r z", "c"),
        op("Erf", "c", "y"),
    )
    refuse(
        model(*words, weights={**scales, "w": np.ones((4, 2), np.uint8)}),
        f"1 QuantizeLinear, 1 QLinearMatMul (first a): {REMEDY}; "
        "Erf (node y, opset 17): is not supported",
    )


def test_reasons_give_way_to_kinds() -> None:
    """Where even reasons do not fit, every kind is still there, with its number."""
    long = "n" * 180
    refuse(
        model(
            op("Softmax", "x", "a", long, axis=0),
            op("ReduceMean", "x", "d", f"{long}2", axes=[0]),
            op("Erf", "x", "e", f"{long}3"),
            op("Sum", "a d e", "y"),
        ),
        "not supported: 1 Erf; not supported in this form: 1 Softmax, 1 ReduceMean",
    )


HIDING = {
    "a function of one value": (
        model(op("Erf", "x", "t"), op("Clip", "t two", "y"), weights={"two": floats(2)}),
        "Erf (node t, opset 17): is not supported",
    ),
    "a convolution in three dimensions": (
        model(
            op("Conv", "x w", "t"),
            op("Clip", "t two", "y"),
            shape=("N", 2, 4, 5, 6),
            weights={"w": floats(3, 2, 1, 1, 1), "two": floats(2)},
        ),
        "Conv (node t, opset 17): its kernel must have the one axis of rows or the two of maps, "
        "not 3 on (2, 4, 5, 6)",
    ),
    "a resized map": (
        model(
            op("Resize", "x - s", "t", mode="area"),
            op("Conv", "t w", "u"),  # reads 12 x 10
            op("Clip", "u two", "y"),
            shape=MAPS,
            weights={
                "s": np.array([1, 1, 2, 2], np.float32),
                "w": floats(3, 2, 12, 10),
                "two": floats(2),
            },
        ),
        "Resize (node t, opset 17): mode must be nearest, linear or cubic, not area",
    ),
    "a cast": (
        model(
            *quant("x", "t", 0.3),
            op("Clip", "t two", "y"),
            weights={"two": floats(2)},
            domains={QONNX: 1},
        ),
        f"{QONNX}.Quant (node t, opset 1): {ODD_SCALE}",
    ),
    "words of a weight": (
        model(
            *quant("w", "t", 0.3),
            op("Gemm", "x t", "u"),
            op("Clip", "u two", "y"),
            weights={"w": floats(4, 3), "two": floats(2)},
            domains={QONNX: 1},
        ),
        f"{QONNX}.Quant (node t, opset 1): {ODD_SCALE}",
    ),
}


@pytest.mark.parametrize(("refused", "first"), HIDING.values(), ids=HIDING)
def test_what_stands_behind_is_judged(refused: onnx.ModelProto, first: str) -> None:
    """A known operator in a refused form is named though what it reads could not be read."""
    refuse(refused, f"{first}; {BEHIND}")


def test_what_stands_behind_is_not_blamed_for_a_shape_that_nobody_knows() -> None:
    """Behind an operator of which ONNX knows no shape, only unknown operators are told."""
    branch = helper.make_graph(
        [op("Relu", "x", "b")], "g", [], [helper.make_empty_tensor_value_info("b")]
    )
    weights = {"w": floats(7, 3), "c": np.array(True)}
    unknown = {
        "mine.Own": op("Own", "x", "t", domain="mine"),
        "If": op("If", "c", "t", then_branch=branch, else_branch=branch),
    }
    for kind, node in unknown.items():
        nodes = (node, op("Gemm", "t w", "u"), op("Hardmax", "u", "y"))
        with pytest.raises(
            ModelError, match=rf"^{kind} \(.*\): is not supported; Hardmax \(node y,"
        ):
            from_model(model(*nodes, weights=weights, domains={"mine": 1}))


def test_a_loop_is_told_with_what_to_do() -> None:
    """Steps that are a graph of their own are not read; a model can be exported without them."""
    state, after = (helper.make_tensor_value_info(name, FLOAT, ()) for name in "st")
    body = helper.make_graph([op("Tanh", "s", "t")], "body", [state], [after])
    refuse(
        model(op("Scan", "x", "y", body=body, num_scan_inputs=0)),
        "1 Scan (first y): loops must be LSTM, GRU or RNN, or be exported unrolled "
        "(Keras: unroll=True)",
    )
