"""The bundled networks as Verilog: every word of many images, what overflows, and every cycle."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.fixedpoint.qformat import Accumulator
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT, Network, Node
from fxpnn.targets.simulation.cosim import Core, Cosimulation, cosimulate
from tests.support.tools import needs

MODELS = Path(__file__).parents[2] / "models"
MLP, LENETS = "mlp-784-100-10", ("lenet5", "lenet5-relu")
CLAMPED = 5_745_255
"""Adds that clamp in 10,000 images of the MLP in words of 8 bits, summed in 17."""


@cache
def quantized(name: str, word: int = 16) -> FixedNetwork:
    """Quantize a bundled network."""
    network = fxpnn.load_onnx(MODELS / f"{name}.onnx")
    calibration = fxpnn.load_data("mnist:calibration").x
    return fxpnn.quantize(network, calibration, fxpnn.Settings(word=word))


def clamping() -> FixedNetwork:
    """Quantize the MLP in words of 8 bits, then take registers too short for its sums."""
    fixed = quantized(MLP, 8)
    short = (replace(it, accumulator=it.accumulator and Accumulator(17)) for it in fixed.nodes)
    return replace(fixed, nodes=tuple(short))


def run(fixed: FixedNetwork, images: int, tool: str, folder: Path, core: Core) -> Cosimulation:
    """Run the first test images; all must agree."""
    x = fxpnn.load_data("mnist").x[:images]
    done = cosimulate(fixed, x, tool, folder / "d", core=core)
    assert done.verdict() is None
    assert done.words == images * sum(step.size for step in done.lowering.steps)
    return done


@pytest.mark.slow
@needs("verilator", "g++", "make")
def test_all_images_of_the_mlp(tmp_path: Path) -> None:
    """Each of 1,200,000 words."""
    done = run(quantized(MLP), 10_000, "verilator", tmp_path, Core(16))
    assert done.words == 1_200_000


@pytest.mark.slow
@needs("verilator", "g++", "make")
@pytest.mark.parametrize("name", [MLP, *LENETS])
def test_networks_of_8_bits_whose_streams_stall(name: str, tmp_path: Path) -> None:
    """What gives and takes words comes and goes; no word changes."""
    run(quantized(name, 8), 20, "verilator", tmp_path, Core(16, stall=1))


def branching() -> FixedNetwork:
    """Quantize a branch around a depthwise convolution, formats for each channel, random words."""
    rng = np.random.default_rng(11)

    def conv(outputs: int, maps: int, groups: int = 1) -> layers.Conv2D:
        window = layers.Window((3, 3), padding=(1, 1, 1, 1))
        sizes = 2.0 ** rng.integers(-4, 3, (outputs, 1, 1, 1))
        weight = rng.normal(size=(outputs, maps // groups, 3, 3)) * sizes
        return layers.Conv2D(weight, rng.normal(size=outputs), window, groups)

    nodes = (
        Node("stem", conv(5, 2), (INPUT,)),
        Node("stem_relu", layers.Relu(), ("stem",)),
        Node("depthwise", conv(5, 5, 5), ("stem_relu",)),
        Node("sum", layers.Add(), ("depthwise", "stem_relu")),
        Node("clip", layers.Clip(0.0, 6.0), ("sum",)),
        Node("mean", layers.AvgPool2D(layers.Window((7, 6))), ("clip",)),
        Node("flat", layers.Flatten(), ("mean",)),
        Node("classes", layers.Dense(rng.normal(size=(3, 5)), rng.normal(size=3)), ("flat",)),
        Node("softmax", layers.Softmax(), ("classes",)),
    )
    network = Network("branching", (2, 7, 6), nodes)
    x = rng.normal(size=(64, 2, 7, 6))
    return fxpnn.quantize(network, x, fxpnn.Settings(per_channel=True))


@needs("verilator", "g++", "make")
def test_a_branch_a_depthwise_convolution_and_formats_of_channels(tmp_path: Path) -> None:
    """All in one network, whose channels have several formats."""
    fixed = branching()
    assert len({fmt.frac for fmt in fixed["depthwise"].weight_formats}) > 1
    x = np.random.default_rng(12).normal(size=(20, 2, 7, 6))
    for macs in (1, 4):
        done = cosimulate(fixed, x, "verilator", tmp_path / f"{macs}", core=Core(macs))
        assert done.verdict() is None
        assert done.words == 20 * sum(step.size for step in done.lowering.steps)


@pytest.mark.parametrize(
    "tool",
    [
        pytest.param("iverilog", marks=needs("iverilog")),
        pytest.param("verilator", marks=[needs("verilator", "g++", "make"), pytest.mark.slow]),
        pytest.param("c", marks=needs("gcc")),
    ],
)
def test_a_network_without_a_step_ends(tool: str, tmp_path: Path) -> None:
    """Its words go in and out again: a bench must not wait for the counts of a last step."""
    network = Network("flat", (1, 2, 3), (Node("flat", layers.Flatten(), (INPUT,)),))
    x = np.random.default_rng(5).normal(size=(4, 1, 2, 3))
    done = cosimulate(fxpnn.quantize(network, x), x, tool, tmp_path / "d")
    assert (done.verdict(), done.lowering.steps, done.found.images) == (None, (), 4)


@needs("gcc")
def test_sums_that_clamp_in_c(tmp_path: Path) -> None:
    """As often as the engine says: in 10,000 images a known number of times."""
    x = fxpnn.load_data("mnist").x
    done = cosimulate(clamping(), x, "c", tmp_path / "d")
    assert done.verdict() is None
    assert sum(it.accumulator_overflows for it in done.found.counts.values()) == CLAMPED


@pytest.mark.slow
@needs("verilator", "g++", "make")
def test_sums_that_clamp(tmp_path: Path) -> None:
    """As often as the engine says."""
    done = run(clamping(), 1_000, "verilator", tmp_path, Core(16))
    assert sum(it.accumulator_overflows for it in done.found.counts.values()) > CLAMPED // 20


@pytest.mark.slow
@needs("verilator", "g++", "make")
@pytest.mark.parametrize("name", LENETS)
@pytest.mark.parametrize(("macs", "images"), [(16, 200), (4, 20), (1, 20)])
def test_images_of_the_lenets(name: str, macs: int, images: int, tmp_path: Path) -> None:
    """Every word of every map, with few units and with many."""
    run(quantized(name), images, "verilator", tmp_path, Core(macs))


@pytest.mark.slow
@needs("iverilog")
def test_images_of_the_mlp_where_signals_can_be_unknown(tmp_path: Path) -> None:
    """Icarus knows X; none comes out."""
    run(quantized(MLP), 20, "iverilog", tmp_path, Core(16))
