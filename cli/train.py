"""Own ``fxpnn train``: a known architecture learns from images and becomes an ONNX model."""

import os
from pathlib import Path

import click

from . import options, params
from .terminal import print_json


@click.command(
    epilog=options.example(
        "fxpnn train lenet5 --data mnist -o lenet5.onnx",
        "fxpnn train mlp-784-100-10 --data mnist -o mlp.onnx --epochs 5 --seed 7",
    )
)
@click.argument("name", metavar="NAME", type=params.ARCHITECTURE)
@click.option(
    "--data",
    metavar="DIR",
    required=True,
    help="Folder of MNIST's IDX files (train-*, and t10k-* to test on), or mnist: what fxpnn data "
    "fetch brought.",
)
@click.option(
    "-o",
    "--output",
    type=params.FILE,
    metavar="MODEL.onnx",
    required=True,
    help="Float model to write.",
)
@click.option("--epochs", type=params.COUNT, metavar="N", help="Passes over the images.")
@click.option("--batch", type=params.COUNT, metavar="N", help="Images for each step.")
@click.option("--rate", type=params.RATE, metavar="R", help="Learning rate of the first step.")
@click.option(
    "--seed", type=params.SEED, default=1, metavar="N", help="Start of all chance.  [default: 1]"
)
@options.as_json
@options.quiet
def train(
    name: str,
    data: str,
    output: Path,
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
    # Before numpy loads: a batch's products are too small to share, and threads of BLAS that wait
    # for a busy core cost ten times the work; how many there are would also show in the bits.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from . import lessons, sources

    sources.check_target(output)
    lesson = lessons.plan(name, epochs, batch, rate, seed)
    result = lessons.teach(lesson, data, output, quiet)
    if as_json:
        print_json(result)
    else:
        lessons.print_result(result)
