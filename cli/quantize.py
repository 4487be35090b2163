"""``fxpnn quantize``: turn a float model into the integers that hardware stores."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

import fxpnn

from . import options, params
from .console.terminal import note, print_json, printable

if TYPE_CHECKING:
    from fxpnn.datasets import Data

    from .options import Pixels
    from .sources import DataSource

DEFAULT_CALIBRATION, DEFAULT_SHAPE = "mnist:calibration", (1, 28, 28)


@click.command(
    epilog=options.example(
        "fxpnn quantize mlp.onnx -o mlp.fxp",
        "fxpnn quantize mlp.onnx -o mlp.fxp --word 8 --accumulator '16 wrap'",
        "fxpnn quantize mlp.onnx -o mlp.fxp --formats formats.toml",
    )
)
@click.argument("model", metavar="MODEL.onnx", type=params.FILE)
@click.option(
    "-o",
    "--output",
    type=params.FIXED_MODEL,
    metavar="MODEL.fxp",
    required=True,
    help="Quantized model to write.",
)
@click.option(
    "--calibration",
    metavar="DATA",
    help="Images on which formats are chosen; never take test images.  "
    "[default: mnist:calibration where the network's input is 1 x 28 x 28]",
)
@click.option(
    "--formats",
    type=params.FILE,
    metavar="FILE.toml",
    help="Choices for single layers, which go before the options below.",
)
@options.with_settings
@options.with_pixels
@options.shape
@options.as_json
@options.quiet
def quantize(
    model: Path,
    output: Path,
    calibration: str | None,
    formats: Path | None,
    settings: "fxpnn.Settings",
    pixels: "Pixels",
    shape: tuple[int, ...] | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn a float network into integers.

    MODEL.onnx becomes MODEL.fxp: the integers that the hardware stores and the format of each.
    What is printed says of each layer whether it is proved never to overflow.

    Where MODEL.onnx holds quantizing nodes (QONNX's Quant, or QuantizeLinear), the formats are
    theirs but for those given here, and calibration data are asked for what they leave open only.
    """
    from fxpnn.network.fixed import Provenance
    from fxpnn.quantization.settings import load_plan

    from . import sources

    sources.check_target(output, model, formats, calibration)
    plan = load_plan(formats, settings) if formats else fxpnn.Plan(settings)
    network, completed, source = sources.load_planned(model, plan, pixels, shape)
    if completed != plan and (chosen := _chosen(network, completed)):
        note(f"{model} fixes formats; chosen are those of {', '.join(chosen)}", quiet)
    data, data_source = _calibration(calibration, completed, network, pixels)
    provenance = Provenance(
        source.sha256, data_source.sha256 if data_source else "", fxpnn.__version__
    )
    fixed = fxpnn.quantize(network, data.x if data else None, completed, provenance)
    fxpnn.save(fixed, output)

    from .views import inspection

    found = inspection.inspected(fixed, sources.source_of(output, fixed.name))
    if unproved := [layer.name for layer in found.layers if not layer.proved]:
        note(f"accumulators may overflow in {', '.join(unproved)}", quiet)
    if as_json:
        print_json(found)
    else:
        inspection.print_inspection(found)


def _chosen(network: "fxpnn.Network", plan: "fxpnn.Plan") -> list[str]:
    """Name the tensors and weights whose formats a model leaves open."""
    from fxpnn.network.fixed import raw_weights
    from fxpnn.quantization.quantizer import calibrated

    weighted = (node.name for node in network.nodes if raw_weights(node.layer) is not None)
    weights = [f"{name}.weight" for name in weighted if not plan[name].weights]
    return [printable(name) for name in (*calibrated(network, plan), *weights)]


def _calibration(
    name: str | None, plan: "fxpnn.Plan", network: "fxpnn.Network", pixels: "Pixels"
) -> "tuple[Data | None, DataSource | None]":
    """Load what formats are chosen on; by default MNIST where it fits and is needed."""
    from fxpnn.quantization.quantizer import calibrated

    from . import sources

    if name is None:
        if network.input_shape != DEFAULT_SHAPE or not calibrated(network, plan):
            return None, None
        return sources.load_images(DEFAULT_CALIBRATION, network.input_shape)
    return sources.load_images(name, network.input_shape, pixels=pixels)
