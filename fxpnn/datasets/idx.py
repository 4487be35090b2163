"""The IDX format of MNIST: a magic number, big-endian sizes, then the bytes.

Source: "File formats for the MNIST database", http://yann.lecun.com/exdb/mnist. Of its types only
the unsigned byte (08) is read: it is what images and labels are stored in.
"""

import gzip
import math
import os
import re
import struct
from pathlib import Path

import numpy as np

from fxpnn import files
from fxpnn.errors import DataError
from fxpnn.network.layers import Array

PREFIX = {"test": "t10k", "train": "train"}
"""How the file names of each split begin."""

_IMAGES = re.compile(r"(t10k|train)-images[-.]idx\d-ubyte(?:\.gz)?")
_MAGIC = b"\0\0\x08"
_DIMENSIONS = range(1, 5)


def read_idx(path: Path) -> Array:
    """Read an IDX file of unsigned bytes, 1 to 4 dimensions, none of them 0.

    It is read, not mapped: a mapped file that shrinks would kill the process.

    Raises:
        DataError: the file cannot be read, is no such IDX file, or is longer or shorter than its
            header says; nothing is allocated before the header is known to be possible.
    """
    with files.unpacked(path, DataError) as stream:
        shape = _header(path, stream)
        if isinstance(stream, gzip.GzipFile):
            return _unpack(path, stream, shape)
        offset = stream.tell()
        length = os.fstat(stream.fileno()).st_size - offset
        if length != math.prod(shape):
            raise _wrong_length(path, shape, str(length))
        files.check_memory(path, length)
        return _filled(path, stream, shape)


def labels_beside(images: Path) -> Path | None:
    """Find the labels that belong to a file of images by MNIST's naming, raw or gzip."""
    name = re.sub(r"images([-.])idx\d", r"labels\1idx1", images.name).removesuffix(".gz")
    if "labels" not in name:
        return None
    return locate(images.parent, name)


def images_in(folder: Path) -> dict[str, Path]:
    """Find the files of images in a folder, by split; a raw file goes before its gzip."""
    found = {}
    for path in sorted(listed(folder), reverse=True):
        if match := _IMAGES.fullmatch(path.name):
            found["train" if match[1] == "train" else "test"] = path
    return found


def listed(folder: Path) -> list[Path]:
    """List a folder's entries in no order.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None


def locate(folder: Path, name: str) -> Path | None:
    """Find a file by its name, raw or with ``.gz`` behind it."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _header(path: Path, stream: files.Readable) -> tuple[int, ...]:
    magic = stream.read(4)
    if magic[:3] != _MAGIC or magic[3:] not in (bytes([n]) for n in _DIMENSIONS):
        raise DataError(
            f"{path}: must be an IDX file of unsigned bytes (it starts with 00 00 08 01 to 04), "
            f"an .npy, .npz, PNG or JPEG, not start with {magic.hex(' ') or 'nothing'}"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path}: must not end within its IDX header")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if 0 in shape:
        raise DataError(f"{path}: sizes must be 1 or more, not {shape}")
    return shape


def _unpack(path: Path, stream: gzip.GzipFile, shape: tuple[int, ...]) -> Array:
    limit = files.unpacked_limit(path.stat().st_size)
    if math.prod(shape) > limit:
        raise DataError(
            f"{path}: must unpack to at most {limit} bytes, not the {math.prod(shape)} of its "
            "header; gunzip a larger file"
        )
    array = _filled(path, stream, shape)
    if stream.read(1):
        raise _wrong_length(path, shape, "more")
    return array


def _filled(path: Path, stream: files.Readable, shape: tuple[int, ...]) -> Array:
    array = np.empty(shape, np.uint8)
    count = files.fill(stream, array.data.cast("B"))
    if count < array.size:
        raise _wrong_length(path, shape, str(count))
    return array


def _wrong_length(path: Path, shape: tuple[int, ...], found: str) -> DataError:
    return DataError(
        f"{path}: must hold {math.prod(shape)} bytes behind its header of {shape}, not {found}"
    )
