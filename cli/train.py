"""``fxpnn train``: train a known architecture on images and write it as an ONNX model."""

from pathlib import Path

import click

from . import options, params
from .console.terminal import print_json

TRACED = ("name", "trace", "rate", "as_json", "quiet")
"""What may stand with --trace."""


def _known(ctx: click.Context, param: click.Parameter, name: str) -> str:
    """Judge NAME by --trace, which is read before it."""
    names = params.EXAMPLES if ctx.params["trace"] else params.ARCHITECTURES
    if name not in names:
        raise click.BadParameter(f"must be one of {', '.join(names)}, not {name!r}")
    return name


@click.command(
    epilog=options.example(
        "fxpnn train lenet5 --data mnist -o lenet5.onnx",
        "fxpnn train mlp-784-100-10 --data mnist -o mine.onnx --epochs 5 --seed 7",
        "fxpnn train 2-3-1 --trace",
    )
)
@click.argument(
    "name",
    metavar="NAME",
    type=params.Parsed(str, (*params.ARCHITECTURES, *params.EXAMPLES)),
    callback=_known,
)
@click.option(
    "--trace",
    is_flag=True,
    is_eager=True,
    help="Print one step of training of a textbook network instead: every z, a, delta, gradient "
    "and new weight. NAME is then 2-3-1 or 2-4-1-2.",
)
@click.option(
    "--data",
    type=params.DATA,
    metavar="DATA",
    help="mnist (what fxpnn data fetch brought), a folder of MNIST's IDX files (train-*, and "
    "t10k-* to test on) or of folders train and test, Keras's mnist.npz, or other data as fxpnn "
    "infer takes them.",
)
@options.labels
@click.option(
    "-o",
    "--output",
    type=params.FLOAT_MODEL,
    metavar="MODEL.onnx",
    help="Float model to write.",
)
@click.option("--epochs", type=params.COUNT, metavar="N", help="Passes over the images.")
@click.option("--batch", type=params.COUNT, metavar="N", help="Images for each step.")
@click.option("--rate", type=params.RATE, metavar="R", help="Learning rate of the first step.")
@click.option(
    "--seed", type=params.SEED, default=1, metavar="N", help="Start of all chance.  [default: 1]"
)
@options.as_json("training:Result", "training_step:Step")
@options.quiet
def train(
    name: str,
    trace: bool,
    data: str | None,
    labels: Path | None,
    output: Path | None,
    epochs: int | None,
    batch: int | None,
    rate: float | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a known architecture on MNIST.

    NAME is mlp-784-100-10, lenet5 or lenet5-relu. What is not given is the recipe of its own. The
    same seed gives the same bits on the same machine. The model is written when training is done:
    Ctrl-C leaves nothing behind.
    """
    if trace:
        _trace(name, rate, as_json)
        return
    if data is None or output is None:
        raise click.UsageError(f"{'--data' if data is None else '--output'} must be given")
    from . import sources
    from . import training as lessons

    sources.check_target(output)
    lesson = lessons.plan(name, epochs, batch, rate, seed)
    result = lessons.teach(lesson, data, labels, output, quiet)
    if as_json:
        print_json(result)
    else:
        lessons.print_result(result)


def _trace(name: str, rate: float | None, as_json: bool) -> None:
    for option, spelled in options.given().items():
        if option not in TRACED:
            raise click.UsageError(f"{spelled} must stand without --trace")
    from . import training_step  # compiles loops

    training_step.show(name, rate, as_json)
