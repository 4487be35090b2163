"""``fxpnn train``: train a known architecture on images and write it as an ONNX model."""

from pathlib import Path
from typing import Any

import click

from . import options, params
from .console.terminal import print_json

QAT = ("weight_word", "output_word", "last", "per_channel", "accumulator", "formats")
"""What stands with --qat alone."""

RESUMED = ("checkpoint", "resume")
"""What stands with --qat or --fixed."""

FIXED = ("rounding", "random_bits")
"""What stands with --fixed alone."""

TRACED = ("name", "trace", "rate", "as_json", "quiet")
"""What may stand with --trace."""


def _known(ctx: click.Context, param: click.Parameter, name: str) -> str:
    """Judge NAME by --trace and --qat, which are read before it."""
    if ctx.params["qat"] and name not in params.ARCHITECTURES:
        if name.endswith((".onnx", ".fxp")):
            return name
        known = ", ".join(params.ARCHITECTURES)
        raise click.BadParameter(f"must be one of {known}, or a file MODEL.onnx, not {name!r}")
    names = params.EXAMPLES if ctx.params["trace"] else params.ARCHITECTURES
    if name not in names:
        raise click.BadParameter(f"must be one of {', '.join(names)}, not {name!r}")
    return name


@click.command(
    epilog=options.example(
        "fxpnn train lenet5 --data mnist -o lenet5.onnx",
        "fxpnn train mlp-784-100-10 --data mnist -o mine.onnx --epochs 5 --seed 7",
        "fxpnn train mlp.onnx --data mnist -o mlp4.fxp --qat --weight-word 4 --output-word 4",
        "fxpnn train mlp-784-100-10 --data mnist -o mlp16.fxp --fixed training.toml",
        "fxpnn train 2-3-1 --trace",
    )
)
@click.argument(
    "name",
    metavar="NAME",
    type=params.Parsed(str, (*params.ARCHITECTURES, *params.EXAMPLES), files=True),
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
    "--qat",
    is_flag=True,
    is_eager=True,
    help="Train for short words: the forward pass is that of the integers. NAME may be a "
    "MODEL.onnx then, from whose weights training begins; -o names a .fxp.",
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
    type=params.MODEL,
    metavar="MODEL",
    help="Model to write: a float one, .onnx, or with --qat a .fxp, and beside it the .onnx of the "
    "floats that its integers mean.",
)
@click.option("--epochs", type=params.COUNT, metavar="N", help="Passes over the images.")
@click.option("--batch", type=params.COUNT, metavar="N", help="Images for each step.")
@click.option("--rate", type=params.RATE, metavar="R", help="Learning rate of the first step.")
@click.option(
    "--seed", type=params.SEED, default=1, metavar="N", help="Start of all chance.  [default: 1]"
)
@click.option(
    "--weight-word",
    type=params.WORD,
    metavar="BITS",
    help="Word of weights; 2 bits are -1, 0 and 1.  [default: 4]",
)
@click.option(
    "--output-word", type=params.WORD, metavar="BITS", help="Word of layers' outputs.  [default: 4]"
)
@click.option("--last", type=params.WORD, metavar="BITS", help="Word of the logits.  [default: 8]")
@click.option(
    "--per-channel", is_flag=True, help="Give each output channel's weights their own fraction."
)
@click.option(
    "--accumulator",
    type=params.ACCUMULATOR,
    metavar="BITS",
    help="Register that sums products, as 16: weights are kept so small that no image can overflow "
    "it.  [default: 48 saturate]",
)
@click.option(
    "--formats",
    type=params.FILE,
    metavar="FILE.toml",
    help="Choices for single layers, which go before these options; the input keeps 8 bits unless "
    "they say otherwise.",
)
@click.option(
    "--fixed",
    type=params.FORMATS,
    metavar="FORMATS.toml",
    help="Train in fixed point: every tensor is integers of the format that the file gives it; "
    "-o names a .fxp.",
)
@click.option(
    "--rounding",
    type=params.LEARNING_ROUNDING,
    metavar="MODE",
    help="Of every cast in training with --fixed: stochastic or a mode of fxpnn quantize.  "
    "[default: stochastic]",
)
@click.option(
    "--random-bits",
    type=params.RANDOM_BITS,
    metavar="BITS",
    help="Random bits of each value that is rounded stochastically, 0 to 24.  [default: 16]",
)
@click.option(
    "--checkpoint",
    type=params.CHECKPOINT,
    metavar="FILE.safetensors",
    help="Write a file from which training can go on, after each epoch and when interrupted.",
)
@click.option(
    "--resume",
    type=params.FILE,
    metavar="FILE.safetensors",
    help="Go on from a checkpoint of the same training; the bits are those of one run.",
)
@options.as_json("training:Result", "training_step:Step", "qat:QatResult", "fixed:FixedResult")
@options.quiet
def train(
    name: str,
    trace: bool,
    qat: bool,
    data: str | None,
    labels: Path | None,
    output: Path | None,
    epochs: int | None,
    batch: int | None,
    rate: float | None,
    seed: int,
    as_json: bool,
    quiet: bool,
    fixed: Path | None,
    rounding: str | None,
    random_bits: int | None,
    **words: Any,
) -> None:
    """Train a network: in floats, for short words, or in fixed point.

    NAME is mlp-784-100-10, lenet5 or lenet5-relu. What is not given is the recipe of its own; a
    MODEL.onnx, with --qat, learns for 5 epochs of batches of 100, at rate 0.02 at first. The same
    seed gives the same bits on the same machine. The model is written when training is done:
    Ctrl-C leaves nothing behind.
    """
    if trace:
        _trace(name, rate, as_json)
        return
    if data is None or output is None:
        raise click.UsageError(f"{'--data' if data is None else '--output'} must be given")
    ending, given = ".fxp" if qat or fixed else ".onnx", options.given()
    if output.suffix != ending:
        raise click.UsageError(f"--output must end in {ending}, not {str(output)!r}")
    if qat and fixed:
        raise click.UsageError("--fixed must stand without --qat")
    for option in () if fixed else FIXED:
        if option in given:
            raise click.UsageError(f"{given[option]} must stand with --fixed")
    if qat:
        _qat(name, data, labels, output, (epochs, batch, rate), seed, words, as_json, quiet)
        return
    for option in QAT:
        if option in given:
            raise click.UsageError(f"{given[option]} must stand with --qat")
    if fixed:
        recipe, cast = (epochs, batch, rate), (rounding, random_bits)
        files = (fixed, output, words["checkpoint"], words["resume"])
        _fixed(name, data, labels, files, recipe, seed, cast, as_json, quiet)
        return
    for option in RESUMED:
        if option in given:
            raise click.UsageError(f"{given[option]} must stand with --qat or --fixed")
    from . import sources
    from . import training as lessons

    sources.check_target(output)
    lesson = lessons.plan(name, epochs, batch, rate, seed)
    result = lessons.teach(lesson, data, labels, output, quiet)
    if as_json:
        print_json(result)
    else:
        lessons.print_result(result)


