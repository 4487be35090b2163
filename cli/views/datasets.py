"""Draw what is known of data sets, and whether their files are as published."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from rich.text import Text

from fxpnn.analysis.tables import table
from fxpnn.datasets.catalog import Check, Entry
from fxpnn.errors import one_line

from ..console.tables import ResultConsole
from ..console.terminal import path_text


class DataSet(msgspec.Struct, frozen=True):
    """A data set that has a name; ``size`` counts unpacked bytes."""

    name: str
    images: int
    size: int
    state: Literal["bundled", "cached", "not fetched"]
    folder: str


class DataSets(msgspec.Struct, frozen=True):
    """The data sets that have a name, schema 1."""

    schema: Literal[1]
    datasets: tuple[DataSet, ...]


class File(msgspec.Struct, frozen=True):
    """A file of a data set, and whether it is as published."""

    file: str
    ok: bool
    reason: str


class Files(msgspec.Struct, frozen=True):
    """The files of a data set, schema 1."""

    schema: Literal[1]
    files: tuple[File, ...]


class Folder(msgspec.Struct, frozen=True):
    """Where a data set lies, schema 1."""

    schema: Literal[1]
    name: str
    folder: str


def listed(entries: Iterable[Entry]) -> DataSets:
    """Describe the catalogue."""
    found = (
        msgspec.convert({**e._asdict(), "folder": path_text(e.folder)}, DataSet) for e in entries
    )
    return DataSets(1, tuple(found))


def verified(checks: Iterable[Check]) -> Files:
    """Describe what was found about files."""
    return Files(1, tuple(File(path_text(c.file), c.ok, c.reason) for c in checks))


def found(name: str, folder: Path) -> Folder:
    """Describe where a data set lies."""
    return Folder(1, name, path_text(folder))


def print_listed(listed: DataSets) -> None:
    """Draw the catalogue."""
    drawn = table(
        "data set", "images", "MB", "state", "folder", right=("images", "MB"), folded=("folder",)
    )
    for entry in listed.datasets:
        size = f"{entry.size / 1e6:.1f}"
        drawn.add_row(entry.name, f"{entry.images:,}", size, entry.state, one_line(entry.folder))
    ResultConsole().print(drawn)


def print_verified(verified: Files) -> None:
    """Draw what was found about files."""
    drawn = table("", "file", "", folded=("file",))
    for check in verified.files:
        mark = Text("ok", "green") if check.ok else Text("bad", "bold red")
        drawn.add_row(mark, one_line(check.file), one_line(check.reason))
    ResultConsole().print(drawn)
