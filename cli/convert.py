"""``fxpnn convert``: turn parameters that a framework saved into an ONNX model."""

from pathlib import Path

import click

import fxpnn
from fxpnn.errors import FormatError

from . import options, params
from .console.terminal import print_json


def _pair(text: str) -> tuple[str, str]:
    theirs, equals, ours = text.rpartition("=")
    if not (theirs and equals and ours):
        raise FormatError(f"must be theirs=ours, as fc1=hidden, not {text!r}")
    return theirs, ours


@click.command(
    epilog=options.example(
        "fxpnn convert lenet5-relu lenet.safetensors -o lenet.onnx --scale 1/255",
        "fxpnn convert mlp-784-100-10 mlp.npz -o mine.onnx --map fc1=hidden --map fc2=output",
    )
)
@click.argument("name", metavar="NAME", type=params.one_of(params.ARCHITECTURES))
@click.argument("state", metavar="STATE", type=params.FILE)
@click.option(
    "-o",
    "--output",
    type=params.FLOAT_MODEL,
    metavar="MODEL.onnx",
    required=True,
    help="Model to write.",
)
@click.option(
    "--map",
    "pairs",
    type=params.Parsed(_pair),
    metavar="THEIRS=OURS",
    multiple=True,
    help="Which parameter of STATE is which of the architecture, as fc1.weight=hidden.weight, or "
    "which layer, as fc1=hidden; may be repeated.  [default: guessed by shapes]",
)
@options.with_pixels
@options.as_json("views.files:Converted")
def convert(
    name: str,
    state: Path,
    output: Path,
    pairs: tuple[tuple[str, str], ...],
    pixels: options.Pixels,
    as_json: bool,
) -> None:
    """Make an ONNX model of saved parameters.

    STATE is a safetensors file or an .npz of a network built as NAME, which is mlp-784-100-10,
    lenet5 or lenet5-relu. Every parameter must fit and have its place. What became what is printed.

    PyTorch's own files are pickles, which could run anything and are refused; write safetensors
    by safetensors.torch.save_file(model.state_dict(), path).
    """
    from fxpnn.zoo import conversion
    from fxpnn.zoo.state_dict import load_state

    from . import sources
    from .views import files

    sources.check_target(output, state)
    made = conversion.convert(name, load_state(state), dict(pairs))
    network = sources.scaled(made.network, pixels)
    fxpnn.save_onnx(network, output)
    done = files.converted(sources.source_of(output, network.name), made.origins)
    if as_json:
        print_json(done)
    else:
        files.print_converted(done)
