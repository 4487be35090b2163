"""``fxpnn inspect``: what a model holds and what is proved of it, without running it."""

from pathlib import Path

import click

from . import options, params
from .console.terminal import print_json


@click.command(
    epilog=options.example("fxpnn inspect mlp.fxp", "fxpnn inspect mlp.onnx --json"),
)
@click.argument("model", metavar="MODEL.onnx|MODEL.fxp", type=params.FILE)
@options.shape
@options.as_json
def inspect(model: Path, shape: tuple[int, ...] | None, as_json: bool) -> None:
    """Show the layers, formats, memory and proofs of a model.

    Memory counts weights in the word of their format, biases and tables in the narrowest word that
    holds them. The proof holds for every input that the input format can say.
    """
    from . import sources
    from .views import inspection

    found: inspection.FixedModel | inspection.FloatModel
    if sources.is_fixed(model):
        if shape is not None:
            raise click.UsageError("--shape must go with an ONNX model: a .fxp leaves nothing open")
        found = inspection.inspected(*sources.load_fixed(model))
    else:
        found = inspection.inspected(*sources.load_float(model, shape))
    if as_json:
        print_json(found)
    else:
        inspection.print_inspection(found)
