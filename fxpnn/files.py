"""Own how files are read and written: bounded reads, and writes that leave no half file."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from fxpnn.errors import DataError, FxpnnError


def read(path: Path, limit: int, kind: type[FxpnnError]) -> bytes:
    """Read a whole file of at most ``limit`` bytes.

    Raises:
        kind: the file is missing, empty, larger, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise kind(f"{path}: must be at most {limit} bytes, not {size}")
            content = file.read(limit + 1)
    except OSError as error:
        raise kind(f"{path}: cannot be read: {error.strerror}") from None
    if not content:
        raise kind(f"{path}: must not be empty")
    return content


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary file beside it, then renamed over it.

    Raises:
        DataError: the folder or file cannot be written, or the disk is full; an old file stays.
    """
    path = path.resolve()  # a link is written through, not replaced
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)  # as open() would have made it, not mkstemp's 0600
        Path(temporary).replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()


def sha256(content: bytes) -> str:
    """Return the hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()
