"""A normalisation that no weight can take in: of floats no layer's part, of pixels a layer."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from fxpnn import golden
from fxpnn.analysis.comparison import compare
from fxpnn.engine.inference import infer
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.folding import without_normalisation
from fxpnn.network.fxp import dumps
from fxpnn.network.graph import INPUT, Network, Node
from fxpnn.network.layers import Array, Conv2D, Window
from fxpnn.onnx import from_model, to_model
from fxpnn.quantization.quantizer import observe, quantize
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import forward
from tests.support.onnx_models import model, op

RNG = np.random.default_rng(14)
MEAN, STD = np.array([300.0, -2, 1e-3], np.float32), np.array([40, 0.25, 1e-4], np.float32)
WEIGHTS: dict[str, Array] = {
    "m": MEAN.reshape(3, 1, 1),
    "s": STD.reshape(3, 1, 1),
    "k": RNG.normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32),
    "w": RNG.normal(0, 0.3, (108, 5)).astype(np.float32),
}
PADS = [1, 1, 1, 1]
BEHIND = {
    "padded": (op("Conv", "b k", "y", pads=PADS),),
    "two readers": (
        op("Conv", "b k", "c", pads=PADS),
        op("Concat", "b c", "e", axis=1),
        op("Flatten", "e", "y"),
    ),
    "residual": (op("Conv", "b k", "c", pads=PADS), op("Add", "c b", "y")),
    "activation": (op("Relu", "b", "r"), op("Flatten", "r", "f"), op("Gemm", "f w", "y")),
    "moved": (op("Transpose", "b", "t", perm=[0, 1, 3, 2]), op("Conv", "t k", "y", pads=PADS)),
    "cut and joined": (
        op("Split", "b", "one two three", axis=1),
        op("Concat", "three two one", "j", axis=1),
        op("Conv", "j k", "y", pads=PADS),
    ),
}
X = RNG.normal(MEAN, STD, (60, 6, 6, 3)).transpose(0, 3, 1, 2)
PIXELS = RNG.integers(0, 256, (30, 3, 6, 6), np.uint8)


def read(nodes: tuple[onnx.NodeProto, ...], *before: onnx.NodeProto) -> Network:
    """Read a model with these nodes behind others, by default those that normalise."""
    first = before or (op("Sub", "x m", "a"), op("Div", "a s", "b", "norm"))
    used = {name for node in (*first, *nodes) for name in node.input}
    weights = {name: array for name, array in WEIGHTS.items() if name in used}
    return from_model(model(*first, *nodes, weights=weights, shape=("N", 3, 6, 6)))


@pytest.mark.parametrize("name", BEHIND)
def test_floats_lose_what_normalised_floats_lose(name: str) -> None:
    """The words are those of the network without it, fed with normalised features."""
    network = read(BEHIND[name])
    bare = replace(network, normalisation=None)
    assert network.normalisation is not None
    entered = network.normalisation.apply(X)
    fixed, alone = quantize(network, X), quantize(bare, entered)
    ours, theirs = infer(fixed, X), infer(alone, entered)
    assert np.array_equal(ours.raw, theirs.raw)
    assert dumps(replace(fixed, normalisation=None)) == dumps(alone)
    reports = compare(network, fixed, X), compare(bare, alone, entered)
    for here, there in zip(*(report.layers for report in reports), strict=True):
        assert (here.sqnr_db or 0) > max((there.sqnr_db or 0) - 0.01, 70)
    words = np.rint(entered[:3] * 2.0**fixed.input_format.frac).astype(np.int16)
    assert np.array_equal(golden.run(fixed, words).raw["y"], ours.raw[:3])


def layered(network: Network) -> Network:
    """Return the network in which a layer normalises, as a model file was once read."""
    gain = 1 / WEIGHTS["s"].astype(np.float64).reshape(3, 1, 1, 1)
    offset = -MEAN * gain.reshape(3)
    first = Node("norm", Conv2D(gain, offset, Window((1, 1)), groups=3), (INPUT,))
    nodes = (first, replace(network["y"], inputs=("norm",)))
    return replace(network, nodes=nodes, normalisation=None)


@pytest.mark.parametrize("name", BEHIND)
def test_pixels_stay_exact_in_front_of_a_layer(name: str) -> None:
    """The engine computes what the specification says, near to what the float network does."""
    network = read(BEHIND[name])
    fixed = quantize(network, PIXELS)
    assert (fixed.normalisation, str(fixed.input_format)) == (None, "UQ0.8")
    assert "norm" in fixed.shapes
    run = infer(fixed, PIXELS)
    assert np.array_equal(golden.run(fixed, PIXELS[:3]).raw["y"], run.raw[:3])
    exact = forward(network, PIXELS / 256, np.float64)["y"]
    assert np.abs(run.raw * fixed.formats["y"].lsb - exact).max() < np.abs(exact).max() * 1e-3
    assert "norm" in {layer.name for layer in compare(network, fixed, PIXELS).layers}


def test_the_layer_has_the_name_and_bits_that_it_always_had() -> None:
    """What was quantized of a model read as layers is, to the byte, what it is quantized to now."""
    network = read(BEHIND["padded"])
    before = layered(network)
    old = quantize(before, PIXELS)
    assert dumps(quantize(network, PIXELS)) == dumps(old)
    assert compare(network, old, PIXELS).layers[0].name == INPUT
    floats = quantize(before, X)  # a file of a version that quantized features as they came
    assert compare(network, floats, X).layers[1].name == "norm"


def test_a_plan_that_names_the_layer_makes_it() -> None:
    """So files of formats that were written for it hold, of floats too; else it is no layer."""
    network = read(BEHIND["padded"])
    plan = Plan(layers={"norm": Settings(output=QFormat(16, 12))})
    for x in (X, PIXELS):
        assert str(quantize(network, x, plan).formats["norm"]) == "Q3.12"
    folded = replace(network, nodes=(replace(network["y"], layer=unpadded(network)),))
    message = r"^settings must name layers of test, not norm; it has input, y$"
    for x in (X, PIXELS):
        with pytest.raises(FormatError, match=message):
            quantize(folded, x, plan)


def unpadded(network: Network) -> Conv2D:
    """Return a network's convolution without padding."""
    layer = network["y"].layer
    assert isinstance(layer, Conv2D)
    return replace(layer, window=Window((3, 3)))


