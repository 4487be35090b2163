"""``fxpnn cosim`` runs a network as hardware, and tells in one line what differs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fxpnn.targets.c import export as c
from fxpnn.targets.verilog import export as verilog
from tests.support import hostile
from tests.support.cli_runner import Outcome, fxp
from tests.support.tools import needs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the model and images of it; temporary folders lie in ``t``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    hostile.network().save("n.fxp")
    np.save("x.npy", hostile.images(6) / 8)
    return tmp_path


def cosim(*args: str) -> Outcome:
    """Run the command on the model."""
    return fxp("cosim", "n.fxp", *args)


def change(monkeypatch: pytest.MonkeyPatch, target: Any, file: str, old: str, new: str) -> None:
    """Let an export write something else."""
    write = target.write

    def changed(*args: object) -> dict[str, bytes]:
        files: dict[str, bytes] = dict(write(*args))
        assert old.encode() in files[file]
        return {**files, file: files[file].replace(old.encode(), new.encode())}

    monkeypatch.setattr(target, "write", changed)


@needs("iverilog")
def test_verilog_that_agrees(folder: Path) -> None:
    """A table of the steps, and that all agrees; nothing is left."""
    done = cosim("--with", "iverilog", "--macs", "2", "--data", "x.npy")
    assert (done.status, done.err) == (0, "")
    assert "as Verilog in Icarus with 2 units on 6 images of x.npy" in done.out
    assert re.search(r"^ Output +Sigmoid +30 +30 +0 +0 +0 +13 +13 *$", done.out, re.MULTILINE)
    assert " all 348 words of 6 steps agree, and what overflows\n" in done.out
    assert re.search(
        r"^ 6 images in [\d.]+ s, [\d.,]+ a second; 325 cycles an image, as predicted$",
        done.out,
        re.MULTILINE,
    )
    assert list((folder / "t").iterdir()) == []


@needs("iverilog")
def test_json_of_verilog(folder: Path) -> None:
    """Every step with its words, counts and cycles; the folder that is kept."""
    args = ("--with", "iverilog", "--limit", "2", "--stall", "3", "--trim", "--keep", "k")
    done = cosim(*args, "--json")
    assert (done.status, done.err) == (0, "")
    found = done.json
    assert (found["simulator"], found["macs"], found["stall"], found["images"]) == (
        *("iverilog", 16, 3, 2),
    )
    assert (found["agrees"], found["verdict"], found["differs"], found["data"]) == (
        *(True, None, None, None),
    )
    assert [step["name"] for step in found["steps"]] == list(hostile.STEPS)
    first = found["steps"][0]
    assert first["words"] == first["agreed"] == 64
    assert first["counts"] == first["counts_wanted"]
    assert first["cycles"] == first["cycles_predicted"]
    assert found["cycles"] is None
    assert (found["folder"], found["instructions"]) == ("k", None)
    assert {"a_network_s_name.v", "bench.log", "Makefile"} <= {
        path.name for path in (folder / "k").iterdir()
    }


@needs("gcc")
def test_c_that_agrees() -> None:
    """It has no cycles, and no units."""
    done = cosim("--with", "c", "--data", "x.npy")
    assert (done.status, done.err) == (0, "")
    assert "as C on 6 images of x.npy" in done.out
    assert "cycles" not in done.out
    assert " all 348 words of 6 steps agree, and what overflows\n" in done.out


@needs("arm-none-eabi-gcc", "qemu-system-arm")
def test_a_cortex_m_counts_instructions() -> None:
    """The same each time; they are no cycles, and it says so."""
    done = [cosim("--with", "cortex-m", "--limit", "2", "--json").json for _ in range(2)]
    assert done[0]["instructions"] == done[1]["instructions"] > 2 * 2000
    out = cosim("--with", "cortex-m", "--limit", "2").out
    assert "as C on a Cortex-M4 on 2 images, drawn" in out
    assert f"; {done[0]['instructions'] // 2:,} instructions an image, which are no cycles\n" in out


@needs("iverilog")
def test_verilog_that_differs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says layer, place and both values; the folder stays, where waves can be made."""
    change(monkeypatch, verilog, "fx_pool.v", "seen > best", "seen < best")
    done = cosim("--with", "iverilog")
    assert done.status == 1
    (place,) = (folder / "t").iterdir()
    verdict = r"/conv1/Conv\.0 \(MaxPool2D\) differs first, in image 0 at \d: -?\d+, not -?\d+"
    assert re.fullmatch(
        rf"fxpnn: failed: n\.fxp: {verdict}; all is in {re.escape(str(place))}\n", done.err
    )
    assert re.search(rf"^ {verdict}$", done.out, re.MULTILINE)
    assert f" kept in {place}\n" in done.out
    assert "waves:" in (place / "Makefile").read_text()
    found = cosim("--with", "iverilog", "--json", "--keep", "k").json
    assert (found["agrees"], found["differs"]["layer"]) == (False, "/conv1/Conv.0")
    assert [step["agreed"] for step in found["steps"]][2:] == [0, 0, 0, 0]
    assert found["steps"][1]["counts"] is None


@needs("gcc")
def test_c_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named likewise."""
    change(monkeypatch, c, "a_network_s_name.c", "17179869184 - g", "17179869184 + g")
    done = cosim("--with", "c", "--keep", "k")
    assert done.status == 1
    wanted = r"fxpnn: failed: n\.fxp: Output \(Sigmoid\) differs first, in image \d at \d: .+"
    assert re.fullmatch(rf"{wanted}; all is in k\n", done.err)


def test_a_missing_tool_ends_with_3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says how to get it."""
    monkeypatch.setenv("PATH", str(folder))
    done = cosim("--with", "verilator")
    line = "fxpnn: error: verilator is not installed; apt-get install verilator\n"
    assert (done.status, done.out, done.err) == (3, "", line)


@needs("gcc")
def test_a_failing_tool_leaves_its_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names it."""
    change(monkeypatch, c, "a_network_s_name.c", "int16_t best", "int16_t")
    done = cosim("--with", "c")
    assert (done.status, done.out) == (3, "")
    match = re.fullmatch(r"fxpnn: error: gcc failed with status 1: .+ \(all in (.+)\)\n", done.err)
    assert match
    assert Path(match[1]).is_relative_to(folder / "t")
    assert "error" in Path(match[1]).read_text()


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("--with", "spice"), 2,
         "--with: must be one of c, cortex-m, verilator, iverilog, not 'spice' (see fxpnn cosim "
         "--help)"),
        ((), 2, "Missing option '--with' (see fxpnn cosim --help)"),
        (("--with", "c", "--macs", "4"), 2,
         "--macs must go with --with verilator or iverilog, not c (see fxpnn cosim --help)"),
        (("--with", "cortex-m", "--stall", "1"), 2,
         "--stall must go with --with verilator or iverilog, not cortex-m (see fxpnn cosim "
         "--help)"),
        (("--with", "iverilog", "--macs", "0"), 2,
         "--macs: must be 1 to 256, not 0 (see fxpnn cosim --help)"),
        (("--with", "c", "--keep", "."), 3,
         ".: must be new, empty, or hold only what an earlier such command wrote, not "),
        (("--with", "c", "--data", "none.npy"), 3, "none.npy: "),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(args: tuple[str, ...], status: int, line: str) -> None:
    """And nothing is printed on stdout."""
    done = cosim(*args)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert done.err.startswith(f"fxpnn: error: {line}")
