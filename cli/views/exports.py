"""Draw what an export for hardware wrote."""

from pathlib import Path
from typing import Literal

import msgspec
from rich.text import Text

from fxpnn.analysis.tables import table
from fxpnn.errors import one_line
from fxpnn.network.fixed import FixedNetwork
from fxpnn.targets import energy
from fxpnn.targets.export import not_carried
from fxpnn.targets.hardware_cost import core_cost
from fxpnn.targets.lowering import lower
from fxpnn.targets.manifest import MANIFEST, FileSum, Manifest

from ..console.tables import ResultConsole
from ..console.terminal import path_text
from ..sources import DataSource, ModelSource

KINDS = {"hex": "text for $readmemh", "c": "C99", "verilog": "Verilog-2005"}
"""What a target is, in words."""


class ExportedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """An export for hardware, schema 1.

    The golden vectors are those of ``images`` images of the data, which are null where words were
    drawn. ``memory_words`` is the most words that activations take at a time. ``macs``, ``trim``
    and the core's cycles of an image are null where they are not Verilog's; ``idle_units`` of the
    units never multiply, for no layer has as many channels. ``not_carried`` says in words what the
    folder leaves out.
    """

    schema: Literal[1]
    model: ModelSource
    data: DataSource | None
    target: str
    folder: str
    manifest: str
    name: str
    images: int
    macs: int | None
    trim: bool | None
    cycles: int | None
    idle_units: int | None
    memory_words: int
    files: tuple[FileSum, ...]
    not_carried: tuple[str, ...]


def exported(
    fixed: FixedNetwork,
    model: ModelSource,
    data: DataSource | None,
    folder: Path,
    made: Manifest,
) -> ExportedFolder:
    """Describe an export."""
    core = None
    if made.macs is not None:
        core = core_cost(lower(fixed), made.macs, 1.0, energy.shipped())
    return ExportedFolder(
        schema=1,
        model=model,
        data=data,
        target=made.target,
        folder=path_text(folder),
        manifest=MANIFEST,
        name=made.name,
        images=made.images,
        macs=made.macs,
        trim=made.trim,
        cycles=None if core is None else core.cycles,
        idle_units=None if core is None else core.idle_units,
        memory_words=made.memory_words,
        files=made.files,
        not_carried=not_carried(fixed),
    )


def print_exported(done: ExportedFolder) -> None:
    """Draw which files were written, and how much memory the network takes."""
    console = ResultConsole()
    console.print_title(done.model.name, f"as {KINDS[done.target]} in {done.folder}")
    drawn = table("file", "bytes", right=("bytes",), folded=("file",))
    for file in done.files:
        drawn.add_row(Text(file.name), f"{file.bytes:,}")
    console.print(drawn)
    whose = done.data.name if done.data else "words drawn from a seed"
    several = "s" if done.images > 1 else ""
    beside = ", beside the input and outputs" if done.target == "c" else ""
    lines = [
        f"{len(done.files)} files and {done.manifest}, {_total(done.files)} in all",
        f"golden vectors of {done.images:,} image{several}: {whose}",
        f"activations take {done.memory_words:,} words at most at a time{beside}",
    ]
    if done.macs is not None:
        units = f"{done.macs} unit{'s' if done.macs > 1 else ''}"
        lines.append(f"{units} take {done.cycles:,} cycles for an image")
    if done.idle_units:
        lines.append(f"{done.idle_units} units are idle: no layer has so many channels")
    for line in lines:
        console.print(Text(f" {one_line(line)}"))
    console.print()


def _total(files: tuple[FileSum, ...]) -> str:
    return f"{sum(file.bytes for file in files) / 1024:,.1f} KiB"
