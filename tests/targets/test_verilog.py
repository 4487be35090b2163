"""The Verilog core computes what the engine computes, in the cycles that are known before."""

import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.tables import table_for
from fxpnn.targets.lowering import Lowering, lower
from fxpnn.targets.vectors import Vectors, vectors
from fxpnn.targets.verilog import cycles, export
from fxpnn.targets.verilog.program import Program, assemble
from tests.support.strategies import NetworkCase, fixed_networks
from tests.support.tools import needs
from tests.support.verilog_core import CORE, Ran, core, run, wanted

MAPS = (
    *(layers.Conv2D, layers.MaxPool2D, layers.AvgPool2D, layers.Add, layers.Concat, layers.Pad),
    *(layers.Slice, layers.Transpose, layers.Quantize, layers.Relu, layers.Clip, layers.Softmax),
    *(layers.Flatten, layers.Dense, layers.Sigmoid, layers.PRelu, layers.Mul, layers.Take),
)
VALUES = (
    *(layers.Dense, layers.Add, layers.Concat, layers.Relu, layers.Clip, layers.Sigmoid),
    *(layers.Tanh, layers.Silu, layers.Elu, layers.Softplus, layers.Softmax, layers.Quantize),
    *(layers.Pad, layers.Reshape, layers.Transpose, layers.LeakyRelu, layers.PRelu, layers.Abs),
    *(layers.Step, layers.Mul, layers.Slice, layers.Gelu, layers.Take),
)

MOVES = (
    *(layers.Transpose(order) for order in ((0, 3, 1, 4, 2), (2, 3, 0, 4, 1), (4, 3, 2, 1, 0))),
    layers.Take(3, (1, 0, 0, 1, 2, 3, 3, 2, 0)),
)
"""Layers that no one instruction says: axes that do not join, places of uneven steps."""


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the core that runs every small network."""
    return core(tmp_path_factory.mktemp("core"))


def check(executable: Path, case: NetworkCase, whole: bool) -> None:
    """Check all words, counts and cycles of a network, each layer a step where ``whole`` is set."""
    names = [node.name for node in case.fixed.nodes]
    lowering = lower(case.fixed, names if whole else ())
    try:
        program = assemble(lowering, CORE.macs)
    except ModelError:
        reject()
    program = program.on(CORE)
    golden = vectors(lowering, case.raw.astype(np.int16))
    ran = run(executable, lowering, program, golden)
    agrees(ran, lowering, golden)
    assert ran.cycles == {
        name: {count} for name, count in cycles.step_cycles(lowering, CORE.macs).items()
    }
    assert ran.image_cycles == {cycles.image_cycles(lowering, CORE.macs)}
    agrees(run(executable, lowering, program, golden, stall=1), lowering, golden)


def agrees(ran: Ran, lowering: Lowering, golden: Vectors) -> None:
    """Check that a run gave the golden words of each step, outputs and counts."""
    for step in lowering.steps:
        found = np.array(ran.words[step.name])
        assert found.tolist() == golden.words[step.name].tolist(), step
    assert ran.given == wanted(lowering, golden)
    assert ran.counts == dict(golden.counts)
    assert not ran.error


@needs("verilator", "g++", "make")
class TestCore:
    """One build of the core runs them all."""

    @settings(max_examples=50)
    @given(case=fixed_networks(MAPS, max_layers=5))
    def test_networks_of_maps(self, executable: Path, case: NetworkCase) -> None:
        """Words, counts and cycles are the engine's, with stalls and without."""
        check(executable, case, whole=False)

    @settings(max_examples=50)
    @given(case=fixed_networks(VALUES, max_layers=5))
    def test_networks_of_values(self, executable: Path, case: NetworkCase) -> None:
        """Words, counts and cycles are the engine's, where each layer is a step of its own."""
        check(executable, case, whole=True)

    @pytest.mark.parametrize("layer", MOVES)
    def test_moves_of_more_axes_than_loops(self, executable: Path, layer: layers.Layer) -> None:
        """Of pixel shuffles, and of mirrored edges, the parts are instructions of their own."""
        q8 = QFormat(8, 4)
        node = FixedNode("move", layer, (INPUT,), q8)
        fixed = FixedNetwork("net", (2, 3, 2, 4, 2), q8, (node,))
        raw = np.random.default_rng(1).integers(q8.min, q8.max + 1, (2, *fixed.input_shape))
        check(executable, NetworkCase(fixed, raw.astype(np.int16)), whole=True)

    @pytest.mark.parametrize("place", [0, 2, -1])
    def test_a_wrong_tlast_is_an_error(self, executable: Path, place: int) -> None:
        """One too early stops the core before it gives anything; so does one that is missing."""
        lowering, program, golden = small()
        ran = run(executable, lowering, program, golden, tlast=place)
        assert (ran.error, ran.given, ran.words) == (True, [], {})

    @pytest.mark.parametrize("cycle", [4, 11, 13, 29, 37, 47, 60, 77])
    def test_a_reset_begins_again(self, executable: Path, cycle: int) -> None:
        """At any time: the words, and the counts, are those of what comes behind it."""
        lowering, program, golden = small()
        agrees(run(executable, lowering, program, golden, reset=cycle), lowering, golden)

    @pytest.mark.slow
    @pytest.mark.parametrize("macs", [1, 3])
    def test_a_trimmed_core_gives_the_same(self, tmp_path: Path, macs: int) -> None:
        """What is left out of it is not missed, be the units one or more than channels divide."""
        lowering, _, golden = small()
        program = assemble(lowering, macs, trim=True)
        assert (program.sizes.acc, program.sizes.curves, program.sizes.averages) == (14, 0, 0)
        ran = run(core(tmp_path, program.sizes), lowering, program, golden)
        agrees(ran, lowering, golden)
        assert ran.image_cycles == {cycles.image_cycles(lowering, macs)}


