"""``fxpnn trace``: write every layer's raw values of one image, for a device to compare with."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, params
from .console.terminal import note, print_json

if TYPE_CHECKING:
    from .options import Pixels


@click.command(
    epilog=options.example("fxpnn trace mlp.fxp --data mnist --index 7 -o seven"),
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@options.data("The data set or path that holds the image, as fxpnn infer takes it.")
@click.option(
    "--index",
    type=params.INDEX,
    metavar="I",
    default=0,
    help="Which image of it, counted from 0.  [default: 0]",
)
@click.option(
    "-o",
    "--output",
    type=params.FILE,
    metavar="DIR",
    required=True,
    help="Folder to write: new, empty, or an earlier trace, which is replaced.",
)
@options.with_pixels
@options.as_json("views.traces:Traced")
@options.quiet
def trace(
    model: Path,
    data: str,
    index: int,
    output: Path,
    pixels: "Pixels",
    as_json: bool,
    quiet: bool,
) -> None:
    """Write what every layer computes of one image.

    DIR gets the raw words of the input and of each layer of MODEL.fxp, as .npy and as the text that
    Verilog's $readmemh reads (two's complement, as wide as the format, one value a line, the last
    axis fastest), and manifest.json, which says which file is which layer's. fxpnn diff reads the
    same files from a simulation or a board.
    """
    from fxpnn.targets import dump

    from . import sources

    dump.check_target(output)
    fixed, source = sources.load_fixed(model, pixels)
    image, data_source = sources.load_image(data, fixed, index, pixels)
    if fixed.scaling.assumed and image.dtype == "uint8":
        note(f"pixels become numbers as x / 256: {model} was quantized on that assumption", quiet)
    from fxpnn.analysis.tracing import trace as traced  # compiles loops

    from .views import traces

    words = traced(fixed, image)
    manifest = dump.write(output, fixed, words, source.sha256, data_source.sha256, index)
    done = traces.traced(source, data_source, output, manifest)
    if as_json:
        print_json(done)
    else:
        traces.print_traced(done)
