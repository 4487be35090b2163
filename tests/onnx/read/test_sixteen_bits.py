"""Words of 16 bits without a sign are read where 15 of them suffice, and a note says why."""

import re
from typing import Any

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn.errors import FormatError
from fxpnn.network.layers import Array
from fxpnn.onnx.read.model import read_model
from fxpnn.quantization.quantizer import Proposal, observe, propose
from fxpnn.quantization.settings import Plan, Settings
from tests.support.onnx_models import model, op, refuse
from tests.support.qonnx_models import QONNX, fixed_values, quant, read

NO_SIGN: dict[str, Any] = {"bits": 16.0, "signed": 0}
X = np.array([[0.0, 1.0], [0.25, 0.125], [0.75, 0.5]])


def unit(frac: int, gain: float = 1.0) -> onnx.ModelProto:
    """Make a model that casts its input to Q0.15, adds both features and casts the sum's ReLU."""
    return model(
        *quant("x", "xq", 2.0**-15, 16.0),
        *quant("w", "wq", 2.0**-8, 16.0),
        op("MatMul", "xq wq", "h"),
        op("Relu", "h", "r"),
        *quant("r", "y", 2.0**-frac, **NO_SIGN),
        weights={"w": np.full((2, 1), gain, np.float32)},
        shape=("N", 2),
        domains={QONNX: 1},
    )


def proposed(made: onnx.ModelProto, x: Array | None, **settings: Any) -> Proposal:
    """Quantize with the formats of the file, and the given ones for the sum."""
    network, given = read_model(made)
    layers = {"h": Settings(**settings)} if settings else {}
    return propose(network, x, Plan(layers=layers).completed(given))


def test_what_no_input_exceeds_is_read_and_told() -> None:
    """Two of less than 1 are less than 2: proved, with or without data, and the same words."""
    for x in (None, X):
        made = proposed(unit(14), x)
        told = "UQ2.14 is held in 15 bits, UQ1.14, which no input exceeds"
        assert [note for note in made.notes if "15 bits" in note] == [f"h: {told}"]
    (values,) = fixed_values(made.fixed, X).values()
    inputs = np.minimum(X, 32767 / 32768)
    assert np.array_equal(values[:, 0], np.rint(inputs.sum(1) * 2**14) / 2**14)


def test_what_no_calibration_data_exceed_is_read_and_told() -> None:
    """The sum may reach 2, and the data reach 1.25."""
    made = proposed(unit(15), np.array([[0.25, 0.5], [0.125, 0.0]]))
    told = "UQ1.15 is held in 15 bits, UQ0.15, which no calibration data exceed"
    assert [note for note in made.notes if "15 bits" in note] == [
        f"h: {told}; what does will saturate"
    ]
    run = fxpnn.infer(made.fixed, X)
    assert run.layers["h"].saturations == 1  # 1.25 is too large


def test_an_observation_shows_it_too() -> None:
    """One that was made for the plan."""
    network, plan = read(unit(15))
    seen = observe(network, X[1:2], plan)
    assert any("no calibration data exceed" in note for note in propose(network, seen, plan).notes)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            None,
            "h: UQ1.15 is held in 15 bits, UQ0.15, which larger values may exceed; give "
            "calibration data that show whether any does, or give the output a format of its own",
        ),
        (
            X,
            "h: UQ1.15 is held in 15 bits, UQ0.15, up to 0.999969, and calibration data reach "
            "1.25; give the output a format of its own, such as UQ1.14",
        ),
    ],
)
def test_else_one_line_says_what_to_do(x: Array | None, message: str) -> None:
    """Without data, or where data need the top bit; the remedy works."""
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        proposed(unit(15), x)
    assert proposed(unit(15), x, output="UQ1.14").fixed.formats["h"].word == 15


def test_weights_show_it_themselves() -> None:
    """Constants that reach the top bit are refused as before."""

    def gemm(largest: int) -> onnx.ModelProto:
        return model(
            *quant("x", "xq", 2.0**-15, 16.0),
            *quant("w", "wq", 2.0**-15, **NO_SIGN),
            op("MatMul", "xq wq", "h"),
            *quant("h", "y", 2.0**-14, 16.0),
            weights={"w": np.array([[1.0], [largest * 2.0**-15]], np.float32) / 2},
            shape=("N", 2),
            domains={QONNX: 1},
        )

    node = proposed(gemm(65534), None).fixed["h"]
    assert [str(fmt) for fmt in node.weight_formats] == ["UQ0.15"]
    refuse(
        gemm(65536),
        f"{QONNX}.Quant (node wq, opset 1): UQ1.15 takes 17 bits with the zero sign of int16, "
        "not 16; did you mean UQ0.15?",
    )
