"""``fxpnn export``: write a quantized model in formats that other tools read."""

from pathlib import Path

import click

import fxpnn

from . import options, params
from .console.terminal import note, print_json


@click.command(
    epilog=options.example(
        "fxpnn export mlp.fxp --to qonnx -o mlp.qonnx.onnx",
        "fxpnn export mlp.fxp --to qdq -o mlp.qdq.onnx",
    )
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@click.option(
    "--to",
    "target",
    type=params.parsed(params.one_of(params.TARGETS)),
    metavar="qonnx|qdq",
    required=True,
    help="QONNX's Quant, as hls4ml and FINN read it, or pairs of QuantizeLinear and "
    "DequantizeLinear, as ONNX Runtime runs them.",
)
@click.option(
    "-o",
    "--output",
    type=params.FLOAT_MODEL,
    metavar="FILE.onnx",
    required=True,
    help="File to write.",
)
@options.as_json
@options.quiet
def export(model: Path, target: str, output: Path, as_json: bool, quiet: bool) -> None:
    """Write a quantized network for other tools.

    MODEL.fxp becomes an ONNX file whose numbers are its integers; fxpnn quantize makes the same
    integers of it again. What the file cannot carry is said. A format or mode that it has no name
    for is refused: qonnx has words of any width, and modes that saturate; qdq has words of 8 and 16
    bits, rounded to nearest even and saturated.
    """
    from . import sources
    from .views.files import Exported

    sources.check_target(output, model)
    fixed, _ = sources.load_fixed(model)
    lost = fxpnn.export(fixed, output, fxpnn.Target(target))
    if lost:
        note(f"{output} does not carry {'; '.join(lost)}", quiet)
    output_source = sources.source_of(output, fixed.name)
    if as_json:
        print_json(Exported(1, output_source.path, output_source.sha256, target, lost))
