"""Reading ``.npy``, an array, and ``.npz``, a zip of them, without pickle or trust in headers.

NumPy's own header reader evaluates the header as a Python literal; here it must match a pattern,
so that a hostile one can neither exhaust the parser nor name a type that holds objects.
Source: "NEP 1, a simple file format for NumPy arrays".
"""

import contextlib
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np

from fxpnn import files
from fxpnn.errors import DataError
from fxpnn.network.layers import Array, Shape

_Order: TypeAlias = Literal["C", "F"]
_LENGTH = {b"\x93NUMPY\x01\x00": "<H", b"\x93NUMPY\x02\x00": "<I"}
"""How the header's length is stored in each version of the format."""

_HEADER_LIMIT = 1 << 16
_HEADER = re.compile(
    rb"\{'descr': '([<>|=](?:[iu][1248]|f[248]|b1))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\),? ?\}\s*"
)
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises for an archive that is damaged, encrypted or of a later version."""


def is_zip(path: Path) -> bool:
    """Tell whether a file starts as a zip does."""
    with files.opened(path, DataError) as file:
        return file.read(2) == b"PK"


def is_npy(path: Path) -> bool:
    """Tell whether a file starts as a ``.npy`` does."""
    with files.opened(path, DataError) as file:
        return file.read(6) == b"\x93NUMPY"


def read_npy(path: Path, limit: int | None = None) -> Array:
    """Read one array of numbers, in native byte order, from a file of at most ``limit`` bytes.

    Raises:
        DataError: the file is too large or damaged, or holds anything but numbers, or more than
            memory can.
    """
    with files.opened(path, DataError) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise DataError(f"{path}: must be at most {limit} bytes, not {size}")
        files.check_memory(path, size)
        try:
            return _array(f"{path}:", file, size)
        except struct.error:
            raise DataError(f"{path}: must not end within its header") from None


def read_npz(path: Path, split: str | None = None) -> tuple[Array, Array | None]:
    """Read ``x`` and, where there is one, ``y``: numbers in native byte order.

    Where the archive holds ``x_train`` and ``x_test``, as Keras stores MNIST, ``split`` chooses.

    Raises:
        DataError: the archive is damaged, has no ``x``, holds anything but numbers where they are
            asked, or would unpack to more than ``files.unpacked_limit``.
    """
    with _opened(path) as archive:
        names = archive.namelist()
        end = "" if split is None else f"_{split}"
        if not end and len(_splits(archive)) > 1:
            raise DataError(
                f"{path}: holds a test and a training set; name {path}:test or {path}:train"
            )
        if f"x{end}.npy" not in names:
            raise DataError(f"{path}: must hold x{end}.npy, not only {_quoted(names)}")
        x = _member(path, archive, f"x{end}")
        return x, _member(path, archive, f"y{end}") if f"y{end}.npy" in names else None


def splits(path: Path) -> set[str]:
    """Name the splits that an archive holds, as Keras stores MNIST; none where it holds ``x``.

    Raises:
        DataError: the archive is damaged.
    """
    with _opened(path) as archive:
        return _splits(archive)


def _splits(archive: zipfile.ZipFile) -> set[str]:
    names = archive.namelist()
    return {s for s in ("test", "train") if f"x_{s}.npy" in names and "x.npy" not in names}


def read_arrays(path: Path) -> dict[str, Array]:
    """Read every array, by its name and in the archive's order.

    Raises:
        DataError: as ``read_npz``, or the archive holds something else, or all of it together
            would unpack to more than ``files.unpacked_limit``.
    """
    with _opened(path) as archive:
        names = archive.namelist()
        if other := [name for name in names if not name.endswith(".npy")]:
            raise DataError(f"{path}: must hold arrays (.npy) alone, not {_quoted(other[:1])}")
        limit = files.unpacked_limit(path.stat().st_size)
        if (total := sum(info.file_size for info in archive.infolist())) > limit:
            raise DataError(f"{path}: must unpack to at most {limit} bytes, not {total}")
        stems = (name.removesuffix(".npy") for name in names)
        return {stem: _member(path, archive, stem) for stem in stems}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with files.opened(path, DataError) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except DataError:
            raise
        except _BROKEN as error:
            reason = str(error) or "it ends early"
            raise DataError(f"{path}: must be a whole .npz, not cut or damaged: {reason}") from None


def _quoted(names: list[str]) -> str:
    return str(names)[1:-1][:80] or "nothing"  # quoted: names may hold anything


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Array:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{path}: {name} must be stored or deflated, not packed otherwise")
    limit = files.unpacked_limit(min(info.compress_size, path.stat().st_size))
    if info.file_size > limit:
        raise DataError(
            f"{path}: {name} must unpack to at most {limit} bytes, not {info.file_size}"
        )
    with archive.open(info) as stream:
        return _array(f"{path}: {name}", stream, info.file_size)


def _array(where: str, stream: IO[bytes], size: int) -> Array:
    """Read an array of ``size`` bytes with its header; ``where`` begins the lines of errors."""
    shape, dtype, order = _header(where, stream)
    held = size - stream.tell()
    if 0 in shape:
        raise DataError(f"{where} must not be empty, not {shape}")
    if math.prod(shape) * dtype.itemsize != held:
        raise DataError(f"{where} must hold {shape} of {dtype}, not {held} bytes")
    array = np.empty(math.prod(shape), dtype)
    if files.fill(stream, array.data.cast("B")) < held:
        raise DataError(f"{where} must not end early")
    native = array.astype(dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native.reshape(shape, order=order))


def _header(where: str, stream: files.Readable) -> tuple[Shape, np.dtype[Any], _Order]:
    layout = _LENGTH.get(stream.read(8))
    if layout is None:
        raise DataError(f"{where} must be a .npy of version 1 or 2")
    (length,) = struct.unpack(layout, stream.read(struct.calcsize(layout)))
    match = _HEADER.fullmatch(stream.read(min(length, _HEADER_LIMIT)))
    if match is None:
        raise DataError(f"{where} must be an array of integers or floats of at most 64 bits")
    shape = tuple(int(size) for size in match[3].replace(b" ", b"").split(b",") if size)
    return shape, np.dtype(match[1].decode()), "F" if match[2] == b"True" else "C"
