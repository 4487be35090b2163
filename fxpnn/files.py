"""Bounded reads, and writes that never leave half a file."""

import contextlib
import gzip
import hashlib
import io
import mmap
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from fxpnn.errors import DataError, FxpnnError

PIECE = 1 << 20
"""Bytes that are read or unpacked at a time."""

CACHE = "FXPNN_CACHE_DIR"
"""The environment variable that names another folder for what fxpnn keeps between runs."""

_GZIP_MAGIC = b"\x1f\x8b"


@contextlib.contextmanager
def opened(path: Path, kind: type[FxpnnError]) -> Iterator[io.BufferedReader]:
    """Open a file to read; whatever the system reports meanwhile becomes one line.

    Raises:
        kind: the file is missing, empty, no regular file (a pipe could block for ever), or cannot
            be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise kind(f"{path}: must be a file, not a folder, pipe or device")
        with path.open("rb") as file:
            if not file.peek(1):
                raise kind(f"{path}: must not be empty")
            yield file
    except OSError as error:
        raise kind(f"{path}: cannot be read: {error.strerror or error}") from None


@contextlib.contextmanager
def unpacked(path: Path, kind: type[FxpnnError]) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    """Open a file to read what it holds: unpacked where it is gzip, whatever its name.

    Raises:
        kind: as ``opened``, or the gzip data end early or are damaged where they are read.
    """
    with opened(path, kind) as file:
        if file.peek(2)[:2] != _GZIP_MAGIC:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise kind(f"{path}: gzip data must be whole, not cut or damaged: {error}") from None


def unpacked_limit(packed: int) -> int:
    """Bound the bytes that ``packed`` bytes of a file may unpack to, against decompression bombs.

    64 MiB, and 100 times the packed size (deflate reaches 1032 on zeros, images about 5), but no
    more than 2 GiB.
    """
    return min((64 << 20) + 100 * packed, 2 << 30)


class Readable(Protocol):
    """Anything that bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""


def fill(stream: Readable, memory: memoryview) -> int:
    """Read into memory, a piece at a time, and return how many bytes arrived.

    The system commits the memory as it is written to, so a header that promises more than the
    stream holds costs nothing.
    """
    done = 0
    while piece := stream.read(min(PIECE, len(memory) - done)):
        memory[done : done + len(piece)] = piece
        done += len(piece)
    return done


def release(array: object) -> None:
    """Let go of the memory of a mapped file's array; it is read again where it is used again.

    Only where a mapping is read-only: another one's memory may hold what the file does not.
    """
    under = getattr(array, "base", None)
    while under is not None and not isinstance(under, mmap.mmap):
        array, under = under, getattr(under, "base", None)
    if under is not None and getattr(array, "mode", "") == "r" and sys.platform != "win32":
        under.madvise(mmap.MADV_DONTNEED)


def read(path: Path, limit: int, kind: type[FxpnnError]) -> bytes:
    """Read a whole file of 1 to ``limit`` bytes.

    Raises:
        kind: the file is missing, empty, larger, or cannot be read.
    """
    with opened(path, kind) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise kind(f"{path}: must be at most {limit} bytes, not {size}")
        return file.read(size)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary file beside it, then renamed over it.

    Raises:
        DataError: the folder or file cannot be written, or the disk is full; an old file stays.
    """
    target = Path(os.path.realpath(path))  # a link is written through, not replaced
    temporary = target.parent / f".fxpnn-{os.urandom(8).hex()}"
    try:
        if target.exists() and not target.is_file():  # /dev/null must not become a file
            raise DataError(f"{path}: must be a file to write to, not a folder, pipe or device")
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):  # gone already where all went well
            temporary.unlink()


def cache_folder(name: str) -> Path:
    """Name a folder, which may not exist yet, for what can be made or fetched again."""
    if place := os.environ.get(CACHE):
        return Path(place, name).absolute()
    import platformdirs  # here, because few commands need it

    return platformdirs.user_cache_path("fxpnn", appauthor=False) / name


def sha256(content: bytes) -> str:
    """Return the hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()
