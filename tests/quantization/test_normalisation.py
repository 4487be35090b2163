"""A model that begins by normalising floats is quantized behind that; of pixels it is folded."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.analysis.comparison import compare
from fxpnn.engine.inference import Engine, infer
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.folding import without_normalisation
from fxpnn.network.fxp import dumps, loads
from fxpnn.network.graph import INPUT, Network, Node, Scaling
from fxpnn.network.layers import Array, Conv2D, Dense, Flatten, Relu, Reshape, Window
from fxpnn.network.normalisation import Normalisation
from fxpnn.quantization.quantizer import propose, quantize
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import forward, predict
from tests.support.parameters import weight

RNG = np.random.default_rng(12)
MEAN, STD = np.array([5000.0, 0.0, -3.0, 1e-4]), np.array([900.0, 1e-3, 0.5, 1e-5])
X = RNG.normal(MEAN, STD, (300, 4))
WEIGHT = RNG.normal(0, 1, (3, 4)).astype(np.float32)
BEGIN = Normalisation(tuple(1 / STD), tuple(-MEAN / STD))


def table() -> Network:
    """Build a network of four unequal features that it normalises."""
    nodes = (Node("d", Dense(WEIGHT, np.array([0.5, -1, 2], np.float32)), (INPUT,)),)
    return Network("table", (4,), nodes, normalisation=BEGIN)


def test_unequal_features_keep_their_bits() -> None:
    """The input's word holds what the normalisation gives, so that no feature is lost."""
    net = table()
    made = propose(net, X)
    assert made.notes == ()
    assert str(made.fixed.input_format) == "Q3.12"
    exact = ((X - MEAN) / STD) @ WEIGHT.T.astype(np.float64) + [0.5, -1, 2]
    raw = infer(made.fixed, X).raw
    assert np.abs(raw * made.fixed.formats["d"].lsb - exact).max() < 2e-3
    layers = compare(net, made.fixed, X).layers
    assert min(layer.worst_channel_sqnr_db or 0.0 for layer in layers) > 70


def test_inputs_are_normalised_once_however_they_come() -> None:
    """Any float type and number of images, one call or many; raw words are normalised already."""
    fixed = quantize(table(), X)
    words = np.rint(BEGIN.apply(X) * 2.0**fixed.input_format.frac).astype(np.int16)
    expected = infer(fixed, words).raw
    engine = Engine(fixed)
    assert np.array_equal(infer(fixed, X).raw, expected)
    assert np.array_equal(infer(fixed, X, threads=2).raw, expected)
    assert np.array_equal(np.concatenate([engine(x[None]) for x in X[:20]]), expected[:20])
    single = X.astype(np.float32)
    assert np.array_equal(infer(fixed, single).raw, infer(fixed, single.astype(np.float64)).raw)


def test_the_file_carries_it() -> None:
    """A .fxp has gain and offset to the bit; one without has no word of it."""
    fixed = quantize(table(), X)
    again = loads(dumps(fixed))
    assert again.normalisation == BEGIN
    assert dumps(again) == dumps(fixed)
    assert b"normalisation" not in dumps(quantize(table(), X.astype(np.uint8)))


PIXELS = RNG.integers(0, 256, (50, 3, 4, 4), np.uint8)


def maps(padding: int) -> Network:
    """Build a convolution of images that it normalises by channel."""
    weight = RNG.normal(0, 1, (2, 3, 3, 3)).astype(np.float32)
    window = Window((3, 3), padding=(padding,) * 4)
    nodes = (Node("c", Conv2D(weight, np.zeros(2, np.float32), window), (INPUT,)),)
    begin = Normalisation((2.0, 4.0, 3.0), (-0.5, -0.25, 0.0))
    return Network("maps", (3, 4, 4), nodes, scaling=Scaling(1 / 256), normalisation=begin)


@pytest.mark.parametrize("padding", [0, 1])
def test_pixels_stay_exact(padding: int) -> None:
    """It goes into the weights; where padding forbids that, a layer computes it."""
    net = maps(padding)
    fixed = quantize(net, PIXELS)
    assert fixed.normalisation is None
    assert [node.name for node in fixed.nodes] == ["input.add"] * padding + ["c"]
    assert str(fixed.input_format) == "UQ0.8"
    exact = predict(net, PIXELS, dtype=np.float64)["c"]
    assert np.abs(infer(fixed, PIXELS).raw * fixed.formats["c"].lsb - exact).max() < 5e-3
    assert all((layer.sqnr_db or 0) > 70 for layer in compare(net, fixed, PIXELS).layers)


