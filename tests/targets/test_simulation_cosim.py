"""Co-simulation takes what it is given, or says in one line why it does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli import params
from fxpnn.errors import DataError, FormatError, ModelError, ToolError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.targets.lowering import lower
from fxpnn.targets.simulation.cosim import Core, Cosimulation, Simulator, cosimulate
from fxpnn.targets.simulation.result import Difference, Simulated
from fxpnn.targets.vectors import vectors
from tests.support import hostile
from tests.support.full_disk import full_disk
from tests.support.hostile import DENSE, POOL, RELU, SIGMOID


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"simulator": "spice"},
         r"^simulator must be one of c, cortex-m, verilator, iverilog, not 'spice'$"),
        ({"simulator": "c", "core": Core()},
         r"^core must go with verilator or iverilog, not c$"),
        ({"name": "fx_core"}, r"^name must not begin with fx_, .+$"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(change: dict[str, Any], line: str, tmp_path: Path) -> None:
    """Before anything is written."""
    args: dict[str, Any] = {
        "simulator": "iverilog",
        "folder": tmp_path / "d",
        "name": "net",
        **change,
    }
    with pytest.raises(FormatError, match=line):
        cosimulate(hostile.network(), hostile.images(), **args)
    assert not (tmp_path / "d").exists()


def test_units_are_1_to_256() -> None:
    """As those of an export."""
    with pytest.raises(FormatError, match=r"^macs must be 1 to 256, not 257$"):
        Core(257)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """By the file that could not be written; none is there in part."""
    line = rf"^{tmp_path}/d/net\S*: cannot be written: File too large$"
    with full_disk(2048), pytest.raises(DataError, match=line):
        cosimulate(hostile.network(), hostile.images(), "c", tmp_path / "d")
    assert [*(tmp_path / "d").iterdir()] == []


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    """What is kept there is no export of an earlier run."""
    (tmp_path / "mine").touch()
    line = (
        rf"^{tmp_path}: must be new, empty, or hold only what an earlier such command wrote, "
        "not 'mine'$"
    )
    with pytest.raises(DataError, match=line):
        cosimulate(hostile.network(), hostile.images(), "c", tmp_path)


def test_what_the_core_has_not_is_refused_by_name(tmp_path: Path) -> None:
    """With the way that is left."""
    fmt, layer = QFormat(16, 8), layers.L2Pool2D(layers.Window((2, 2), (2, 2)))
    node = FixedNode("norm", layer, (INPUT,), fmt)
    fixed = FixedNetwork("n", (1, 2, 2), fmt, (node,))
    with pytest.raises(ModelError, match=r"^layer norm \(L2Pool2D\): .+; export it --to c$"):
        cosimulate(fixed, np.zeros((1, 1, 2, 2), np.int16), "iverilog", tmp_path / "d")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("simulator", "tool"),
    [
        ("c", "gcc"),
        ("cortex-m", "arm-none-eabi-gcc"),
        ("verilator", "verilator"),
        ("iverilog", "iverilog"),
    ],
)
def test_a_missing_tool_is_told(
    simulator: str, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the package that has it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    package = {"arm-none-eabi-gcc": "gcc-arm-none-eabi"}.get(tool, tool)
    line = rf"^{tool} is not installed; apt-get install {package}$"
    with pytest.raises(ToolError, match=line):
        cosimulate(hostile.network(), hostile.images(), simulator, tmp_path / "d")


def fake(folder: Path, name: str, text: str) -> None:
    """Put a program of the shell on the path."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o700)


@pytest.mark.parametrize(
    ("version", "does", "line"),
    [
        ("Verilog version 10.3 (stable)", "true", "iverilog must be 11.0 or newer, not 10.3"),
        ("Icarus Verilog version 12.0", "echo 'no memory' >&2; exit 2",
         r"iverilog failed with status 2: no memory \(all in {0}/iverilog.log\)"),
        ("Icarus Verilog version 12.1", "echo made > made",
         r"iverilog ends before the bench does: all is well \(all in {0}/bench.log\)"),
    ],
)  # fmt: skip
def test_tools_that_are_old_or_fail_are_told(
    version: str, does: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends without the bench's last line is none."""
    fake(tmp_path, "iverilog", f'if [ "$1" = -V ]; then echo "{version}"; exit; fi; {does}')
    fake(tmp_path, "vvp", "echo all is well")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=f"^{line.format(tmp_path / 'd')}$"):
        cosimulate(hostile.network(), hostile.images(), "iverilog", tmp_path / "d")


def judged(**changes: Any) -> Cosimulation:
    """Make what a run of the network gives where all agrees, but for changes."""
    lowering = lower(hostile.network())
    wanted = vectors(lowering, hostile.images())
    cycles = {step.name: 10 + place for place, step in enumerate(lowering.steps)}
    found = Simulated(5, 5 * 58, None, dict(wanted.counts), cycles, 99, 1.0)
    found = replace(found, **changes)
    return Cosimulation(
        lowering, wanted, found, {step.name: 10 + i for i, step in enumerate(lowering.steps)}, 99
    )


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, None),
        ({"differs": Difference(1, DENSE, 3, -4, 5)},
         'inside "\\ (Dense) differs first, in image 1 at 3: -4, not 5'),
        ({"counts": {POOL: Counts(0, 2, 0)}},
         "/conv1/Conv.0 (MaxPool2D) counts 2 saturations, not 0"),
        ({"counts": {POOL: Counts(0, 0, 1)}},
         "/conv1/Conv.0 (MaxPool2D) counts 1 values below zero, not 0"),
        ({"cycles": {RELU: 10, SIGMOID: 12}}, "Output (Sigmoid) takes 12 cycles, not 13"),
        ({"image_cycles": 98}, "an image takes 98 cycles, not 99"),
        ({"image_cycles": None}, None),
        ({"fault": "image 0: reg\ndoes not end"}, "image 0: reg does not end"),
    ],
)  # fmt: skip
def test_the_verdict_names_what_differs_first(
    changes: dict[str, object], verdict: str | None
) -> None:
    """Words before counts, these before cycles."""
    assert judged(**changes).verdict() == verdict


def test_words_that_agree_are_counted_up_to_the_first_that_differs() -> None:
    """In all steps: what lies behind it follows from it."""
    done = judged(differs=Difference(2, POOL, 3, 0, 1))
    assert [done.agreed(step) for step in done.lowering.steps] == [96, 19, 10, 10, 8, 8]
    assert done.words == 151
    assert judged().words == 290


def test_the_command_line_knows_all_simulators() -> None:
    """They are named there too, so that help imports none."""
    assert tuple(member.value for member in Simulator) == params.SIMULATORS
