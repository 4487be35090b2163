"""Write an export for hardware as a folder, whole or not at all."""

from pathlib import Path

from fxpnn import files
from fxpnn.engine.inference import Progress
from fxpnn.errors import DataError
from fxpnn.network import fxp_write
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.rows import Images
from fxpnn.targets import hexfiles, manifest
from fxpnn.targets.lowering import Lowering, lower
from fxpnn.targets.manifest import MANIFEST, Manifest, Origin
from fxpnn.targets.target import Choices, Target
from fxpnn.targets.vectors import Vectors, default_images, vectors

IMAGES = 10
"""So many images have golden vectors, where nobody says how many."""


def check_target(folder: Path | str) -> None:
    """Raise ``DataError`` unless ``write`` may make a folder there: new, empty, or one of its."""
    folder = Path(folder)
    files.check_folder(folder, _written(folder))


def write(
    folder: Path | str,
    fixed: FixedNetwork,
    choices: Choices,
    images: Images | None = None,
    model: str = "",
    data: str = "",
    progress: Progress | None = None,
) -> Manifest:
    """Write a network for hardware, with golden vectors of images; equal ones give equal bytes.

    Args:
        folder: it must be new or empty, or an earlier export, which is replaced.
        fixed: the network.
        choices: the target, the name and, of Verilog, the core.
        images: as ``fxpnn.infer`` takes them; by default 10, as ``default_images`` gives them.
        model: the sha256 of the network's file; by default that which ``fixed.save`` writes.
        data: the sha256 of the images, where it is known.
        progress: told of each image that was run.

    Raises:
        ModelError: the target has not a layer, mode or register; the message names the layer.
        DataError: the images do not fit, or the folder cannot be written or holds something else.
    """
    folder = Path(folder)
    check_target(folder)
    lowering = lower(fixed)
    if images is None:
        images = default_images(fixed, IMAGES)
    kept = vectors(_compared(lowering, choices.target), images, progress)
    contents = _contents(lowering, choices, kept)
    origin = Origin(model or files.sha256(fxp_write.dumps(fixed)), data, kept.images)
    made = manifest.describe(lowering, choices, contents, origin)
    whole = {**contents, MANIFEST: manifest.spell(made)}
    files.write_folder(folder, whole.items(), _written(folder))
    return made


def _compared(lowering: Lowering, target: Target) -> Lowering:
    """Return the lowering whose tensors have golden vectors: of hex files, each layer's."""
    if target is not Target.HEX:
        return lowering
    return lower(lowering.fixed, lowering.fixed.shapes)


def _contents(lowering: Lowering, choices: Choices, kept: Vectors) -> dict[str, bytes]:
    """Spell the files of a target; only what is asked for is imported."""
    if choices.target is Target.C:
        from fxpnn.targets.c import export as c

        return c.write(lowering, choices.name, kept)
    if choices.target is Target.VERILOG:
        from fxpnn.targets.verilog import export as verilog

        return verilog.write(lowering, choices.name, kept, choices.units, choices.trim)
    return hexfiles.write(lowering, kept)


def _written(folder: Path) -> set[str]:
    """Name the files of the export that a folder is; none where it has no such manifest."""
    try:
        made = manifest.read(folder)
    except DataError:
        return set()
    return set() if made is None else {MANIFEST, *(file.name for file in made.files)}
