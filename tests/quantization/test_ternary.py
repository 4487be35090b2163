"""Weights that saturate symmetrically: 2 bits mean -1, 0 and 1, and every file says so."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn import onnx as fxpnn_onnx
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork, raw_weights
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Conv2D, Dense, Flatten, PRelu, Window
from fxpnn.network.rounded import Rounded, WeightRounding
from fxpnn.onnx.write.dialects import Qonnx
from fxpnn.quantization.calibration import choose
from fxpnn.quantization.changes import Change, changed
from fxpnn.quantization.formats_file import formats_toml, load_plan
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.targets.quantized_onnx import export

SYMMETRIC = Overflow.SATURATE_SYMMETRIC
TERNARY = Settings(weight_word=2, output_word=8, method=Method.MSE, weight_overflow=SYMMETRIC)


def network() -> tuple[Network, Array]:
    """Build a network with both kinds of sums, and inputs for it."""
    rng = np.random.default_rng(3)
    net = chain(
        "ternary",
        (2, 4, 4),
        {
            "conv": Conv2D(rng.normal(0, 1, (3, 2, 3, 3)), rng.normal(0, 1, 3), Window((3, 3))),
            "prelu": PRelu(rng.normal(0, 1, 3)),
            "flat": Flatten(),
            "dense": Dense(rng.normal(0, 1, (5, 12)), rng.normal(0, 1, 5)),
        },
    )
    return net, rng.uniform(-1, 1, (50, 2, 4, 4))


def words(fixed: FixedNetwork) -> dict[str, Array]:
    """Return the words of all layers that sum."""
    summing = (node for node in fixed.nodes if node.layer.traits.sums)
    return {node.name: np.asarray(raw_weights(node.layer)) for node in summing}


@pytest.mark.parametrize("rounding", WeightRounding)
@pytest.mark.parametrize("per_channel", [False, True])
def test_two_bits_are_three_values(rounding: WeightRounding, per_channel: bool) -> None:
    """No weight is -2, though it is without the mode; the layer says how its weights saturate."""
    net, x = network()
    settings = replace(TERNARY, weight_rounding=rounding, per_channel=per_channel)
    fixed = fxpnn.quantize(net, x, settings)
    assert all(set(np.unique(w)) == {-1, 0, 1} for w in words(fixed).values())
    assert fixed["conv"].rounded == Rounded(rounding, overflow=SYMMETRIC)
    assert not fixed["prelu"].rounded
    plain = fxpnn.quantize(net, x, replace(settings, weight_overflow=Overflow.SATURATE))
    assert min(w.min() for w in words(plain).values()) == -2


def test_the_chosen_format_counts_what_is_clipped() -> None:
    """Symmetric words of 2 bits end at 1: the error of each format is that of its three words."""
    w = np.array([-0.9, -0.8, 0.1, 0.2])
    assert choose(w, 2, Method.MSE) == QFormat(2, 1)  # -2 and -1 halves
    assert choose(w, 2, Method.MSE, SYMMETRIC) == QFormat(2, 0)
    assert choose(np.array([-1.0, 0.25]), 4, Method.MINMAX) == QFormat(4, 3)
    assert choose(np.array([-1.0, 0.25]), 4, Method.MINMAX, SYMMETRIC) == QFormat(4, 2)


def test_files_keep_it(tmp_path: Path) -> None:
    """The .fxp file, the file of formats and QONNX's ``narrow`` give the same integers again."""
    net, x = network()
    fixed = fxpnn.quantize(net, x, TERNARY)
    fixed.save(tmp_path / "t.fxp")
    (tmp_path / "t.toml").write_text(formats_toml(fixed, net))
    export(fixed, tmp_path / "t.onnx", Qonnx)
    quants = [n for n in onnx.load(tmp_path / "t.onnx").graph.node if n.op_type == "Quant"]
    narrow = [a.i for n in quants if "weight" in n.name for a in n.attribute if a.name == "narrow"]
    assert narrow == [1, 1]
    again = (
        fxpnn.load(tmp_path / "t.fxp"),
        fxpnn.quantize(net, None, load_plan(tmp_path / "t.toml", Settings())),
        fxpnn.quantize(*_read(tmp_path / "t.onnx")),
    )
    for found in again:
        for mine, theirs in zip(found.nodes, fixed.nodes, strict=True):
            assert (mine.rounded, mine.weight_formats) == (theirs.rounded, theirs.weight_formats)
        for name, expected in words(fixed).items():
            assert np.array_equal(words(found)[name], expected)


def _read(path: Path) -> tuple[Network, None, Plan]:
    net, plan = fxpnn_onnx.load_quantized(path)
    return net, None, plan


def test_a_change_of_formats_keeps_it() -> None:
    """Weights that are rounded anew saturate as before."""
    net, x = network()
    fixed = fxpnn.quantize(net, x, TERNARY)
    other = changed(net, fixed, {"dense": Change(weight=(QFormat(3, 3),))})
    assert other["dense"].rounded == fixed["dense"].rounded
    assert words(other)["dense"].min() == -3


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("dense", SYMMETRIC, "layer dense (Dense): weight must be -1 or more, not -2"),
        ("dense", Overflow.WRAP, "layer dense (Dense): weights must saturate, not wrap"),
        (
            "flat",
            SYMMETRIC,
            "layer flat (Flatten): weights must not saturate symmetrically where no sums are",
        ),
    ],
)
def test_a_network_that_says_what_is_not_so(name: str, change: Overflow, message: str) -> None:
    """It is refused."""
    net, x = network()
    fixed = fxpnn.quantize(net, x, Settings(weight_word=2, method=Method.MSE))
    nodes = (
        replace(n, rounded=Rounded(overflow=change)) if n.name == name else n for n in fixed.nodes
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        replace(fixed, nodes=tuple(nodes))


def test_weights_that_do_not_saturate() -> None:
    """Other modes are refused."""
    message = "weight_overflow must be saturate or saturate-symmetric, not wrap"
    with pytest.raises(FormatError, match=f"^{message}$"):
        Settings(weight_overflow=Overflow.WRAP)
