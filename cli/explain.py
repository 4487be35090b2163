"""``fxpnn explain``: which layer loses accuracy, which part of it, and what would help."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, params
from .console.progress import progress
from .console.terminal import GateError, note, print_json

if TYPE_CHECKING:
    from .options import Pixels


@click.command(
    epilog=options.example(
        "fxpnn explain mlp.fxp --reference mlp.onnx --data mnist --calibration mnist:calibration",
        "fxpnn explain mlp.fxp --reference mlp.onnx --data mnist --max-loss 0.001 "
        "--fix -o better.toml",
    )
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@options.explained
@click.option(
    "--max-loss",
    type=params.SHARE,
    metavar="P",
    help="Exit with 1 if accuracy falls by more than P, a fraction.",
)
@click.option(
    "--fix",
    is_flag=True,
    help="Apply proposals until accuracy falls by no more than --max-loss, and write the formats.",
)
@click.option(
    "-o",
    "--output",
    type=params.FORMATS,
    metavar="FORMATS.toml",
    help="Where --fix writes what fxpnn quantize --formats reads.",
)
@options.with_pixels
@options.workers
@options.threads
@options.as_json("views.explanation:ExplainReport")
@options.quiet
def explain(
    model: Path,
    reference: Path,
    data: str,
    labels: Path | None,
    calibration: str | None,
    max_loss: float | None,
    allow_other_reference: bool,
    fix: bool,
    output: Path | None,
    limit: int | None,
    pixels: "Pixels",
    workers: int | None,
    scheduler: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say where accuracy is lost, and what would help.

    Each layer of MODEL.fxp, and each part of it (weights, output, accumulator), is repaired alone,
    by 16-bit words and formats chosen anew: what that buys ranks the layers. Changes of the first
    one are run too, each with its cost in bits.
    """
    if fix != (output is not None) or (fix and max_loss is None):
        raise click.UsageError("--fix must stand with --max-loss and -o, and -o with --fix")
    from fxpnn import files
    from fxpnn.analysis import attribution
    from fxpnn.analysis.matching import class_count
    from fxpnn.quantization.formats_file import formats_toml

    from . import executors, sources
    from .data_notes import check_labels, label_note
    from .explaining import load
    from .views import explanation as view

    if output is not None:
        sources.check_target(output, model, reference, data, labels, calibration)
    case = load(
        model, reference, data, labels, calibration, allow_other_reference, limit, pixels, quiet
    )
    network, fixed, images, chosen_on = case[:4]
    if max_loss is not None:
        check_labels(data, images.y, class_count(fixed), model)
    elif line := label_note(data, images.y, class_count(fixed)):
        note(line, quiet)
    passes = attribution.passes(fixed) * (1 + fix)
    with (
        executors.executor(workers, scheduler) as executor,
        progress(model.name, passes * len(images.x), quiet) as advance,
    ):
        done = None
        if fix and max_loss is not None and images.y is not None:
            done = attribution.repair(
                network, fixed, images.x, images.y, max_loss, chosen_on, threads, executor, advance
            )
            found = done.explanation
        else:
            found = attribution.explain(
                network, fixed, images.x, images.y, chosen_on, threads, executor, advance
            )
    if done is not None and output is not None:
        files.write(output, formats_toml(done.fixed, network).encode())
    told = view.explain_report(found, case.model, case.data, done, output)
    if as_json:
        print_json(told)
    else:
        view.print_explanation(told)
    loss = told.accuracy.loss if told.fixed is None else told.fixed.loss
    if max_loss is not None and loss is not None and loss > max_loss:
        raise GateError(f"accuracy loss {loss:.6g} is over --max-loss {max_loss:g}")
