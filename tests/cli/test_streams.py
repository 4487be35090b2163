"""What commands print arrives, or its loss is told, whatever the streams and the terminal are."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import fxpnn
from fxpnn.errors import one_line
from fxpnn.network.layers import Relu
from tests.support.cli_runner import Outcome, fxp

COMMAND = Path(sys.executable).with_name("fxpnn")
FULL = Path("/dev/full")
HEEDED = "a\x9b31m\x85b\x7fc\u202ed\u2028e\u200bf\U000e0041\N{SNOWMAN}\xa0g"
"""A layer's name that a terminal would heed, hide or turn round."""


def process(*args: str | Path, before: Callable[[], None] | None = None, **files: Any) -> Outcome:
    """Run the command in a process of its own, with some streams as files or closed."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **files}
    done = subprocess.run([COMMAND, *args], preexec_fn=before, check=False, **pipes)
    return Outcome(done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode())


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a network whose layer has a dangerous name, and inputs for it."""
    folder = tmp_path_factory.mktemp("named")
    network = fxpnn.chain("net\x1b[2J", (4,), {HEEDED: Relu()})
    x = np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4)
    np.savez(folder / "x.npz", x=x)
    fxpnn.quantize(network, x).save(folder / "m.fxp")
    fxpnn.quantize(fxpnn.chain("plain", (4,), {"only": Relu()}), x).save(folder / "plain.fxp")
    return folder


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams(closed: tuple[int, ...], named: Path, tmp_path: Path) -> None:
    """What has no stream to go to is left out; files are written as ever."""

    def close() -> None:
        for number in closed:
            os.close(number)

    done = process(
        *("infer", named / "m.fxp", "--data", named / "x.npz", "-o", tmp_path / "out.npz", "-q"),
        before=close,
    )
    assert (done.status, done.err) == (0, "")
    assert ("SQNR" in done.out or "overflows" in done.out) is (1 not in closed)
    with np.load(tmp_path / "out.npz") as written:
        assert written["raw"].shape == (10, 4)
    assert process("inspect", named / "x.npz", before=close).status == 3


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("args", [("data", "list"), ("data", "list", "--json"), ("--help",)])
def test_full_stdout(args: tuple[str, ...], buffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that cannot be printed are an error in one line, with the status of a bad file."""
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    with FULL.open("w") as full:
        done = process(*args, stdout=full)
    line = "fxpnn: error: stdout: cannot be written: No space left on device\n"
    assert (done.status, done.err) == (3, line)


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_full_stderr(buffered: str, named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes and errors that cannot be printed change neither results nor the status."""
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    with FULL.open("w") as full:
        assert process("inspect", named / "x.npz", stderr=full).status == 3
        assert process("nothing", stderr=full).status == 2
        done = process("inspect", named / "m.fxp", stderr=full)
    assert (done.status, "Relu" in done.out) == (0, True)


@pytest.mark.parametrize("args", [("--help",), ("data", "list"), ("infer", "--help")])
def test_reader_that_goes_away(args: tuple[str, ...]) -> None:
    """A pipe that is closed early ends a command, and its help, with 141, without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    done = process(*args, stdout=writing)
    os.close(writing)
    assert (done.status, done.err) == (141, "")


@pytest.mark.parametrize("columns", ["0", "1", "-5", "x", "9" * 30])
def test_terminals_of_odd_width(columns: str, named: Path) -> None:
    """The table comes whatever COLUMNS says, and no line is filled up to it."""
    terminal, stdout = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": columns}
    with subprocess.Popen(
        [COMMAND, "inspect", named / "plain.fxp"], stdout=stdout, env=environment
    ) as running:
        os.close(stdout)
        shown = b""
        try:
            while part := os.read(terminal, 1 << 16):
                shown += part
        except OSError:  # how Linux says that nobody writes any more
            pass
    os.close(terminal)
    assert running.returncode == 0
    assert b"only" in shown
    assert len(shown) < 4000


def test_json_escapes_what_terminals_heed(named: Path) -> None:
    """JSON is ASCII without control characters, and holds names whole; tables show the escapes."""
    commands = (
        ("infer", named / "m.fxp", "--data", named / "x.npz"),
        ("inspect", named / "m.fxp"),
    )
    for command in commands:
        done = fxp(*command, "--json")
        assert done.status == 0
        assert done.out.replace("\n", "").isprintable()
        assert done.out.isascii()
        names = [layer["name"] for layer in msgspec.json.decode(done.out)["layers"]]
        assert HEEDED in names
        assert done.json["model"]["name"] == "net\x1b[2J"
        drawn = fxp(*command).out
        assert drawn.replace("\n", "").isprintable()
        assert one_line(HEEDED) in drawn
        assert r"net\x1b[2J" in drawn


def test_errors_escape_what_terminals_heed(tmp_path: Path) -> None:
    """A line on stderr spells what a file's name or layers would do to a terminal."""
    done = fxp("inspect", tmp_path / f"{HEEDED}.fxp")
    assert done.status == 3
    assert done.err.strip().isprintable()
    assert one_line(HEEDED) in done.err
