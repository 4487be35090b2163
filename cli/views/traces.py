"""Draw what a trace wrote."""

from pathlib import Path
from typing import Literal

import msgspec
from rich.text import Text

from fxpnn.analysis.tables import table
from fxpnn.errors import one_line
from fxpnn.targets.dump import MANIFEST, Manifest, TensorFiles

from ..console.tables import ResultConsole
from ..console.terminal import path_text
from ..sources import DataSource, ModelSource


class Traced(msgspec.Struct, frozen=True):
    """A trace, schema 1: of image ``index`` of the data, one tensor for the input and each layer.

    The names of files are those in ``folder``, as in its ``manifest``.
    """

    schema: Literal[1]
    model: ModelSource
    data: DataSource
    index: int
    folder: str
    manifest: str
    tensors: tuple[TensorFiles, ...]


def traced(model: ModelSource, data: DataSource, folder: Path, manifest: Manifest) -> Traced:
    """Describe a trace."""
    where = path_text(folder)
    return Traced(1, model, data, manifest.index, where, MANIFEST, manifest.tensors)


def print_traced(done: Traced) -> None:
    """Draw which files hold what."""
    console = ResultConsole()
    console.print_title(done.model.name, f"on image {done.index:,} of {done.data.name}")
    drawn = table("layer", "kind", "shape", "format", "file", folded=("layer", "file"))
    for it in done.tensors:
        shape = "x".join(map(str, it.shape))
        files = it.hex.removesuffix(".hex")
        drawn.add_row(one_line(it.name), Text(it.op, "dim"), shape, it.format, files)
    console.print(drawn)
    console.print(Text(f" each as .hex and .npy in {one_line(done.folder)}, with {done.manifest}"))
    console.print()