def test_it_is_folded_through_what_only_moves_values() -> None:
    """A flatten before the weights: pixels stay exact, floats are cast behind the normalisation."""
    weight = RNG.normal(0, 1, (2, 48)).astype(np.float32)
    nodes = (
        Node("f", Flatten(), (INPUT,)),
        Node("r", Reshape((48,)), ("f",)),
        Node("d", Dense(weight, np.zeros(2, np.float32)), ("r",)),
    )
    begin = Normalisation((2.0, 4.0, 300.0), tuple(RNG.normal(0, 1, 48)))
    net = Network("flat", (3, 4, 4), nodes, scaling=Scaling(1 / 256), normalisation=begin)
    folded = without_normalisation(net)
    assert [node.op for node in folded.nodes] == ["Flatten", "Reshape", "Dense"]
    x = RNG.normal(0, 1, (9, 3, 4, 4))
    ours, theirs = (forward(each, x, np.float64)["d"] for each in (folded, net))
    assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-9)  # floats, rounded in another order
    pixels, floats = quantize(net, PIXELS), quantize(net, x)
    assert (pixels.normalisation, str(pixels.input_format)) == (None, "UQ0.8")
    assert floats.normalisation == begin
    for fixed, images in ((pixels, PIXELS), (floats, x)):
        assert all((layer.sqnr_db or 0) > 70 for layer in compare(net, fixed, images).layers[1:])
    both = replace(net, outputs=("d", "f"))
    shown = without_normalisation(both)
    made = ["Reshape", "Conv2D", "Reshape"]  # of one map for each value
    assert [node.op for node in shown.nodes] == [*made, "Flatten", "Reshape", "Dense"]
    ours, theirs = (forward(each, x, np.float64)["f"] for each in (shown, both))
    assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-9)  # floats, rounded in another order


def test_a_given_format_is_that_behind_it() -> None:
    """Also without data: the format that a model or a user gives is the word's."""
    plan = Plan(
        layers={INPUT: Settings(output=QFormat(16, 12)), "d": Settings(output=QFormat(16, 9))}
    )
    fixed = quantize(table(), None, plan)
    assert (fixed.normalisation, str(fixed.input_format)) == (BEGIN, "Q3.12")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Normalisation((1.0, 2.0), (0.0,)), "gain must hold 1, 4 or 4 values, not 2"),
        (Normalisation((1.0,), ()), "offset must hold 1, 4 or 4 values, not 0"),
        (Normalisation((1.0,), (float("nan"),)), "offset must be finite"),
    ],
)
def test_it_must_fit_the_input(given: Normalisation, message: str) -> None:
    """One value, one for each channel, or one for each value; none endless."""
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        Network("n", (4,), table().nodes, normalisation=given)
    fixed = quantize(table(), X)
    fields = {n: getattr(fixed, n) for n in ("name", "input_shape", "input_format", "nodes")}
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        fxpnn.FixedNetwork(**fields, normalisation=given)


def test_onnx_keeps_it(tmp_path: Path) -> None:
    """Written as a product and a sum, it is read as what it was, but for float32."""
    net = table()
    fxpnn.save_onnx(net, tmp_path / "n.onnx")
    again = fxpnn.load_onnx(tmp_path / "n.onnx")
    assert again.normalisation is not None
    assert again.normalisation.gain == tuple((1 / STD).astype(np.float32).tolist())
    assert np.array_equal(weight(again["d"]), WEIGHT)
    close = forward(again, X, np.float64)["d"] - forward(net, X, np.float64)["d"]
    assert np.abs(close).max() < 1e-2


def images(network: Network, x: Array) -> Array:
    """Return what the first layer reads."""
    return forward(network, x, np.float64, [INPUT])[INPUT]


def test_the_reference_normalises_too() -> None:
    """``forward`` takes features as they are; the input that it keeps is the normalised one."""
    assert np.array_equal(images(table(), X), X * (1 / STD) + -MEAN / STD)
    assert np.array_equal(images(Network("n", (4,), (Node("r", Relu(), (INPUT,)),)), X), X)


def test_what_cannot_be_folded_finitely_is_one_line() -> None:
    """Numbers that are finite apart may not be so together; no warning goes before the error."""
    dense = Dense(np.full((1, 2), 1e30), np.zeros(1))
    huge = Normalisation((1e300,), (0.0,))
    network = Network("n", (2,), (Node("d", dense, (INPUT,)),), normalisation=huge)
    with pytest.raises(
        ModelError, match=r"^layer d \(Dense\): weight\[0, 0\] must be finite, not inf$"
    ):
        without_normalisation(network)
