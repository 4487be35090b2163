"""Tools are found or named with their package; what they say is kept, and how they fail told."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from fxpnn.errors import DataError, ToolError
from fxpnn.targets.simulation import tools
from tests.support.full_disk import full_disk


def script(folder: Path, name: str, text: str) -> Path:
    """Write a program of the shell."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(("tool", "package"), tools.PACKAGES.items())
def test_a_missing_tool_is_told_with_its_package(
    tool: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    line = f"^{re.escape(tool)} is not installed; apt-get install {re.escape(package)}$"
    with pytest.raises(ToolError, match=line):
        tools.find(tool)


def test_a_tool_tells_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found on the path, and the first line that it prints is what it says of itself."""
    path = script(tmp_path, "yosys", 'echo "Yosys 0.23 ($1)"; echo more')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert tools.find("yosys") == path
    assert tools.version("yosys", tmp_path / "log", "-V") == "Yosys 0.23 (-V)"
    script(tmp_path, "yosys", "true")
    with pytest.raises(ToolError, match=r"^yosys -V must tell its version, not nothing$"):
        tools.version("yosys", tmp_path / "log", "-V")


@pytest.mark.parametrize(
    ("said", "oldest", "have"),
    [
        ("Verilator 4.210 2021-07-07", "5.006", "4.210"),
        ("Icarus Verilog version 9.7", "11", "9.7"),
        ("made of wood", "1", "'made of wood'"),
    ],
)
def test_tools_that_are_too_old_are_refused(said: str, oldest: str, have: str) -> None:
    """Numbers are compared as numbers: 9.7 is older than 11."""
    line = rf"^{re.escape(f'tool must be {oldest} or newer, not {have}')}$"
    with pytest.raises(ToolError, match=line):
        tools.require("tool", said, oldest)
    tools.require("tool", "Verilator 5.020", "5.006")
    tools.require("tool", "gcc (Debian 12.2.0-14) 12.2.0", "9")


def test_a_run_is_heard_and_kept(tmp_path: Path) -> None:
    """Each line is passed on as it comes; the whole is returned and stands in the log."""
    heard: list[str] = []
    path = script(tmp_path, "tool", 'echo "in $(pwd)"; echo "to $1" >&2; printf "\\377end"')
    text = tools.run([path, "a b"], tmp_path, tmp_path / "log", heard.append)
    assert text == f"in {tmp_path}\nto a b\n\N{REPLACEMENT CHARACTER}end"
    assert heard == text.splitlines(keepends=True)
    assert (tmp_path / "log").read_bytes().endswith(b"\xffend")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("echo first; echo 'the last: 7'; echo; exit 4", "failed with status 4: the last: 7"),
        ("exit 1", "failed with status 1: no word"),
        ("echo begun; kill -SEGV $$", "was ended by SIGSEGV: begun"),
        ("kill -40 $$", "was ended by signal 40: no word"),
    ],
)
def test_a_failure_is_told_by_its_last_line(text: str, line: str, tmp_path: Path) -> None:
    """With how the tool ended, and where all that it said is."""
    log = tmp_path / "log"
    whole = rf"^tool {re.escape(line)} \(all in {re.escape(str(log))}\)$"
    with pytest.raises(ToolError, match=whole):
        tools.run([script(tmp_path, "tool", text)], tmp_path, log)


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    """As a file that is no program."""
    path = tmp_path / "tool"
    path.write_text("#!/nowhere\n")
    path.chmod(0o700)
    with pytest.raises(ToolError, match=r"^tool cannot be run: No such file or directory$"):
        tools.run([path], tmp_path, tmp_path / "log")


def test_a_log_that_the_disk_does_not_take_is_told(tmp_path: Path) -> None:
    """By its path: nothing is wrong with the tool, of however many words."""
    log = tmp_path / "log"
    line = rf"^{re.escape(str(log))}: cannot be written: File too large$"
    for count in (3_000, 30_000):
        talks = script(tmp_path, "tool", f"head -c {count} /dev/zero | tr '\\0' '\\n'")
        with full_disk(2048), pytest.raises(DataError, match=line):
            tools.run([talks], tmp_path, log)


def alive(process: int) -> bool:
    """Tell whether a process still runs; one that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
def test_an_interruption_ends_all_that_was_started(tmp_path: Path) -> None:
    """The tool, and what it started in the background, which holds its output open."""
    path = script(tmp_path, "tool", "sleep 60 & echo $! $$; wait")
    started: list[int] = []

    def interrupt(line: str) -> None:
        started.extend(map(int, line.split()))
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tools.run([path], tmp_path, tmp_path / "log", interrupt)
    deadline = time.monotonic() + 10
    while any(map(alive, started)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(started) == 2
    assert not any(map(alive, started))
