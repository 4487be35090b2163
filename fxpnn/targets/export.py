"""The export: a fixed network as a file for other tools, or as a folder for hardware."""

from pathlib import Path

from fxpnn.errors import FormatError
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.rows import Images
from fxpnn.onnx.write.dialects import Qdq, Qonnx
from fxpnn.targets import quantized_onnx
from fxpnn.targets.identifiers import name_of
from fxpnn.targets.target import Choices, Target


def export(
    fixed: FixedNetwork,
    path: Path | str,
    target: Target | str,
    images: Images | None = None,
    *,
    name: str | None = None,
    macs: int | None = None,
    trim: bool = False,
) -> tuple[str, ...]:
    """Write a fixed network for other tools (``qonnx``, ``qdq``) or hardware.

    ONNX is one file, from which ``fxpnn.onnx.load_quantized`` reads the network, and
    ``fxpnn.quantize`` makes one of the same integers. ``hex``, ``c`` and ``verilog`` are a folder,
    which holds golden vectors of the images too.

    Args:
        fixed: the network.
        path: the file; or the folder, which must be new, empty, or an earlier export.
        target: what to write.
        images: as ``fxpnn.infer`` takes them, for golden vectors; by default 10 of the bundled
            test images or, where they do not fit, drawn words of the input's format.
        name: begins the names of files, modules and functions; by default made of the network's.
        macs: the units of Verilog's core, 1 to 256; by default 16.
        trim: make the core for this network only, no wider than its proofs say.

    Returns:
        What is not carried, in words.

    Raises:
        FormatError: the target, name or units cannot be, or the target does not heed one of them.
        ModelError: the target has not a format, mode, layer or number of the network.
        DataError: the images do not fit, or the file or folder cannot be written.
    """
    target = _target(target)
    if target.hardware:
        from fxpnn.targets import folder  # golden vectors need the engine, and it LLVM

        choices = Choices(target, name_of(fixed.name) if name is None else name, macs, trim)
        folder.write(path, fixed, choices, images)
        return not_carried(fixed)
    given = {"images": images, "name": name, "macs": macs, "trim": trim or None}
    for option in (option for option, value in given.items() if value is not None):
        raise FormatError(f"{option} must go with hex, c or verilog, not {target.value}")
    return quantized_onnx.export(fixed, path, Qonnx if target is Target.QONNX else Qdq)


def not_carried(fixed: FixedNetwork) -> tuple[str, ...]:
    """Say in words what no export for hardware has: it begins with the words of the input."""
    if fixed.normalisation is None:
        return ()
    return ("the normalisation of its input, which must come as words of the normalised",)


def _target(target: Target | str) -> Target:
    try:
        return Target(target)
    except ValueError:
        known = ", ".join(member.value for member in Target)
        raise FormatError(f"target must be one of {known}, not {target!r}") from None
