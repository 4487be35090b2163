"""The command as a whole: help, version, streams, interrupts and exit statuses."""

import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import fxpnn
from cli import params
from cli.console import terminal
from cli.console.progress import progress
from cli.console.terminal import GateError, path_text
from cli.main import COMMANDS, Commands, main
from fxpnn.errors import one_line
from fxpnn.zoo.architectures import ARCHITECTURES
from tests.support.cli_runner import Outcome, fxp, installed, write_models

HEAVY = {"numpy", "numba", "onnx", "rich", "msgspec"}


def commands(group: click.Group = main, name: str = "fxpnn") -> Iterator[tuple[str, click.Command]]:
    """Give every command that runs something, with what a user types to reach it."""
    ctx = click.Context(group)
    for short in group.list_commands(ctx):
        command = group.get_command(ctx, short)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {short}")
        else:
            yield f"{name} {short}", command


def examples() -> list[str]:
    """List the command lines that the help of every command gives as examples."""
    found = []
    for name, command in commands():
        lines = [line.strip() for line in (command.epilog or "").splitlines()]
        assert any(line.startswith(f"{name} ") or line == name for line in lines), name
        found += [line for line in lines if line.startswith("fxpnn ")]
    return found


def imported(*args: str) -> tuple[Outcome, set[str]]:
    """Run a command line in a process of its own, and tell which heavy packages it imported."""
    code = (
        "import sys, fxpnn.cli.main as m\n"
        f"sys.argv = ['fxpnn', *{args!r}]\n"
        "try: m.run()\n"
        f"finally: print('imported', *({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    *lines, last = done.stderr.splitlines()
    return Outcome(done.returncode, done.stdout, "\n".join(lines)), set(last.split()[1:])


def test_help_lists_every_command() -> None:
    """The help names each command in the order of use, with a whole sentence about it."""
    done = fxp("--help")
    assert done.status == 0
    listed = re.findall(r"^  (\w+)  +[A-Z][^.]*\.$", done.out, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_nothing_asked_is_help() -> None:
    """Without a command, and without one of data's, the help is what is printed."""
    assert fxp() == fxp("--help")
    assert fxp("data") == fxp("data", "--help")


def test_version() -> None:
    """The version is the package's."""
    assert fxp("--version") == (0, f"fxpnn {fxpnn.__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["quantize", "--help"], 0),
        (["train", "--help"], 0),
        (["data", "fetch", "--help"], 0),
        (["infer"], 2),
        (["quantize", "a.onnx", "-o", "b.fxp", "--format", "Q9.9"], 2),
    ],
)
def test_help_and_usage_errors_import_nothing_heavy(args: list[str], status: int) -> None:
    """Help, version and usage errors answer before NumPy, Numba, ONNX or rich are imported."""
    done, heavy = imported(*args)
    assert done.status == status
    assert heavy == set()


@pytest.mark.parametrize("example", examples())
def test_examples_parse(example: str) -> None:
    """Every example in a help text is a command line that the parser takes."""
    _, name, *args = shlex.split(example)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    with command.make_context(name, args) as ctx:
        if isinstance(command, click.Group):
            _, subcommand, rest = command.resolve_command(ctx, args)
            assert subcommand is not None
            subcommand.make_context(subcommand.name, rest, parent=ctx)


def test_examples_are_in_the_readme() -> None:
    """Every example in a help text stands in the README too."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert [example for example in examples() if example not in readme] == []


def test_help_names_every_mode() -> None:
    """The help of quantize spells every rounding, overflow mode and method."""
    words = re.split(r"[\s,.]+", fxp("quantize", "--help").out)
    for kind in (fxpnn.Rounding, fxpnn.Overflow, fxpnn.Method):
        assert {member.value for member in kind} <= set(words)


def test_architectures_are_the_known_ones() -> None:
    """The names that the help gives without an import are the architectures there are."""
    assert tuple(ARCHITECTURES) == params.ARCHITECTURES


def test_unknown_command() -> None:
    """A command that is not one is a usage error in one line."""
    names = ", ".join(COMMANDS)
    line = f"fxpnn: error: a command must be one of {names}, not "
    assert fxp("infr") == (2, "", f"{line}'infr'; did you mean infer? (see fxpnn --help)\n")
    assert fxp("xyzzy") == (2, "", f"{line}'xyzzy' (see fxpnn --help)\n")
    done = fxp("data", "fetsh", "mnist")
    line = "a command must be one of fetch, list, path, verify, not 'fetsh'; did you mean fetch?"
    assert (done.status, done.err) == (2, f"fxpnn: error: {line} (see fxpnn data --help)\n")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (fxpnn.FormatError("no"), 2, "error: no"),
        (fxpnn.ModelError("two\nlines\x1b[2J"), 3, r"error: two lines\x1b[2J"),
        (fxpnn.DataError("no"), 3, "error: no"),
        (GateError("loss"), 1, "failed: loss"),
        (
            OSError(28, "No space left on device", "x.fxp"),
            3,
            "error: x.fxp: No space left on device",
        ),
        (OSError("odd"), 3, "error: stdout: cannot be written: odd"),
        (MemoryError(), 3, "error: out of memory"),
        (
            MemoryError("Unable to allocate 9 TiB"),
            3,
            "error: out of memory: Unable to allocate 9 TiB",
        ),
        (KeyboardInterrupt(), 130, "interrupted: nothing was left half-written"),
        (click.UsageError("no"), 2, "error: no (see fxpnn demo --help)"),
    ],
)
def test_errors_are_one_line(
    error: BaseException, status: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends a command ends it with its status and one line on stderr."""

    @click.command("demo")
    def failing() -> None:
        raise error

    monkeypatch.setattr(Commands, "get_command", lambda *_: failing)
    done = fxp("demo")
    assert (done.status, done.out, done.err.lstrip("\n")) == (status, "", f"fxpnn: {line}\n")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no user can cause keeps its traceback."""

    @click.command("demo")
    def failing() -> None:
        raise AssertionError("bug")

    monkeypatch.setattr(Commands, "get_command", lambda *_: failing)
    with pytest.raises(AssertionError, match=r"^bug$"):
        fxp("demo")


def test_text_is_safe_to_print() -> None:
    """Text from files is one line without control characters; paths are always UTF-8."""
    assert one_line("a\tb\n c\x1b[31m\x9b \u202e") == r"a b c\x1b[31m\x9b \u202e"
    assert path_text(os.fsdecode(b"caf\xe9.fxp")) == "caf\N{REPLACEMENT CHARACTER}.fxp"


def test_installed_command_runs() -> None:
    """The installed entry point is this command line, on a stdout of any encoding."""
    done = installed("data", "list", PYTHONIOENCODING="ascii")
    assert done.status == 0
    assert "mnist:calibration" in done.out
    assert done.out.isascii()


@pytest.mark.parametrize("args", [("--help",), ("data", "--help"), ("data", "fetch", "--help")])
def test_help_needs_no_docstrings(args: tuple[str, ...]) -> None:
    """``python -OO``, which drops them, prints the same help, and ``python -m fxpnn`` is it."""
    command = [sys.executable, "-OO", "-m", "fxpnn", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == installed(*args)


@pytest.mark.parametrize(("no_color", "colours"), [("", True), ("1", False)])
def test_colours_on_a_terminal(no_color: str, colours: bool) -> None:
    """A terminal gets colours, unless NO_COLOR asks for none."""
    terminal, stdout = os.openpty()
    command = Path(sys.executable).with_name("fxpnn")
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": no_color}
    subprocess.run([command, "data", "verify"], stdout=stdout, env=environment, check=True)
    os.close(stdout)
    assert (b"\x1b[32mok" in _rest(terminal)) is colours


def test_progress_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar is drawn on stderr where that is a terminal, but not with -q."""
    for is_terminal, quiet in ((False, False), (True, True), (True, False)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda shown=is_terminal: shown)
        with progress("working", 2, quiet) as advance:
            advance(1)
            advance(1, "done")
        captured = capsys.readouterr()
        assert captured.out == ""
        assert ("done" in captured.err) is (is_terminal and not quiet)


def _rest(terminal: int) -> bytes:
    """Read what a terminal still holds; on Linux its end is an error."""
    parts = []
    try:
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    except OSError:
        pass
    os.close(terminal)
    return b"".join(parts)


@pytest.fixture
def library() -> Iterator[logging.Logger]:
    """Give the library's logger, and leave it as it was."""
    logger = logging.getLogger("fxpnn")
    before = logger.level, logger.handlers[:]
    yield logger
    logger.setLevel(before[0])
    logger.handlers[:] = before[1]


def test_what_the_library_logs_is_a_note(
    library: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user who waits for a compiler is told so, on stderr, in one line; --quiet hides it."""
    terminal.show_log()
    library.getChild("kernels").info("compiling for this processor, once: about %d s", 8)
    assert capsys.readouterr() == (
        "",
        "fxpnn: note: compiling for this processor, once: about 8 s\n",
    )
    level = library.level
    with click.Context(main) as ctx:
        terminal.hide_log(ctx)
        library.getChild("kernels").info("compiling")
        library.getChild("kernels").warning("compiling anew")
    assert capsys.readouterr() == ("", "")
    assert library.level == level
    assert fxp("quantize", "missing.onnx", "-o", "a.fxp", "--quiet").status == 3
    assert library.level == level


@pytest.mark.slow
def test_the_first_run_says_that_it_compiles(tmp_path: Path) -> None:
    """One line on stderr, at the first run only; with --quiet none."""
    model = write_models(tmp_path) / "tiny.fxp"
    command = ["infer", str(model), "--data", "mnist", "--limit", "5"]
    said = []
    for folder, quiet in (("a", ()), ("a", ()), ("b", ("-q",))):
        done = installed(*command, *quiet, FXPNN_CACHE_DIR=str(tmp_path / folder))
        assert done.status == 0
        said.append([line for line in done.err.splitlines() if "compil" in line])
    assert said[0] == ["fxpnn: note: compiling for this processor, once: about 6 s"]
    assert said[1:] == [[], []]
