"""``fxpnn export``: write a quantized model for other tools, or for hardware."""

from pathlib import Path

import click

import fxpnn

from . import options, params
from .console.terminal import note, print_json

FOLDERS = params.TARGETS[2:]
"""The targets that are folders for hardware; the others are files."""

HEEDED = dict.fromkeys(("data", "limit", "name"), FOLDERS) | dict.fromkeys(
    ("macs", "trim"), ("verilog",)
)
"""The targets that heed an option, for those that not all heed."""


@click.command(
    epilog=options.example(
        "fxpnn export mlp.fxp --to qonnx -o mlp.qonnx.onnx",
        "fxpnn export mlp.fxp --to qdq -o mlp.qdq.onnx",
        "fxpnn export mlp.fxp --to hex -o mlp_hex",
        "fxpnn export mlp.fxp --to c -o mlp_c --name mlp",
        "fxpnn export mlp.fxp --to verilog -o mlp_v --name mlp --macs 16",
    )
)
@click.argument("model", metavar="MODEL.fxp", type=params.FILE)
@click.option(
    "--to",
    "target",
    type=params.one_of(params.TARGETS),
    metavar="|".join(params.TARGETS),
    required=True,
    help="QONNX's Quant, as hls4ml and FINN read it; pairs of QuantizeLinear and DequantizeLinear, "
    "as ONNX Runtime runs them; every word as text for $readmemh; C99; Verilog-2005.",
)
@click.option(
    "-o",
    "--output",
    type=params.FILE,
    metavar="FILE.onnx|DIR",
    required=True,
    help="File of qonnx and qdq; else folder: new, empty, or an earlier export, which is replaced.",
)
@click.option(
    "--data",
    type=params.DATA,
    metavar="DATA",
    help="Images for golden vectors, as fxpnn infer takes them.  "
    "[default: mnist where the network's input is 1 x 28 x 28, else drawn words]",
)
@click.option(
    "--limit",
    type=params.COUNT,
    metavar="N",
    help="How many images have golden vectors, the first ones.  [default: 10]",
)
@click.option(
    "--macs",
    type=params.MACS,
    metavar="N",
    help="Units of the core that multiply and add at a time, 1 to 256.  [default: 16]",
)
@click.option(
    "--name",
    type=params.EXPORT_NAME,
    metavar="NAME",
    help="What files, modules and functions are called.  [default: the model's own name]",
)
@click.option(
    "--trim", is_flag=True, help="Make a core for this network only, no wider than is proved."
)
@options.as_json("views.files:Exported", "views.exports:ExportedFolder")
@options.quiet
def export(
    model: Path,
    target: str,
    output: Path,
    data: str | None,
    limit: int | None,
    macs: int | None,
    name: str | None,
    trim: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a quantized network for other tools, or for hardware.

    qonnx and qdq are ONNX files whose numbers are MODEL.fxp's integers; fxpnn quantize makes the
    same integers of them again. What a file cannot carry is said. A format or mode that it has no
    name for is refused: qonnx has words of any width, and modes that saturate; qdq has words of 8
    and 16 bits, rounded to nearest even and saturated.

    hex, c and verilog are folders, each with golden vectors: what the first images are as words of
    the input, and what every layer makes of them, to the bit. Verilog is one core, which runs any
    network, and this network's program. manifest.json says what layers are called in files, where
    each tensor lies in memory, and the sha256 of each file. The same model gives the same bytes.
    """
    _check_heeded(target)
    if target not in FOLDERS:
        _write_file(model, target, _as_file(output), as_json, quiet)
        return
    from fxpnn.targets import folder
    from fxpnn.targets.identifiers import name_of
    from fxpnn.targets.target import Choices, Target

    from . import sources
    from .console.progress import progress
    from .views import exports

    folder.check_target(output)
    fixed, source = sources.load_fixed(model)
    choices = Choices(Target(target), name or name_of(fixed.name), macs, trim)
    images, data_source = sources.golden_images(fixed, data, limit or folder.IMAGES)
    if fixed.scaling.assumed and images.dtype == "uint8":
        note(f"pixels become numbers as x / 256: {model} was quantized on that assumption", quiet)
    sums = source.sha256, data_source.sha256 if data_source else ""
    with progress(source.name, len(images), quiet) as advance:
        made = folder.write(output, fixed, choices, images, *sums, advance)
    done = exports.exported(fixed, source, data_source, output, made)
    for lost in done.not_carried:
        note(f"{output} does not carry {lost}", quiet)
    if as_json:
        print_json(done)
    else:
        exports.print_exported(done)


def _check_heeded(target: str) -> None:
    """Refuse options that a target does not heed."""
    for name, spelled in options.given().items():
        targets = HEEDED.get(name, params.TARGETS)
        if target not in targets:
            raise click.UsageError(f"{spelled} must go with --to {_either(targets)}, not {target}")


def _either(names: tuple[str, ...]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _as_file(output: Path) -> Path:
    """Return the path of a file, or refuse it as a usage error of its option."""
    ctx = click.get_current_context()
    (param,) = (param for param in ctx.command.params if param.name == "output")
    params.FLOAT_MODEL.convert(str(output), param, ctx)
    return output


def _write_file(model: Path, target: str, output: Path, as_json: bool, quiet: bool) -> None:
    from . import sources
    from .views.files import Exported

    sources.check_target(output, model)
    fixed, _ = sources.load_fixed(model)
    lost = fxpnn.export(fixed, output, target)
    if lost:
        note(f"{output} does not carry {'; '.join(lost)}", quiet)
    output_source = sources.source_of(output, fixed.name)
    if as_json:
        print_json(Exported(1, output_source.path, output_source.sha256, target, lost))
