"""Yosys makes of the core what was said: no latch, no loop, memories, and so many multipliers."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.errors import ToolError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.tables import table_for
from tests.benchmarks.synthesis import ecp5, xilinx
from tests.support.synthesis import CHECKED, cells, write
from tests.support.tools import needs

pytestmark = needs("yosys")

WORD = QFormat(16, 12)
COARSE = *CHECKED, "memory -nomap; opt_clean"
"""Checks, then memories are gathered and nothing is mapped to the cells of a device."""


def every_unit() -> FixedNetwork:
    """Make a network that needs the array, pools, tables and softmax."""
    rng = np.random.default_rng(3)
    kernels = rng.integers(-9000, 9000, (20, 1, 2, 2)).astype(np.int16)
    bias = rng.integers(-9000, 9000, 20)
    window, third = layers.Window((2, 2)), layers.Window((1, 3), (1, 3))
    nodes = (
        FixedNode(
            "conv",
            layers.Conv2D(kernels, bias, window),
            (INPUT,),
            WORD,
            (WORD,),
            Accumulator(),
        ),
        FixedNode("pool", layers.AvgPool2D(third), ("conv",), WORD),
        FixedNode("tanh", layers.Tanh(), ("pool",), QFormat(16, 15), table=table_for(layers.Tanh)),
        FixedNode("flat", layers.Flatten(), ("tanh",), QFormat(16, 15)),
        FixedNode(
            "softmax", layers.Softmax(), ("flat",), QFormat(16, 15), table=table_for(layers.Softmax)
        ),
    )
    return FixedNetwork("every_unit", (1, 3, 4), WORD, nodes)


@pytest.mark.slow
@pytest.mark.parametrize(("macs", "trim"), [(1, False), (4, True), (16, False)])
def test_multipliers_and_memories(tmp_path: Path, macs: int, trim: bool) -> None:
    """A multiplier a unit, three beside; ROMs, words and counts are memories; no latch, no loop."""
    write(every_unit(), macs, trim, tmp_path)
    found = cells(tmp_path, *COARSE)
    assert found["$mul"] == macs + 3
    assert found["$mem_v2"] == 6


def test_a_latch_is_found(tmp_path: Path) -> None:
    """Where a branch forgets a value, the checks fail."""
    (tmp_path / "design.v").write_text(
        "module design(input a, b, output reg y); always @* if (a) y = b; endmodule"
    )
    with pytest.raises(ToolError, match=r"^yosys failed with status 1: design/.*proc_dlatch"):
        cells(tmp_path, *CHECKED)


def test_a_loop_is_found(tmp_path: Path) -> None:
    """Where a net hangs on itself, the checks fail."""
    (tmp_path / "design.v").write_text(
        "module design(input a, output y); wire z; assign z = ~(a & y), y = ~z; endmodule"
    )
    with pytest.raises(
        ToolError, match=r"^yosys failed with status 1: ERROR: Found .* problems in"
    ):
        cells(tmp_path, *CHECKED)


@pytest.mark.slow
def test_the_mlp_on_ecp5(tmp_path: Path) -> None:
    """With 4 units it takes 7 multipliers and 75 blocks of RAM, and logic as the README tells."""
    calibration = fxpnn.load_data("mnist:calibration").x
    fixed = fxpnn.quantize(fxpnn.load_onnx("models/mlp-784-100-10.onnx"), calibration)
    write(fixed, 4, False, tmp_path)
    found = cells(tmp_path, *CHECKED, "synth_ecp5 -top design", "check -assert")
    assert (found["MULT18X18D"], found["DP16KD"]) == (7, 75)
    assert 0 < found["LUT4"] <= 3900


def test_the_cells_of_a_row() -> None:
    """LUTs of all sizes are LUTs, two halves of a block of RAM are one."""
    lattice = Counter({"LUT4": 3000, "TRELLIS_FF": 7, "MULT18X18D": 6, "DP16KD": 5, "PFUMX": 1})
    assert ecp5(lattice) == ["3,000", "7", "6", "5"]
    seven = Counter({"LUT1": 1, "LUT6": 1000, "LUT": 9, "FDRE": 2, "FDSE": 3, "DSP48E1": 4})
    assert xilinx(seven + Counter(RAMB36E1=5, RAMB18E1=3)) == ["1,001", "5", "4", "6.5"]
