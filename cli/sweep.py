"""``fxpnn sweep``: accuracy against the word that all layers share."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

import fxpnn

from . import options, params
from .console.progress import progress
from .console.terminal import note, print_json

if TYPE_CHECKING:
    from .options import Pixels, Shapes


@click.command(
    epilog=options.example(
        "fxpnn sweep mlp.onnx --data mnist",
        "fxpnn sweep mlp.onnx --data mnist --word 3..8 --per-channel --cost weights --workers 2",
    )
)
@click.argument("model", metavar="MODEL.onnx", type=params.FILE)
@options.data()
@options.labels
@click.option(
    "--word",
    "words",
    type=params.WORDS,
    default="4..16",
    metavar="A..B",
    help="The shortest and the longest word of weights and outputs.  [default: 4..16]",
)
@options.cost
@options.calibration
@options.limit
@options.with_settings_but_word
@options.with_pixels
@options.shape
@options.workers
@options.threads
@options.as_json("views.sweep:SweepReport")
@options.quiet
def sweep(
    model: Path,
    data: str,
    labels: Path | None,
    words: tuple[int, ...],
    cost: str,
    calibration: str | None,
    limit: int | None,
    settings: "fxpnn.Settings",
    pixels: "Pixels",
    shape: "Shapes | None",
    workers: int | None,
    scheduler: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show accuracy against word length.

    MODEL.onnx is quantized by each word and run on DATA; a star marks the words that no other beats
    in both cost and accuracy.
    """
    from fxpnn.analysis.judging import target_of
    from fxpnn.analysis.matching import class_count
    from fxpnn.analysis.sweep import sweep as swept
    from fxpnn.quantization.quantizer import observe, quantize

    from . import executors, sources
    from .data_notes import label_note
    from .views import sweep as view

    counted = options.parsed_cost(cost)
    wanted = sources.shape_or_seen(shape, calibration or data)
    network, source = sources.load_float(model, wanted, pixels)
    images, images_source = sources.load_for(network, data, limit, pixels, labels)
    if told := label_note(data, images.y, class_count(network)):
        note(told, quiet)
    chosen_on = sources.load_calibration(calibration, network, pixels)[0].x
    observed = observe(network, chosen_on, moments=options.asks_moments(settings))
    target = target_of(network, quantize(network, observed), images.x, images.y, threads)
    with (
        executors.executor(workers, scheduler) as executor,
        progress(network.name, len(words) * len(images.x), quiet) as advance,
    ):
        points = swept(
            network, observed, settings, words, target, counted, threads, executor, advance
        )
    report = view.SweepReport(1, source, images_source, target.accuracy, cost, points)
    if as_json:
        print_json(report)
    else:
        view.print_sweep(report)