def test_a_name_that_is_taken_gets_a_number() -> None:
    """A layer that a user built may be called so; maps that differ become a layer each."""
    network = read((op("Conv", "b k", "y", pads=PADS), op("Split", "b", "c d e", axis=1)))
    taken = replace(network, normaliser="y")
    assert next(node.name for node in without_normalisation(taken).nodes) == "y_2"


def test_onnx_keeps_the_name() -> None:
    """A network that is written and read again has the same layer in front of pixels."""
    network = read(BEHIND["padded"])
    again = from_model(to_model(network))
    assert again.normalisation is not None
    assert [n.name for n in quantize(again, PIXELS).nodes] == ["norm", "y"]


def test_one_observation_serves_all_networks_of_pixels() -> None:
    """It is of the layers that pixels run through; a plan for which they differ says so."""
    network = read(BEHIND["padded"])
    observed = observe(network, PIXELS)
    assert dumps(quantize(network, observed)) == dumps(quantize(network, PIXELS))
    plan = Plan(layers={INPUT: Settings(output=QFormat(16, 12))})
    message = (
        "the observation must be of test, not of another network; they differ in norm; where only "
        "one has a layer normalise, observe for this plan"
    )
    with pytest.raises(ModelError, match=f"^{message}$"):
        quantize(network, observed, plan)
    assert quantize(network, observe(network, PIXELS, plan), plan).normalisation is not None
