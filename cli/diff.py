"""``fxpnn diff``: compare the words of a simulation or a board with a model's, layer by layer."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fxpnn.errors import DataError

from . import options, params
from .console.terminal import GateError, note, print_json

if TYPE_CHECKING:
    from .options import Pixels


@click.command(
    epilog=options.example(
        "fxpnn diff mlp.fxp seven",
        "fxpnn diff mlp.fxp seven --data mnist --index 7 --json",
    ),
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@click.argument("folder", metavar="DIR", type=params.FILE)
@click.option(
    "--data",
    type=params.DATA,
    metavar="DATA",
    help="The data that hold the image, to judge the input too; without them its words in DIR are "
    "taken to be right.",
)
@click.option(
    "--index",
    type=params.INDEX,
    metavar="I",
    help="Which image of DATA, counted from 0.  [default: the manifest's, else 0]",
)
@options.with_pixels
@options.as_json("views.differences:Difference")
@options.quiet
def diff(
    model: Path,
    folder: Path,
    data: str | None,
    index: int | None,
    pixels: "Pixels",
    as_json: bool,
    quiet: bool,
) -> None:
    """Name the first layer and value in which a device differs.

    DIR holds what a simulation or a board computed of one image, in files named as those of fxpnn
    trace, .hex or .npy; layers may be missing. Each layer is compared with what MODEL.fxp computes,
    and with what it makes of the words in DIR for its inputs, so that one wrong layer does not hide
    the next. The exit status is 1 if a layer differs.
    """
    if data is None and (index is not None or pixels.given()):
        wanting = "--index" if index is not None else "--scale, --mean and --std"
        raise click.UsageError(f"{wanting} must stand with --data")
    from fxpnn.targets import dump

    from . import sources

    fixed, source = sources.load_fixed(model, pixels)
    found = dump.read(folder, fixed)
    manifest, image, of_data = found.manifest, None, None
    if data is not None:
        if index is None:
            index = manifest.index if manifest else 0
        image, of_data = sources.load_image(data, fixed, index, pixels)
        if manifest and manifest.data not in ("", of_data.sha256):
            note(f"{folder} was traced on other data than {data}", quiet)
    if manifest and manifest.model not in ("", source.sha256):
        note(f"{folder} was traced with another file than {model}", quiet)
    from fxpnn.analysis.divergence import diff as compared  # compiles loops

    from .views import differences

    try:
        divergence = compared(fixed, found.words, image)
    except DataError as error:
        raise DataError(f"{folder}: {error}; the input may be given by --data") from None
    done = differences.difference(divergence, source, of_data, index, folder, found)
    if as_json:
        print_json(done)
    else:
        differences.print_difference(done)
    if told := differences.verdict(done):
        raise GateError(f"{folder}: {told}")
