"""Transposed convolutions: against ONNX Runtime, and to the bit against their own definition."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import fxpnn
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.layers import Conv2D
from fxpnn.onnx import from_model
from fxpnn.targets.simulation.cosim import cosimulate
from tests.support.agreement import agree
from tests.support.onnx_models import MAPS, Form, check, floats, form, model, op, refuse
from tests.support.strategies import NetworkCase
from tests.support.tools import needs

STUFFED = "Reshape Pad Reshape Conv2D"
CUT = "Reshape Pad Reshape Slice Conv2D"
W, B = floats(2, 3, 3, 2), floats(3)


def transposed(layers: str, weight: npt.NDArray[Any] = W, **attributes: Any) -> Form:
    """Make a transposed convolution of two maps."""
    weights = {"w": weight, "b": floats(weight.shape[1] * attributes.get("group", 1))}
    shape = ("N", 2, 6) if weight.ndim == 3 else MAPS
    return form(
        layers, op("ConvTranspose", "x w b", "y", **attributes), weights=weights, shape=shape
    )


FORMS = {
    "stride 1": transposed("Conv2D"),
    "strides": transposed(CUT, strides=[2, 3]),
    "pads": transposed(CUT, strides=[2, 2], pads=[1, 0, 1, 1]),
    "dilations": transposed(STUFFED, strides=[3, 1], dilations=[1, 3], pads=[1, 1, 0, 2]),
    "more places behind": transposed(STUFFED, strides=[3, 2], output_padding=[2, 1]),
    "pads that cut into the map": transposed(
        "Reshape Pad Reshape Slice Slice Conv2D", strides=[2, 3], pads=[4, 0, 3, 4]
    ),
    "groups": transposed(STUFFED, floats(2, 2, 3, 3), strides=[2, 2], group=2),
    "rows": transposed(f"Reshape {STUFFED} Reshape", floats(2, 3, 4), strides=[3], pads=[1, 1]),
    "rows of stride 1": transposed("Reshape Conv2D Reshape", floats(2, 3, 4), pads=[1, 2]),
    "its size": transposed(CUT, strides=[2, 3], output_shape=[12, 13]),
    "its size, an odd one at the end": transposed(
        CUT, strides=[2, 3], output_shape=[12, 13], auto_pad="SAME_UPPER"
    ),
    **{
        f"auto_pad {mode}": transposed(STUFFED, floats(2, 3, 4, 3), strides=[3, 2], auto_pad=mode)
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
    },
    "what is folded into it": form(
        f"{STUFFED} Relu",
        op("ConvTranspose", "x w", "a", strides=[2, 2]),
        op("BatchNormalization", "a g b m v", "c"),
        op("Relu", "c", "y"),
        weights={"w": W, "g": B, "b": -B, "m": B + 1, "v": B**2 + 0.1},
        shape=MAPS,
    ),
    "a scale before it": form(
        f"Conv2D {STUFFED}",
        op("Conv", "x k", "a"),
        op("Mul", "a two", "c"),
        op("ConvTranspose", "c w", "y", strides=[2, 2]),
        weights={"k": floats(2, 2, 1, 1), "two": 2.0, "w": W},
        shape=MAPS,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_transposed_convolutions(case: Form) -> None:
    """Every attribute means what ONNX Runtime takes it for."""
    check(case)


def scattered(fixed: FixedNetwork, x: npt.NDArray[Any], stride: int, off: int) -> list[int]:
    """Add each value times the kernel, as it is not turned, to the places that it reaches.

    The layer is the first convolution; ``off`` places are left out at each end.
    """
    node = next(node for node in fixed.nodes if isinstance(node.layer, Conv2D))
    assert isinstance(node.layer, Conv2D)
    kernels = node.layer.weight[..., ::-1, ::-1].tolist()
    outputs, (inputs, height, width) = len(kernels), x.shape
    kh, kw = node.layer.window.kernel
    rows, columns = stride * (height - 1) + kh, stride * (width - 1) + kw
    sums = [[[int(b)] * columns for _ in range(rows)] for b in node.layer.bias]
    for o, c, i, j in product(range(outputs), range(inputs), range(height), range(width)):
        for m, n in product(range(kh), range(kw)):
            sums[o][stride * i + m][stride * j + n] += int(x[c, i, j]) * kernels[o][c][m][n]
    fracs = node.product_fracs(fixed.formats[node.inputs[0]]).tolist()
    ends = slice(off, -off or None)
    return [
        node.requantize.raw(total, frac)[0]
        for plane, frac in zip(sums, fracs, strict=True)
        for row in plane[ends]
        for total in row[ends]
    ]


@pytest.mark.parametrize(("stride", "off"), [(1, 0), (2, 1), (3, 0), (3, 4)])
def test_bits(stride: int, off: int) -> None:
    """Engine and golden model give what adding each value times the kernel gives, cast once."""
    network = from_model(
        model(
            op("ConvTranspose", "x w b", "y", strides=[stride] * 2, pads=[off] * 4),
            weights={"w": floats(2, 3, 3, 3), "b": floats(3)},
            shape=MAPS,
        )
    )
    fixed = fxpnn.quantize(network, floats(3, 2, 6, 5), fxpnn.Settings(word=10, output_word=7))
    fmt = fixed.input_format
    raw = np.random.default_rng(stride).integers(fmt.min, fmt.max, (3, 2, 6, 5), np.int16, True)
    agree(NetworkCase(fixed, raw))
    found = fxpnn.infer(fixed, raw).raw
    for image, words in zip(raw, found, strict=True):
        assert words.ravel().tolist() == scattered(fixed, image, stride, off)


def upsampler() -> tuple[fxpnn.Network, FixedNetwork, npt.NDArray[Any]]:
    """Make a small decoder of two transposed convolutions."""
    network = from_model(
        model(
            op("ConvTranspose", "x w b", "a", strides=[2, 2], pads=[1] * 4, output_padding=[1, 1]),
            op("Relu", "a", "r"),
            op("ConvTranspose", "r v", "y", strides=[2, 1], group=2, pads=[0, 2, 0, 1]),
            weights={"w": floats(2, 4, 3, 3), "b": floats(4), "v": floats(4, 3, 2, 2)},
            shape=("N", 2, 3, 3),
        )
    )
    x = floats(4, 2, 3, 3)
    return network, fxpnn.quantize(network, x, fxpnn.Settings(word=12)), x


@pytest.mark.parametrize("simulator", ["c", "iverilog"])
@needs("gcc", "iverilog")
def test_hardware(simulator: str, tmp_path: Path) -> None:
    """C and Verilog give its words: they have nothing to learn."""
    _, fixed, x = upsampler()
    found = cosimulate(fixed, x[:2], simulator=simulator, folder=tmp_path / "it", name="net")
    assert found.verdict() is None


def test_file(tmp_path: Path) -> None:
    """What is saved, and what is written as ONNX, comes back as the same network."""
    network, fixed, x = upsampler()
    fixed.save(tmp_path / "it.fxp")
    assert (
        fxpnn.infer(fxpnn.load(tmp_path / "it.fxp"), x).raw.tolist()
        == fxpnn.infer(fixed, x).raw.tolist()
    )
    fxpnn.save_onnx(network, tmp_path / "it.onnx")
    again = fxpnn.load_onnx(tmp_path / "it.onnx")
    assert [node.op for node in again.nodes] == [node.op for node in network.nodes]


def refused(**attributes: Any) -> onnx.ModelProto:
    """Make a model of one transposed convolution that is not to be read."""
    return transposed("", **attributes).model


WHERE = "ConvTranspose (node y, opset 17): "

REFUSED = {
    "three axes": (
        model(
            op("ConvTranspose", "x w", "y"),
            weights={"w": floats(2, 3, 2, 2, 2)},
            shape=("N", 2, 3, 3, 3),
        ),
        "its kernel must have the one axis of rows or the two of maps, not 3 on (2, 3, 3, 3)",
    ),
    "a kernel for rows": (
        model(op("ConvTranspose", "x w", "y"), weights={"w": floats(2, 3, 2)}, shape=MAPS),
        "its kernel must have the one axis of rows or the two of maps, not 1 on (2, 6, 5)",
    ),
    "another kernel": (
        refused(kernel_shape=[2, 2]),
        "kernel_shape must be the weight's (3, 2), not (2, 2)",
    ),
    "other maps": (
        refused(weight=floats(3, 3, 3, 2)),
        "input must have 3 maps, not 2",
    ),
    "groups": (
        refused(weight=floats(2, 3, 3, 2), group=3),
        "group must divide the 2 input maps, not be 3",
    ),
    "too few strides": (refused(strides=[2]), "strides must be 2 counts of 1 or more, not (2,)"),
    "pads below 0": (
        refused(pads=[0, -1, 0, 0]),
        "pads must be 4 counts of 0 or more, not (0, -1, 0, 0)",
    ),
    "no such mode": (
        refused(auto_pad="SAME"),
        "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not SAME",
    ),
    "a stride that skips places": (
        refused(strides=[4, 2], auto_pad="SAME_UPPER"),
        "auto_pad must not add to an output of (23, 10), not SAME_UPPER",
    ),
    "sizes for one axis": (refused(output_shape=[7]), "output_shape must be 2 sizes, not (7,)"),
    "all cut off": (
        refused(strides=[1, 1], pads=[6, 0, 6, 0]),
        "pads must leave some of its output",
    ),
    "a huge stride": (
        refused(strides=[1 << 30, 1]),
        "its output must hold 1 to 134217728 values, not (2, 6, 5368709120, 1)",
    ),
}


@pytest.mark.parametrize(("case", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(case: onnx.ModelProto, message: str) -> None:
    """What is not one is refused in a line that names the operator."""
    refuse(case, WHERE + message)