def _qat(
    name: str,
    data: str,
    labels: Path | None,
    output: Path,
    recipe: "tuple[int | None, int | None, float | None]",
    seed: int,
    words: dict[str, Any],
    as_json: bool,
    quiet: bool,
) -> None:
    from . import qat as lessons

    places = lessons.Places(output, words.pop("checkpoint"), words.pop("resume"))
    chosen = lessons.Words(**words)
    lessons.check_places(places, name, chosen, data)
    lesson = lessons.lesson(name, recipe, seed, chosen)
    result = lessons.teach(lesson, chosen, data, labels, places, quiet)
    if as_json:
        print_json(result)
    else:
        lessons.print_result(result)


def _fixed(
    name: str,
    data: str,
    labels: Path | None,
    files: "tuple[Path, Path, Path | None, Path | None]",
    recipe: "tuple[int | None, int | None, float | None]",
    seed: int,
    rounding: "tuple[str | None, int | None]",
    as_json: bool,
    quiet: bool,
) -> None:
    from . import fixed as lessons

    if rounding[0] not in (None, "stochastic") and rounding[1] is not None:
        raise click.UsageError("--random-bits must stand with --rounding stochastic")
    places = lessons.FixedPlaces(*files)
    lessons.check_places(places, data)
    lesson = lessons.lesson(name, recipe, seed, *rounding)
    result = lessons.teach(lesson, data, labels, places, quiet)
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
