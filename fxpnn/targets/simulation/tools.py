"""Compilers and simulators: found by their names, run to their end, failures told in one line."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fxpnn import files
from fxpnn.errors import ToolError

PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "cc": "gcc",
    "clang": "clang",
    "g++": "g++",
    "gcc": "gcc",
    "iverilog": "iverilog",
    "make": "make",
    "qemu-system-arm": "qemu-system-arm",
    "verilator": "verilator",
    "vvp": "iverilog",
    "yosys": "yosys",
}
"""The tools that are run, and the packages of Debian that have them."""

_VERSION = re.compile(r"\d+(?:\.\d+)*")


def find(tool: str) -> Path:
    """Return where a tool of ``PACKAGES`` is.

    Raises:
        ToolError: it is not installed.
    """
    found = shutil.which(tool)
    if found is None:
        raise ToolError(f"{tool} is not installed; apt-get install {PACKAGES[tool]}")
    return Path(found).absolute()


def version(tool: str, log: Path, flag: str = "--version") -> str:
    """Return the first line that a tool says of itself.

    Raises:
        ToolError: it is not installed, fails, or says nothing.
    """
    said = run([find(tool), flag], log.parent, log).strip()
    if not said:
        raise ToolError(f"{tool} {flag} must tell its version, not nothing")
    return said.splitlines()[0]


def require(tool: str, said: str, oldest: str) -> None:
    """Raise ``ToolError`` unless the first number in what ``version`` gave is at least another."""
    match = _VERSION.search(said)
    if match is None or _numbers(match[0]) < _numbers(oldest):
        have = match[0] if match else repr(said)
        raise ToolError(f"{tool} must be {oldest} or newer, not {have}")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def run(
    args: Sequence[str | Path],
    cwd: Path,
    log: Path,
    heard: Callable[[str], None] | None = None,
) -> str:
    """Run a tool to its end in a folder; return what it printed, on stdout and stderr together.

    All of it stands in the file ``log`` too; ``heard`` takes each line as it comes. Where this is
    interrupted, the tool and all that it started are killed.

    Raises:
        ToolError: it cannot be started, or ends with another status than 0.
        DataError: the log cannot be written, as on a full disk.
    """
    name, lines = Path(args[0]).name, list[str]()
    with files.told(log), log.open("wb") as record, _started(args, cwd) as process:
        assert process.stdout is not None
        for piece in process.stdout:
            record.write(piece)
            lines.append(piece.decode("utf-8", "replace"))
            if heard is not None:
                heard(lines[-1])
    if process.returncode:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        raise ToolError(f"{name} {_ended(process.returncode)}: {last or 'no word'} (all in {log})")
    return "".join(lines)


@contextlib.contextmanager
def _started(args: Sequence[str | Path], cwd: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a process in a group of its own; leave only when the whole group has ended."""
    try:
        process = subprocess.Popen(
            list(map(str, args)),
            cwd=cwd,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        reason = error.strerror or error
        raise ToolError(f"{Path(args[0]).name} cannot be run: {reason}") from None
    assert process.stdout is not None
    try:
        yield process
        process.wait()
    except BaseException:
        with contextlib.suppress(OSError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        process.stdout.close()
        process.wait()


def _ended(status: int) -> str:
    """Say how a process ended."""
    if status > 0:
        return f"failed with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
