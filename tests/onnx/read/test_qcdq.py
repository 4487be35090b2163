"""Narrow words as Brevitas' QCDQ says them: a Clip between QuantizeLinear and DequantizeLinear."""

from typing import Any

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import raw_weights
from fxpnn.onnx import from_model
from fxpnn.onnx.read.model import read_model
from tests.support.onnx_models import floats, model, op, refuse

S, T = 2.0**-4, 2.0**-3
Clip = list[onnx.NodeProto]


def cast(source: str, name: str, scale: str = "s", ends: str = "low high") -> Clip:
    """Make the three operators of a cast."""
    return [
        op("QuantizeLinear", f"{source} {scale} z", f"{name}q"),
        op("Clip", f"{name}q {ends}", f"{name}c"),
        op("DequantizeLinear", f"{name}c {scale} z", name),
    ]


def limits(low: int | None, high: int | None, kind: type = np.int8) -> dict[str, Any]:
    """Make the constants of a cast."""
    ends = {"low": low, "high": high}
    given = {name: kind(end) for name, end in ends.items() if end is not None}
    return {"s": np.float32(S), "t": np.float32(T), "z": kind(0), **given}


@pytest.mark.parametrize(
    ("low", "high", "kind", "fmt", "overflow"),
    [
        (-8, 7, np.int8, QFormat(4, 4), Overflow.SATURATE),
        (-7, 7, np.int8, QFormat(4, 4), Overflow.SATURATE_SYMMETRIC),
        (-2, 1, np.int8, QFormat(2, 4), Overflow.SATURATE),
        (-1, 1, np.int8, QFormat(2, 4), Overflow.SATURATE_SYMMETRIC),
        (0, 15, np.uint8, QFormat(4, 4, signed=False), Overflow.SATURATE),
        (0, 127, np.int8, QFormat(7, 4, signed=False), Overflow.SATURATE),
        (-128, 127, np.int8, QFormat(8, 4), Overflow.SATURATE),
        (None, None, np.int8, QFormat(8, 4), Overflow.SATURATE),
        (-127, None, np.int8, QFormat(8, 4), Overflow.SATURATE_SYMMETRIC),
        (0, 32767, np.uint16, QFormat(15, 4, signed=False), Overflow.SATURATE),
    ],
)
def test_the_clip_says_the_word(
    low: int | None, high: int | None, kind: type, fmt: QFormat, overflow: Overflow
) -> None:
    """The ends of the Clip are those of the word; an open end is that of the type."""
    ends = f"{'-' if low is None else 'low'} {'-' if high is None else 'high'}"
    proto = model(
        op("Relu", "x", "r"),
        op("Add", "r x", "h"),
        *cast("h", "y", ends=ends),
        weights=limits(low, high, kind),
        opset=21,
    )
    _, given = read_model(proto)
    assert [entry.output for entry in given.values()] == [Shift(fmt, overflow=overflow)]


@pytest.mark.parametrize("stored", [False, True], ids=["floats", "integers"])
def test_weights_are_the_words_of_the_file(stored: bool) -> None:
    """Weights that a QuantizeLinear makes, or that are stored as integers, are words of 4 bits."""
    w = floats(4, 3)
    words = np.clip(np.rint(w / T), -8, 7)
    weight = words.astype(np.int8) if stored else w
    chain = cast("w", "wd", "t")
    if stored:
        chain = [op("Clip", "w low high", "wdc"), chain[-1]]
    proto = model(
        *cast("x", "xd"),
        *chain,
        op("MatMul", "xd wd", "h"),
        *cast("h", "y"),
        weights={**limits(-8, 7), "w": weight},
    )
    network, given = read_model(proto)
    assert given["h"].weight == (QFormat(4, 3),)
    fixed = fxpnn.quantize(network, floats(9, 4), fxpnn.Plan().completed(given))
    weights = raw_weights(fixed["h"].layer)
    assert weights is not None
    assert np.array_equal(weights, words.T)


BETWEEN = "the Clip of its words must keep those of 2 bits or more, not"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(-8, 6, "-8 to 6"), (0, 1, "0 to 1"), (0, 14, "0 to 14"), (-7, 3, "-7 to 3"), (3, 7, "3 to 7"),
     (7, -8, "7 to -8"), (-8, -1, "-8 to -1"), (0, 0, "0 to 0")],
)  # fmt: skip
def test_ends_of_no_word_are_refused(low: int, high: int, text: str) -> None:
    """A Clip to other ends is none of a word."""
    proto = model(op("Relu", "x", "h"), *cast("h", "y"), weights=limits(low, high))
    refuse(proto, f"QuantizeLinear (node yq, opset 17): {BETWEEN} {text}")


def test_ends_that_are_no_constants_are_refused() -> None:
    """A Clip by computed numbers, or of another scale behind, makes no pair."""
    nodes = cast("x", "y")
    nodes[2] = op("DequantizeLinear", "yc t z", "y")
    apart = "must stand in a pair with one scale and zero point, or read constants"
    refuse(
        model(*nodes, weights=limits(-8, 7)),
        f"QuantizeLinear (node yq, opset 17): {apart}; "
        f"DequantizeLinear (node y, opset 17): {apart}",
    )


def test_words_between_are_the_same_as_of_qonnx() -> None:
    """The network quantized from the file computes the words that the file says, to the bit."""
    proto = model(
        *cast("x", "xd"),
        op("Relu", "xd", "r"),
        *cast("r", "y", ends="zero high"),
        weights={**limits(-8, 7), "zero": np.int8(0)},
    )
    x = floats(40, 4)
    network, given = read_model(proto)
    fixed = fxpnn.quantize(network, x, fxpnn.Plan().completed(given))
    words = np.maximum(np.clip(np.rint(x / S), -8, 7), 0)
    found = fxpnn.to_float(fxpnn.infer(fixed, x).raw, fixed.formats[fixed.outputs[0]])
    assert np.array_equal(found, words * S)
    assert from_model(proto).outputs == fixed.outputs
