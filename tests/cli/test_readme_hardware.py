"""The README's chapter "Into hardware" shows what its commands print, from a model to waves."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.cli_runner import fxp
from tests.support.tools import needs

ROOT = Path(__file__).parents[2]
CHAPTER = (ROOT / "README.md").read_text().partition("\n## Into hardware\n")[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODELS = {"mlp.onnx": "mlp-784-100-10.onnx", "lenet5-relu.onnx": "lenet5-relu.onnx"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where the README does: beside copies of two models, by the names that it gives them."""
    for name, bundled in MODELS.items():
        (tmp_path / name).write_bytes((ROOT / "models" / bundled).read_bytes())
    monkeypatch.chdir(tmp_path)
    run("fxpnn quantize mlp.onnx -o mlp.fxp")  # the chapter's first command
    return tmp_path


def blocks(heading: str) -> list[tuple[str, str]]:
    """Return the chapter's blocks of code below a heading, each with its language."""
    whole = re.split(r"^## ", CHAPTER, maxsplit=1, flags=re.MULTILINE)[0]
    part = f"\n{whole}".partition(f"\n{heading}\n")[2] if heading else whole
    return BLOCK.findall(re.split(r"^###", part, maxsplit=1, flags=re.MULTILINE)[0])


def run(command: str) -> str:
    """Run a line, which must succeed, and return what it prints: ours in this process."""
    program, *args = shlex.split(command)
    if program == "fxpnn":
        done = fxp(*args)
        assert (done.status, done.err) == (0, ""), command
        return done.out
    assert program in ("make", "sed")
    ran = subprocess.run([program, *args], capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, (command, ran.stdout[-2000:], ran.stderr[-2000:])
    return ran.stdout


def plain(text: str) -> str:
    """Leave out where lines end, and how far columns stand apart."""
    return " ".join(re.sub("\N{BOX DRAWINGS LIGHT HORIZONTAL}+", "-", text).split())


@pytest.mark.slow
@needs("verilator", "g++", "make")
def test_a_model_becomes_waves_in_five_commands(folder: Path) -> None:
    """The bench passes; one spoiled weight is found where it is, and waves begin there."""
    (_, commands), (_, shown), *_ = blocks("")
    lines = commands.splitlines()
    assert len(lines) == 5
    printed = [run(line) for line in lines]
    assert "\nPASS images 10 words " in printed[2]
    assert plain(shown) in plain(printed[4])
    waves = (folder / "mlp_v" / "waves.vcd").read_text()
    begin = next(int(line[1:]) for line in waves.splitlines() if re.fullmatch(r"#\d+", line))
    assert begin > 0
    assert "s_axis_tready" in waves


@pytest.mark.slow
@needs("verilator", "g++", "gcc", "make")
def test_all_agrees_as_shown() -> None:
    """Both commands say so, and the table is the second's."""
    (_, commands), (_, shown) = blocks("### Does it agree?")
    printed = [run(line) for line in commands.splitlines()]
    assert "all 1,200,000 words of 3 steps agree" in printed[0]
    assert plain(shown) in plain(printed[1])


def test_costs_are_those_shown() -> None:
    """Of one core and of several: each table is what the commands above it print."""
    printed, shown = "", 0
    for language, text in blocks("### What it costs"):
        if language == "sh":
            printed = "".join(map(run, text.splitlines()))
        else:
            assert plain(text) in plain(printed)
            shown += 1
    assert shown == 2


def test_exports_are_written_as_told(folder: Path) -> None:
    """The folders that the chapter names have the files that it names."""
    ((_, commands),) = blocks("### As C, Verilog or hex files")
    for line in commands.splitlines():
        run(line)
    assert {"mlp.h", "mlp.c", "mlp_weights.c", "mlp_test.c", "manifest.json"} == {
        path.name for path in (folder / "mlp_c").iterdir()
    }
    assert (folder / "mlp_hex" / "manifest.json").exists()
