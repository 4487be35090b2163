"""The command line's entry: commands are imported when used, errors end in one line."""

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

import fxpnn
from fxpnn.errors import FormatError, FxpnnError

from .console import signals
from .console.group import Group, helped
from .console.signals import Ended
from .console.terminal import GateError, complain, drained, open_streams, show_log

NAME = "fxpnn"
COMMANDS = (
    *("demo", "quantize", "infer", "explain", "report", "search", "sweep", "inspect"),
    *("trace", "diff", "export", "cosim", "convert", "train", "data", "schema"),
)

GATE_FAILED, USAGE, UNUSABLE, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 130, 141
COMPLETE = "_FXPNN_COMPLETE"
"""The environment variable by which a shell asks for completions, as click names it."""
UNDONE = "nothing was left half-written"


class Commands(Group):
    """A group that imports a command when it is asked for, and ends every failure in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, the most used first."""
        return list(COMMANDS)

    def find(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
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
        status = self._status(sys.argv[1:] if args is None else [*args])
        if (error := drained(sys.stdout)) and status == 0:
            status = _unusable(error)
        drained(sys.stderr)
        sys.exit(status)

    def _status(self, args: list[str]) -> int:
        try:
            return self._run(args)
        except click.exceptions.Exit as done:
            return done.exit_code
        except (click.Abort, KeyboardInterrupt):
            complain("interrupted", UNDONE)
            return INTERRUPTED
        except Ended as ended:
            complain("ended", f"{ended} came; {UNDONE}")
            raise
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
            return _unusable(error)
        except MemoryError as error:
            complain("error", ": ".join(filter(None, ("out of memory", str(error)))))
            return UNUSABLE

    def _run(self, args: list[str]) -> int:
        if asked := os.environ.get(COMPLETE):
            from click.shell_completion import shell_complete

            return shell_complete(self, {}, NAME, COMPLETE, asked)
        with self.make_context(NAME, args) as ctx:
            self.invoke(ctx)
        return 0


def _unusable(error: OSError) -> int:
    """Say what a file or stdout does not do; only what is printed has an error without a name.

    A reader that went away (``| head``) is told nothing.
    """
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    where = error.filename or "stdout: cannot be written"
    complain("error", f"{where}: {error.strerror or error}")
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
@click.version_option(fxpnn.__version__, prog_name=NAME, message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Tell what a neural network computes in fixed point, to the bit, and what that costs.

    Results go to stdout, notes and progress to stderr. The exit status is 0 when all is done, 1
    when a limit that you set was exceeded, 2 for a command line or format that cannot be, 3 for a
    file that cannot be used, 130 after Ctrl-C.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


helped(main)


def run() -> NoReturn:
    """Run the command line of this process, and die by the signal that ends it."""
    open_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they speak to who writes code, not to who runs it
    show_log()
    try:
        signals.heed()
        main.main()
    except Ended as ended:
        signals.die_by(ended.number)
    except KeyboardInterrupt:  # before or behind all that ends in one line
        signals.die_by(signal.SIGINT)
    finally:
        signals.release()
