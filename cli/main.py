"""The command line's entry: commands are imported when used, errors end in one line."""

import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

import fxpnn
from fxpnn.errors import FormatError, FxpnnError

from .console.terminal import GateError, complain, show_log

COMMANDS = ("demo", "quantize", "infer", "inspect", "export", "convert", "train", "data")

GATE_FAILED, USAGE, UNUSABLE, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 130, 141


class Commands(click.Group):
    """A group that imports a command when it is asked for, and ends every failure in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that holds a command."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f".{cmd_name}", __package__), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run a command line and exit with its status."""
        # Before numpy loads: images go to threads of ours already, threads of BLAS that wait for a
        # busy core cost ten times the work, and how many there are would show in training's bits.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # it may lack letters of a file's name
        extra |= {"prog_name": "fxpnn", "standalone_mode": False}
        sys.exit(self._status(args, extra))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away (``| head``) ends it without a word."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)

    def _status(self, args: Sequence[str] | None, extra: dict[str, Any]) -> int:
        try:
            return int(super().main(args, **extra) or 0)
        except (click.Abort, KeyboardInterrupt):
            complain("interrupted", "nothing was left half-written")
            return INTERRUPTED
        except GateError as error:
            complain("failed", error)
            return GATE_FAILED
        except click.ClickException as error:
            complain("error", _usage(error))
            return USAGE
        except FxpnnError as error:
            complain("error", error)
            return USAGE if isinstance(error, FormatError) else UNUSABLE
        except OSError as error:
            complain("error", f"{error.filename}: {error.strerror}" if error.filename else error)
            return UNUSABLE
        except MemoryError as error:
            complain("error", ": ".join(filter(None, ("out of memory", str(error)))))
            return UNUSABLE


def _usage(error: click.ClickException) -> str:
    """Say what is wrong with the command line, and which help to ask."""
    message = error.format_message().rstrip(".")
    if type(error) is click.BadParameter and error.param and error.ctx:
        names = error.param.get_error_hint(error.ctx).replace("'", "")
        message = f"{names}: {error.message}"
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} (see {ctx.command_path if ctx else 'fxpnn'} --help)"


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(fxpnn.__version__, prog_name="fxpnn", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Tell what a neural network computes in fixed point, to the bit, and what that costs.

    Results go to stdout, notes and progress to stderr. The exit status is 0 when all is done, 1
    when a limit that you set was exceeded, 2 for a command line or format that cannot be, 3 for a
    file that cannot be used, 130 after Ctrl-C.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run() -> NoReturn:
    """Run the command line of this process."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they speak to who writes code, not to who runs it
    show_log()
    main.main()
