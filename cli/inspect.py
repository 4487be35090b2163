"""``fxpnn inspect``: what a model holds, is proved of and costs, without running it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, params
from .console.terminal import print_json

if TYPE_CHECKING:
    from .options import Shapes

CLOCK_MHZ = 100.0


@click.command(
    epilog=options.example(
        "fxpnn inspect mlp.fxp",
        "fxpnn inspect mlp.onnx --json",
        "fxpnn inspect mlp.fxp --hardware --macs 16",
        "fxpnn inspect mlp.fxp --hardware --macs 1,2,4,8,16 --clock-mhz 50",
    ),
)
@click.argument("model", metavar="MODEL.onnx|MODEL.fxp", type=params.FILE)
@options.shape
@click.option(
    "--hardware",
    is_flag=True,
    help="Show what MODEL.fxp costs as Verilog and as C: cycles, memory, energy.",
)
@click.option(
    "--macs",
    type=params.MACS_LIST,
    metavar="N[,N...]",
    help="Units of the core, 1 to 256; several are compared.  [default: 16]",
)
@click.option(
    "--clock-mhz", type=params.RATE, metavar="F", help="The core's clock in MHz.  [default: 100]"
)
@click.option(
    "--energy",
    type=params.FILE,
    metavar="FILE.toml",
    help="What an add, a multiply and a read cost.  [default: an estimate for 45 nm]",
)
@options.as_json(
    "views.inspection:FloatModel", "views.inspection:FixedModel", "views.hardware:HardwareModel"
)
def inspect(
    model: Path,
    shape: "Shapes | None",
    hardware: bool,
    macs: tuple[int, ...] | None,
    clock_mhz: float | None,
    energy: Path | None,
    as_json: bool,
) -> None:
    """Show the layers, formats, proofs and cost of a model.

    Memory counts weights in the word of their format, biases and tables in the narrowest word that
    holds them. The proof holds for every input that the input format can say.

    With --hardware: the cycles that fxpnn export --to verilog will take, to the cycle, and how well
    they use the units; the bits of its memories; the energy of arithmetic and memory; and the bytes
    of --to c.
    """
    from . import sources

    if hardware:
        from .views import hardware as costs

        if shape is not None:
            raise click.UsageError("--shape must go with an ONNX model, not --hardware")
        cost = costs.costed(*sources.load_fixed(model), macs, clock_mhz or CLOCK_MHZ, energy)
        if as_json:
            print_json(cost)
        else:
            costs.print_costs(cost)
        return
    for name in ("macs", "clock_mhz", "energy"):
        if name in options.given():
            raise click.UsageError(f"{options.given()[name]} must go with --hardware")
    from .views import inspection

    found: inspection.FixedModel | inspection.FloatModel
    if sources.is_fixed(model):
        if shape is not None:
            raise click.UsageError("--shape must go with an ONNX model: a .fxp leaves nothing open")
        found = inspection.inspected(*sources.load_fixed(model))
    else:
        found = inspection.inspected(*sources.load_float(model, sources.shape_or_seen(shape, None)))
    if as_json:
        print_json(found)
    else:
        inspection.print_inspection(found)
