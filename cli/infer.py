"""``fxpnn infer``: run a quantized model on data, compare it, judge it against limits."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, params
from .console.terminal import GateError, note, on_terminal, print_json

if TYPE_CHECKING:
    from fxpnn.datasets import Data
    from fxpnn.network.fixed import FixedNetwork

    from .options import Pixels
    from .sources import DataSource
    from .views.run import RunReport


@click.command(
    epilog=options.example(
        "fxpnn infer mlp.fxp --data mnist",
        "fxpnn infer mlp.fxp --data mnist --reference mlp.onnx --max-loss 0.001 --json",
    )
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@options.data(
    "mnist, mnist:calibration, mnist:train, or a path: IDX file or folder, .npy, .npz, "
    "PNG, JPEG, or a folder of them or of one folder per class."
)
@options.labels
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
    "--allow-other-reference",
    is_flag=True,
    help="Let --max-loss judge by a reference that is not the file MODEL.fxp came from.",
)
@click.option(
    "--fail-on-overflow",
    is_flag=True,
    help="Exit with 1 if any accumulator overflowed or any output saturated, or if weights were "
    "clipped or vanished when the model was built.",
)
@click.option("--show-flips", is_flag=True, help="List the images whose prediction changed.")
@options.limit
@options.with_pixels
@options.workers
@options.threads
@options.as_json("views.run:RunReport")
@options.quiet
def infer(
    model: Path,
    data: str,
    labels: Path | None,
    reference: Path | None,
    output: Path | None,
    max_loss: float | None,
    allow_other_reference: bool,
    fail_on_overflow: bool,
    show_flips: bool,
    limit: int | None,
    pixels: "Pixels",
    workers: int | None,
    scheduler: str | None,
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
    if allow_other_reference and max_loss is None:
        raise click.UsageError("--allow-other-reference must have a --max-loss to judge")
    from . import sources
    from .data_notes import check_labels, label_note

    if output is not None:
        sources.check_target(output, model, reference, data, labels)
    fixed, source = sources.load_fixed(model, pixels)
    network = None
    if reference is not None:
        network, _ = sources.load_float(reference, sources.shapes_of(fixed))
        network = network.with_scaling(fixed.scaling)  # the same numbers for both
    images, images_source = sources.load_for(fixed, data, limit, pixels, labels)
    _tell_data(model, fixed, images, images_source, quiet)
    from fxpnn.analysis import tables
    from fxpnn.analysis.matching import class_count
    from fxpnn.engine.inference import prepared

    from . import comparing, executors, results
    from .views import run as view

    if max_loss is not None:
        check_labels(data, images.y, class_count(fixed), model)
    elif told := label_note(data, images.y, class_count(fixed)):
        note(told, quiet)
    with executors.executor(workers, scheduler) as executor:
        done, run = comparing.compare_with_progress(
            network, fixed, images, source, images_source, threads, quiet, show_flips, executor
        )
    if output is not None:
        run = run or prepared(fixed).run(images.x, threads)
        results.write(output, run, images.y, fixed)
    if as_json:
        print_json(done)
    else:
        view.print_run(done)
    if as_json or not on_terminal():
        for finding in tables.findings(done.report):
            note(finding, quiet)
    failures = []
    if done.reference_matches is False:
        other = f"{model} was quantized from another file than {reference}"
        if max_loss is None or allow_other_reference:
            note(other, quiet)
        else:
            failures.append(f"{other}; --allow-other-reference judges by it all the same")
    if failures := [*failures, *_exceeded(done, max_loss, fail_on_overflow)]:
        raise GateError("; ".join(failures))


def _tell_data(
    model: Path, fixed: "FixedNetwork", images: "Data", source: "DataSource", quiet: bool
) -> None:
    """Note how pixels become numbers where that is assumed, and formats chosen on these images."""
    if fixed.scaling.assumed and images.x.dtype == "uint8":
        note(f"pixels become numbers as x / 256: {model} was quantized on that assumption", quiet)
    if images.y is not None and fixed.provenance.calibration == source.sha256:
        note(
            f"the formats of {model} were chosen on these very images: others may lose more", quiet
        )


def _exceeded(run: "RunReport", max_loss: float | None, fail_on_overflow: bool) -> list[str]:
    """Say which limits were exceeded."""
    from fxpnn.analysis.losses import parameter_losses

    failures = []
    if max_loss is not None and run.accuracy.loss is not None and run.accuracy.loss > max_loss:
        failures.append(f"accuracy loss {run.accuracy.loss:.6g} is over --max-loss {max_loss:g}")
    overflows = sum(layer.accumulator_overflows for layer in run.layers)
    saturations = sum(layer.saturations for layer in run.layers)
    found = [*parameter_losses(run.layers)]
    if overflows + saturations:
        found.append(f"{overflows:,} accumulator overflows and {saturations:,} saturations")
    if fail_on_overflow and found:
        failures.append(f"{'; '.join(found)} with --fail-on-overflow")
    return failures
