"""Signals end a command as Ctrl-C does: nothing is left, and who waits sees which it was."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.console.signals import ENDING

COMMAND = Path(sys.executable).with_name("fxpnn")


def start(
    *args: str | Path, ignored: tuple[signal.Signals, ...] = (), **pipes: Any
) -> subprocess.Popen[bytes]:
    """Start the command; it is told to ignore some signals, and to heed the others."""

    def prepare() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):  # as background jobs and nohup ignore
            signal.signal(number, signal.SIG_DFL)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    return subprocess.Popen([COMMAND, *args], preexec_fn=prepare, **pipes)


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGINT, 130, "interrupted: nothing was left half-written"),
        (signal.SIGTERM, -signal.SIGTERM, "ended: SIGTERM came; nothing was left half-written"),
        (signal.SIGHUP, -signal.SIGHUP, "ended: SIGHUP came; nothing was left half-written"),
        (signal.SIGXCPU, -signal.SIGXCPU, "ended: SIGXCPU came; nothing was left half-written"),
    ],
)
def test_a_signal_unwinds_the_work(
    number: signal.Signals, status: int, line: str, tmp_path: Path
) -> None:
    """A training ends at once: no half-written file, no hidden cursor, no traceback."""
    terminal, stderr = os.openpty()
    output = tmp_path / "out.onnx"
    with start(
        *("train", "lenet5", "--data", "mnist:calibration", "-o", output),
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        os.close(stderr)
        shown = b""
        while b"epoch 1 of" not in shown:  # it is at work now
            shown += os.read(terminal, 1 << 16)
        process.send_signal(number)
        started = time.monotonic()
        assert process.wait(60) == status
        assert time.monotonic() - started < 20
        try:
            while part := os.read(terminal, 1 << 16):
                shown += part
        except OSError:  # how Linux says that nobody writes any more
            pass
        os.close(terminal)
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert shown.count(b"\x1b[?25l") == 1
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")
    assert shown.endswith(f"fxpnn: {line}\r\n".encode())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_early_moment_prints_no_traceback(number: signal.Signals) -> None:
    """From the first line of ours on, a signal ends the process in one line or without a word."""
    for delay in (0.03, 0.06, 0.09, 0.12, 0.16, 0.2, 0.3, 0.5):
        with start("data", "list", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(delay)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        assert not re.search(rb"(fxpnn/__init__|/cli/\w+).py", said), (delay, said)
        if b"Traceback" not in said:  # else it met the interpreter's own start
            assert process.returncode in (0, -number, 130)


_INTERRUPTED_IMPORT = """
import signal
import sys
sys.path.insert(0, sys.argv[2])
from fxpnn.cli.console import signals
number = signal.Signals(int(sys.argv[1]))
signal.signal(number, signal.SIG_DFL)
signals.heed()
try:
    import interrupted
    print("imported", interrupted.whole, flush=True)
    sys.stdin.read()
except BaseException as came:
    print(type(came).__name__)
"""
_IMPORTED = """
import signal
from __main__ import number
class Interrupts:
    def __set_name__(self, owner, name):  # Python before 3.12 wraps what this raises
        signal.raise_signal(number)
class Made:
    field = Interrupts()
try:
    signal.raise_signal(number)
except BaseException:  # as numpy's extensions do
    raise ImportError("failed to import")
whole = True
"""


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, "KeyboardInterrupt"), *((number, "Ended") for number in ENDING)],
)
def test_a_signal_waits_for_the_end_of_an_import(
    number: signal.Signals, raised: str, tmp_path: Path
) -> None:
    """What is imported is whole, and the signal ends what waits for a pipe behind it."""
    (tmp_path / "interrupted.py").write_text(_IMPORTED)
    with subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED_IMPORT, str(int(number)), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read().decode().splitlines() == ["imported True", raised]
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_signals_that_are_ignored_stay_so() -> None:
    """What nohup and a shell's background jobs ignore does not end the command."""
    ignored = (signal.SIGINT, signal.SIGHUP)
    with start("data", "list", ignored=ignored, stdout=subprocess.PIPE) as process:
        for _ in range(20):
            for number in ignored:
                process.send_signal(number)
            time.sleep(0.02)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"mnist:calibration" in out
