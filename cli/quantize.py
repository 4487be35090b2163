"""``fxpnn quantize``: turn a float model into the integers that hardware stores."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

import fxpnn
from fxpnn.errors import one_line

from . import options, params
from .console.terminal import GateError, note, on_terminal, print_json

if TYPE_CHECKING:
    from fxpnn.datasets import Data

    from .options import Pixels, Shapes
    from .sources import DataSource

ASSUMED = "x / 256 is assumed, --scale, --mean and --std say otherwise"


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
    type=params.DATA,
    metavar="DATA",
    help="Images on which formats are chosen, without need of labels; never take test images.  "
    "[default: mnist:calibration where the network's input is 1 x 28 x 28]",
)
@click.option(
    "--formats",
    type=params.FILE,
    metavar="FILE.toml",
    help="Choices for single layers, which go before the options below.",
)
@options.with_settings
@click.option(
    "--fail-on-overflow",
    is_flag=True,
    help="Exit with 1 if weights or constants are clipped, or all weights of a channel vanish.",
)
@options.with_pixels
@options.shape
@options.as_json("views.inspection:FixedModel")
@options.quiet
def quantize(
    model: Path,
    output: Path,
    calibration: str | None,
    formats: Path | None,
    settings: "fxpnn.Settings",
    pixels: "Pixels",
    shape: "Shapes | None",
    fail_on_overflow: bool,
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
    from fxpnn.quantization.choices import asks
    from fxpnn.quantization.formats_file import load_plan
    from fxpnn.quantization.quantizer import propose
    from fxpnn.quantization.settings import ALL

    from . import sources
    from .data_notes import label_note, test_set_note

    sources.check_target(output, model, formats, calibration)
    stated = options.stated_settings()
    plan = fxpnn.Plan(settings, keys={ALL: stated})
    if formats:
        plan = load_plan(formats, settings, stated)
    wanted = sources.shape_or_seen(shape, calibration)
    network, completed, _ = sources.load_planned(model, plan, pixels, wanted)
    if completed != plan and (chosen := _chosen(network, completed)):
        note(f"{model} fixes formats; chosen are those of {', '.join(chosen)}", quiet)
    data, data_source = _calibration(calibration, completed, network, pixels)
    if calibration and data and not asks(network, completed, data.x.dtype != "uint8"):
        note(f"no format is chosen on {calibration}: all are given or proved", quiet)
    pixels_matter = (
        data.x.dtype == "uint8"
        if data
        else any(completed[it.name].output is None for it in network.inputs)
    )
    if network.scaling.assumed and pixels_matter:
        note(f"{model} does not say how pixels become numbers: {ASSUMED}", quiet)
    provenance = Provenance(
        network.sha256, data_source.sha256 if data_source else "", fxpnn.__version__
    )
    fixed, notes = propose(network, data.x if data else None, completed, provenance)
    fxpnn.save(fixed, output)

    from fxpnn.analysis.losses import parameter_losses
    from fxpnn.analysis.matching import class_count

    from .views import inspection

    found = inspection.inspected(fixed, sources.source_of(output, fixed.name))
    if data is not None and calibration is not None:
        told = label_note(calibration, data.y, class_count(fixed))
        notes = (*notes, *filter(None, (test_set_note(calibration, data), told)))
    for text in notes:
        note(text, quiet)
    if unproved := [layer.name for layer in found.layers if not layer.proved]:
        note(f"accumulators may overflow in {', '.join(unproved)}", quiet)
    lost = [*parameter_losses(found.layers)]
    if as_json or not on_terminal():
        for loss in lost:
            note(loss, quiet)
    if as_json:
        print_json(found)
    else:
        inspection.print_inspection(found)
    if lost and fail_on_overflow:
        raise GateError(f"{'; '.join(lost)} with --fail-on-overflow")


def _chosen(network: "fxpnn.Network", plan: "fxpnn.Plan") -> list[str]:
    """Name the tensors and weights whose formats a model leaves open."""
    from fxpnn.network.fixed import raw_weights
    from fxpnn.quantization.choices import calibrated, entered

    network = entered(network, False, plan)
    weighted = (node.name for node in network.nodes if raw_weights(node.layer) is not None)
    weights = [f"{name}.weight" for name in weighted if not plan[name].weights]
    return [one_line(name) for name in (*calibrated(network, plan), *weights)]


def _calibration(
    name: str | None, plan: "fxpnn.Plan", network: "fxpnn.Network", pixels: "Pixels"
) -> "tuple[Data | None, DataSource | None]":
    """Load what formats are chosen on; by default MNIST where it fits and is needed."""
    from fxpnn.quantization.choices import asks

    from . import sources

    fits = network.image_shape == sources.DEFAULT_SHAPE
    if name is None and not (fits and asks(network, plan)):
        return None, None
    return sources.load_calibration(name, network, pixels)
