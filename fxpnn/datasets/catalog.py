"""The catalogue of named data sets: what exists, and whether it is as published."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from fxpnn import files
from fxpnn.datasets import mnist
from fxpnn.datasets.idx import locate
from fxpnn.errors import DataError


class Entry(NamedTuple):
    """A line of the catalogue; ``state`` is "bundled", "cached" or "not fetched".

    ``size`` counts the unpacked bytes; ``folder`` is where the files lie, or will.
    """

    name: str
    images: int
    size: int
    state: str
    folder: Path


class Check(NamedTuple):
    """What was found about a file: whether it is as published, and the reason."""

    file: Path
    ok: bool
    reason: str


def catalog() -> list[Entry]:
    """List the data sets that have a name."""
    return [
        Entry(name, dataset.images, sum(f.size for f in dataset.files), _state(dataset), folder)
        for name, dataset in mnist.DATASETS.items()
        for folder in [dataset.folder]
    ]


def verify(name: str, folder: Path | None = None) -> list[Check]:
    """Compare the sha256 of each file with the published one.

    With a folder, these are MNIST's four files in it, raw or gzip. Without, they are the files of
    every data set where it lies; those of a set of which nothing is fetched are left out.

    Raises:
        DataError: the name is not ``mnist``.
    """
    check_name(name)
    if folder is not None:
        return [check(folder, file) for file in mnist.PUBLISHED]
    present = (d for d in mnist.DATASETS.values() if any(locate(d.folder, f.name) for f in d.files))
    return [check(dataset.folder, file) for dataset in present for file in dataset.files]


def check(folder: Path, file: mnist.IdxFile) -> Check:
    """Compare the sha256 of a file in a folder, raw or gzip, with the published one."""
    path = locate(folder, file.name)
    if path is None:
        return Check(folder / file.name, False, "missing")
    try:
        if path.stat().st_size > file.size + files.PIECE:  # gzip may be endless without content
            return Check(path, False, f"must hold {file.size} bytes, not more")
        with files.unpacked(path, DataError) as stream:
            hasher, size = hashlib.sha256(), 0
            while size <= file.size and (piece := stream.read(files.PIECE)):
                hasher.update(piece)
                size += len(piece)
    except OSError as error:
        return Check(path, False, f"cannot be read: {error.strerror}")
    except DataError as error:
        return Check(path, False, str(error).removeprefix(f"{path}: "))
    if size > file.size:
        return Check(path, False, f"must hold {file.size} bytes, not more")
    if (digest := hasher.hexdigest()) != file.sha256:
        return Check(path, False, f"sha256 must be {file.sha256}, not {digest}")
    return Check(path, True, "sha256 as published")


def check_name(name: str) -> None:
    """Raise ``DataError`` unless a data set of this name can be fetched."""
    if name != "mnist":
        raise DataError(f"the data set must be mnist, not {name!r}")


def _state(dataset: mnist.Dataset) -> str:
    if dataset.bundled:
        return "bundled"
    fetched = all(locate(dataset.folder, file.name) for file in dataset.files)
    return "cached" if fetched else "not fetched"
