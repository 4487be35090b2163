"""``fxpnn report``: what a quantized model loses, where and why, as one page to look at."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fxpnn.errors import DataError

from . import options, params
from .console.progress import progress
from .console.terminal import note, print_json

if TYPE_CHECKING:
    from .options import Pixels


@click.command(
    epilog=options.example(
        "fxpnn report mlp.fxp --reference mlp.onnx --data mnist -o mlp.html",
    )
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@options.explained
@click.option(
    "-o",
    "--output",
    type=params.PAGE,
    metavar="REPORT.html",
    required=True,
    help="Page to write; it needs no other file, and opens offline.",
)
@click.option(
    "--points",
    type=params.FILE,
    metavar="POINTS.csv",
    help="What fxpnn search tried, to be drawn too.",
)
@options.with_pixels
@options.threads
@options.as_json("views.report:Written")
@options.quiet
def report(
    model: Path,
    reference: Path,
    data: str,
    labels: Path | None,
    calibration: str | None,
    allow_other_reference: bool,
    limit: int | None,
    output: Path,
    points: Path | None,
    pixels: "Pixels",
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a page that shows what is lost, where, and what would help.

    It has what fxpnn infer and fxpnn explain tell, what values take of the range of their formats,
    confusions, and the images whose prediction changed. It needs pip install 'fxpnn[report]'.
    """
    try:
        from .views import page
    except ImportError as error:
        missing = f"{output}: a report needs {error.name}: pip install 'fxpnn[report]'"
        raise DataError(missing) from None
    from fxpnn import files
    from fxpnn.analysis.full_report import full_report, report_passes
    from fxpnn.analysis.matching import class_count

    from . import sources
    from .data_notes import label_note
    from .explaining import load
    from .views import report as view

    sources.check_target(output, model, reference, data, labels, calibration, points)
    case = load(
        model, reference, data, labels, calibration, allow_other_reference, limit, pixels, quiet
    )
    tried = [] if points is None else sources.load_points(points)
    fixed, images = case.fixed, case.images
    if told := label_note(data, images.y, class_count(fixed)):
        note(told, quiet)
    with progress(model.name, report_passes(fixed) * len(images.x), quiet) as advance:
        found = full_report(
            case.network, fixed, images.x, images.y, case.chosen_on, threads, advance
        )
    document = view.document(found, case.model, case.reference, case.data, case.calibration, tried)
    pictures = {one.flip.index: images.x[one.flip.index] for one in found.flipped}
    content = page.render(document, pictures)
    files.write(output, content)
    done = view.written(document, output, content)
    if as_json:
        print_json(done)
    else:
        view.print_written(done)
