"""Own ``fxpnn inspect``: what a model holds and what is proved of it, without running it."""

from pathlib import Path

import click

from . import options, params
from .terminal import print_json


@click.command(
    epilog=options.example("fxpnn inspect mlp.fxp", "fxpnn inspect mlp.onnx --json"),
)
@click.argument("model", metavar="MODEL.onnx|MODEL.fxp", type=params.FILE)
@options.as_json
def inspect(model: Path, as_json: bool) -> None:
    """Show the layers, formats, memory and proofs of a model.

    Memory counts weights in the word of their format, biases and tables in the narrowest word that
    holds them. The proof holds for every input that the input format can say.
    """
    from . import anatomy, blueprint, sources

    found: anatomy.FixedAnatomy | anatomy.FloatAnatomy
    if sources.is_fixed(model):
        found = anatomy.of_fixed(*sources.load_fixed(model))
    else:
        found = anatomy.of_float(*sources.load_float(model))
    if as_json:
        print_json(found)
    else:
        blueprint.print_anatomy(found)