LEAST = {"words": 2, "place": 2, "count": 1, "program": 2, "weights": 2, "biases": 2, "steps": 2}
MOST = {"macs": 256, "words": 100000, "place": 12, "count": 20, "program": 300, "steps": 255}
PARAMETERS: list[dict[str, int]] = [
    {},
    {**LEAST, "macs": 1, "acc": 8, "bias": 8, "tables": 257},
    {**MOST, "acc": 63, "bias": 62, "wide": 64, "weights": 300000, "biases": 5000, "tables": 9000},
    {"clamp": 0, "acc": 34, "bias": 20, "wide": 35, "averages": 0, "curves": 0},
    {"clamp": 0, "acc": 2, "bias": 2, "wide": 17, "averages": 0, "curves": 0, "softmaxes": 0},
]


@pytest.mark.parametrize("values", PARAMETERS)
class TestLint:
    """Whatever the parameters, nothing is to be warned of."""

    @needs("verilator")
    def test_verilator_warns_of_nothing(self, values: dict[str, int]) -> None:
        """Read as Verilog-2005, as is meant, and as SystemVerilog, as is usual."""
        options = [f"-G{name.upper()}={value}" for name, value in values.items()]
        for language in ("1364-2005", "1800-2017"):
            command = ["verilator", "--lint-only", "-Wall", "--language", language, *options]
            assert said([*command, "--top-module", "fx_core"]) == (0, "")

    @needs("iverilog")
    def test_icarus_warns_of_nothing(self, values: dict[str, int], tmp_path: Path) -> None:
        """Read as Verilog-2005."""
        options = [f"-Pfx_core.{name.upper()}={value}" for name, value in values.items()]
        command = ["iverilog", "-g2005", "-Wall", *options, "-s", "fx_core"]
        assert said([*command, "-o", str(tmp_path / "core")]) == (0, "")


def said(command: list[str]) -> tuple[int, str]:
    """Run a tool on the core's files; return its status, and all that it says."""
    folder = resources.files("fxpnn.targets.rtl")
    files = [str(folder.joinpath(name)) for name in export.MODULES]
    made = subprocess.run([*command, *files], check=False, capture_output=True, text=True)
    return made.returncode, made.stdout + made.stderr


def small() -> tuple[Lowering, Program, Vectors]:
    """Make a network whose sums and casts overflow, and golden vectors of three images."""
    rng = np.random.default_rng(5)
    q8, weights = QFormat(8, 4), (QFormat(8, 6),)
    kernels = rng.integers(-128, 128, (3, 1, 2, 2)).astype(np.int16)
    matrix = rng.integers(-128, 128, (5, 6)).astype(np.int16)
    window = layers.Window((2, 2), padding=(0, 1, 1, 1))
    conv = layers.Conv2D(kernels, rng.integers(-9000, 9000, 3), window)
    pool = layers.MaxPool2D(layers.Window((1, 2), (1, 2)))
    dense = layers.Dense(matrix, np.zeros(5, np.int64))
    register, table = Accumulator(14), table_for(layers.Softmax)
    nodes = (
        FixedNode("conv", conv, (INPUT,), q8, weights, register),
        FixedNode("relu", layers.Relu(), ("conv",), q8),
        FixedNode("pool", pool, ("relu",), q8),
        FixedNode("flat", layers.Flatten(), ("pool",), q8),
        FixedNode("dense", dense, ("flat",), q8, weights, register),
        FixedNode("softmax", layers.Softmax(), ("dense",), QFormat(16, 15), table=table),
    )
    fixed = FixedNetwork("small", (1, 2, 2), q8, nodes)
    lowering = lower(fixed)
    golden = vectors(lowering, rng.integers(-128, 128, (3, 1, 2, 2)).astype(np.int16))
    assert golden.counts["relu"].accumulator_overflows > 0
    assert golden.counts["dense"].saturations > 0
    return lowering, assemble(lowering, CORE.macs).on(CORE), golden
