"""``fxpnn infer``: run a quantized model on data, compare it, judge it against limits."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fxpnn.errors import DataError

from . import options, params
from .console.terminal import GateError, note, on_terminal, print_json

if TYPE_CHECKING:
    from .options import Pixels
    from .views.run import RunReport


@click.command(
    epilog=options.example(
        "fxpnn infer mlp.fxp --data mnist",
        "fxpnn infer mlp.fxp --data mnist --reference mlp.onnx --max-loss 0.001 --json",
    )
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@click.option(
    "--data",
    metavar="DATA",
    required=True,
    help="mnist, mnist:calibration, mnist:train, or a path: IDX file or folder, .npy, .npz, "
    "PNG, JPEG, or a folder of them or of one folder per class.",
)
@click.option(
    "--labels",
    type=params.FILE,
    metavar="LABELS.npy",
    help="The classes of data that have none of their own: .npy or IDX.",
)
@click.option(
    "--reference",
    type=params.FILE,
    metavar="MODEL.onnx",
    help="The float network it came from, to compare every layer with.",
)
@click.option(
    "-o",
    "--output",
    type=params.RESULTS,
    metavar="OUT.npz|.csv",
    help="Write raw outputs, predictions and, after a softmax, probabilities.",
)
@click.option(
    "--max-loss",
    type=params.SHARE,
    metavar="P",
    help="Exit with 1 if accuracy falls by more than P, a fraction: 0.001 is 0.1 percent points.",
)
@click.option(
    "--fail-on-overflow",
    is_flag=True,
    help="Exit with 1 if any accumulator overflowed or any output saturated.",
)
@click.option("--show-flips", is_flag=True, help="List the images whose prediction changed.")
@click.option("--limit", type=params.COUNT, metavar="N", help="Run the first N images only.")
@options.with_pixels
@options.threads
@options.as_json
@options.quiet
def infer(
    model: Path,
    data: str,
    labels: Path | None,
    reference: Path | None,
    output: Path | None,
    max_loss: float | None,
    fail_on_overflow: bool,
    show_flips: bool,
    limit: int | None,
    pixels: "Pixels",
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a quantized network and report what it lost.

    MODEL.fxp is run on DATA bit for bit as the hardware would, and all that overflows is counted.
    With --reference, every layer is compared with the float network.
    """
    if reference is None and (max_loss is not None or show_flips):
        wanting = "--show-flips" if max_loss is None else "--max-loss"
        raise click.UsageError(f"{wanting} must have a --reference to compare with")
    from . import sources

    if output is not None:
        sources.check_target(output, model, reference, data, labels)
    fixed, source = sources.load_fixed(model, pixels)
    network = None
    if reference is not None:
        network, original = sources.load_float(reference, fixed.input_shape)
        network = replace(network, scaling=fixed.scaling)  # the same numbers for both
        if fixed.provenance.model not in ("", original.sha256):
            note(f"{model} was quantized from another file than {reference}", quiet)
    images, images_source = sources.load_images(
        data, fixed.input_shape, limit, pixels, labels=labels
    )
    if max_loss is not None and images.y is None:
        raise DataError(f"{data}: must have labels where --max-loss is given")
    from . import comparing, results  # compiles loops
    from .views import run as view

    done, run = comparing.compare_with_progress(
        network, fixed, images, source, images_source, threads, quiet, show_flips
    )
    if max_loss is not None and done.accuracy.loss is None:
        raise DataError(f"{data}: must have labels of {model}'s classes where --max-loss is given")
    if output is not None:
        results.write(output, run, images.y, fixed)
    if as_json:
        print_json(done)
    else:
        view.print_run(done)
    if (overflow := view.overflow_text(done)) and (as_json or not on_terminal()):
        note(overflow, quiet)
    _judge(done, max_loss, fail_on_overflow)


def _judge(run: "RunReport", max_loss: float | None, fail_on_overflow: bool) -> None:
    failures = []
    if max_loss is not None and run.accuracy.loss is not None and run.accuracy.loss > max_loss:
        failures.append(f"accuracy loss {run.accuracy.loss:.6g} is over --max-loss {max_loss:g}")
    overflows = sum(layer.accumulator_overflows for layer in run.layers)
    saturations = sum(layer.saturations for layer in run.layers)
    if fail_on_overflow and overflows + saturations:
        failures.append(
            f"{overflows:,} accumulator overflows and {saturations:,} saturations "
            "with --fail-on-overflow"
        )
    if failures:
        raise GateError("; ".join(failures))
