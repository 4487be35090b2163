"""``fxpnn cosim``: run a network as hardware, and compare every bit with the engine."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fxpnn.errors import ToolError

from . import options, params
from .console.terminal import GateError, note, print_json

if TYPE_CHECKING:
    from fxpnn.targets.simulation.cosim import Core


@click.command(
    epilog=options.example(
        "fxpnn cosim mlp.fxp --with c --data mnist --limit 10000",
        "fxpnn cosim mlp.fxp --with verilator --macs 16",
    ),
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@click.option(
    "--with",
    "simulator",
    type=params.one_of(params.SIMULATORS),
    metavar="|".join(params.SIMULATORS),
    required=True,
    help="C, compiled for this machine or for a Cortex-M4 that QEMU simulates; Verilog, simulated "
    "by Verilator or Icarus.",
)
@click.option(
    "--data",
    type=params.DATA,
    metavar="DATA",
    help="Images, as fxpnn infer takes them.  "
    "[default: mnist where the network's input is 1 x 28 x 28, else drawn words]",
)
@click.option(
    "--limit",
    type=params.COUNT,
    metavar="N",
    default=10,
    help="How many images are run, the first ones.  [default: 10]",
)
@click.option(
    "--macs",
    type=params.MACS,
    metavar="N",
    help="Units of the core of Verilog, 1 to 256.  [default: 16]",
)
@click.option("--trim", is_flag=True, help="Make the core for this network only.")
@click.option(
    "--stall",
    type=params.SEED,
    metavar="SEED",
    help="Let the streams of Verilog wait now and then, as this seed says.",
)
@click.option(
    "--keep",
    type=params.FILE,
    metavar="DIR",
    help="Keep sources, logs and programs here, in a new folder.  [default: where a bit differs]",
)
@options.as_json("views.cosimulation:Cosimulated")
@options.quiet
def cosim(
    model: Path,
    simulator: str,
    data: str | None,
    limit: int,
    macs: int | None,
    trim: bool,
    stall: int | None,
    keep: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a network as hardware, and compare every bit with the engine.

    MODEL.fxp is exported, compiled and run; each word that each layer gives, what overflows in it
    and, of Verilog, the cycles that it takes, are compared with what fxpnn says. The exit status is
    1 if anything differs: the layer, the place and both values are told, and the folder is kept,
    where make waves shows a step of Verilog from its start. It is 3 if a tool is missing or fails.
    """
    core = _core(simulator, macs, trim, stall)
    from fxpnn import files

    from . import sources
    from .console.progress import progress

    if keep is not None:
        files.check_folder(keep, ())
    fixed, source = sources.load_fixed(model)
    images, data_source = sources.golden_images(fixed, data, limit)
    if fixed.scaling.assumed and images.dtype == "uint8":
        note(f"pixels become numbers as x / 256: {model} was quantized on that assumption", quiet)
    from fxpnn.targets.identifiers import name_of
    from fxpnn.targets.simulation.cosim import Simulator, cosimulate

    from .views import cosimulation

    with _folder(keep) as place, progress(source.name, len(images), quiet) as advance:
        name = name_of(fixed.name)
        found = cosimulate(fixed, images, simulator, place.path, name, core, advance)
        place.kept = place.kept or found.verdict() is not None
    folder = place.path if place.kept else None
    done = cosimulation.cosimulated(found, Simulator(simulator), core, source, data_source, folder)
    if as_json:
        print_json(done)
    else:
        cosimulation.print_cosimulated(done)
    if done.verdict:
        raise GateError(f"{model}: {done.verdict}; all is in {done.folder}")


def _core(simulator: str, macs: int | None, trim: bool, stall: int | None) -> "Core | None":
    """Choose the core of Verilog, and refuse what is said of it to C."""
    verilog = params.SIMULATORS[2:]
    given = options.given()
    for name in ("macs", "trim", "stall"):
        if name in given and simulator not in verilog:
            raise click.UsageError(
                f"{given[name]} must go with --with {' or '.join(verilog)}, not {simulator}"
            )
    if simulator not in verilog:
        return None
    from fxpnn.targets.simulation.cosim import Core
    from fxpnn.targets.target import DEFAULT_MACS

    return Core(macs or DEFAULT_MACS, trim, stall)


class _Place:
    """A folder, and whether it stays."""

    def __init__(self, keep: Path | None) -> None:
        self.path = keep or Path(tempfile.mkdtemp(prefix="fxpnn-cosim-"))
        self.kept = keep is not None


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[_Place]:
    """Give a folder that goes away unless it is to stay, or a tool failed whose log is in it."""
    place = _Place(keep)
    try:
        yield place
    except ToolError:
        place.kept = True
        raise
    finally:
        if not place.kept:
            shutil.rmtree(place.path, ignore_errors=True)
