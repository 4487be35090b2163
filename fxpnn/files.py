"""Bounded reads, and writes that never leave half a file."""

import contextlib
import gzip
import hashlib
import io
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from fxpnn.errors import DataError, FxpnnError

PIECE = 1 << 20
"""Bytes that are read or unpacked at a time."""

CACHE = "FXPNN_CACHE_DIR"
"""The environment variable that names another folder for what fxpnn keeps between runs."""

STALE = 3600.0
"""Seconds after which a temporary file can only be what a killed writer left."""

_TEMPORARY = re.compile(r"\.fxpnn-[0-9a-f]{16}")
_GZIP_MAGIC = b"\x1f\x8b"


UNNAMEABLE = "must be a name that a file can have, without a null or half a character"


def nameable(path: Path | str) -> bool:
    """Tell whether the system can be asked for a path at all: Python itself refuses others."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def check_name(path: Path, kind: type[FxpnnError]) -> None:
    """Raise ``kind`` for a path that no file can have."""
    if not nameable(path):
        raise kind(f"{path}: {UNNAMEABLE}")


@contextlib.contextmanager
def opened(path: Path, kind: type[FxpnnError]) -> Iterator[io.BufferedReader]:
    """Open a file to read; whatever the system reports meanwhile becomes one line.

    Raises:
        kind: the file is missing, empty, no regular file (a pipe could block for ever), or cannot
            be read.
    """
    check_name(path, kind)
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


def check_memory(path: Path, size: int) -> None:
    """Raise ``DataError`` where ``size`` bytes are more than half of this machine's memory."""
    if not hasattr(os, "sysconf"):  # Windows does not say
        return
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if size > most:
        raise DataError(
            f"{path}: must be at most {most} bytes, half of this machine's memory, not {size}; "
            "divide it into several files"
        )


def read(path: Path, limit: int, kind: type[FxpnnError]) -> bytes:
    """Read a whole file of 1 to ``limit`` bytes.

    Raises:
        kind: the file is missing, empty, larger, or cannot be read.
    """
    with opened(path, kind) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise kind(f"{path}: must be at most {limit} bytes, not {size}")
        parts = [file.read(size)]
        while more := file.read(PIECE):  # a file of /proc has a size of 0, a log may grow
            parts.append(more)
            size += len(more)
            if size > limit:
                raise kind(f"{path}: must be at most {limit} bytes, not more")
        return b"".join(parts)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary file beside it, then renamed over it.

    What writers that were killed left in the folder is removed.

    Raises:
        DataError: the folder or file cannot be written, or the disk is full; an old file stays.
    """
    write_all([(path, content)])


def write_all(contents: Sequence[tuple[Path, bytes]]) -> None:
    """Write files that belong together, as ``write`` does: if one cannot be, old ones stay.

    Raises:
        DataError: as ``write``.
    """
    for path, _ in contents:
        check_name(path, DataError)
    # A link is written through, not replaced.
    targets = [Path(os.path.realpath(path)) for path, _ in contents]
    made = [target.parent / f".fxpnn-{os.urandom(8).hex()}" for target in targets]
    try:
        for (path, content), target, temporary in zip(contents, targets, made, strict=True):
            with told(path):
                _stage(path, content, target, temporary)
        for (path, _), target, temporary in zip(contents, targets, made, strict=True):
            with told(path):
                temporary.replace(target)
    finally:
        for temporary in made:
            with contextlib.suppress(OSError):  # gone already where all went well
                temporary.unlink()
        for folder in {target.parent for target in targets}:
            _sweep(folder)


def _stage(path: Path, content: bytes, target: Path, temporary: Path) -> None:
    """Write a temporary file that may take the place of the target."""
    if target.exists() and not target.is_file():  # /dev/null must not become a file
        raise DataError(f"{path}: must be a file to write to, not a folder, pipe or device")
    with temporary.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        shutil.copymode(target, temporary)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Say which file the system did not write, and why.

    Raises:
        DataError: an ``OSError`` came meanwhile.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def check_folder(path: Path, replaced: Collection[str]) -> None:
    """Raise ``DataError`` unless ``write_folder`` may make a folder there; nothing is written yet.

    What is there already must be a folder with nothing in it but files named ``replaced``.
    """
    check_name(path, DataError)
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise DataError(f"{path}: must be a folder to write to, not a file, pipe or device")
    try:
        if target.is_dir():
            with os.scandir(target) as entries:
                for entry in entries:
                    if entry.name not in replaced or not entry.is_file(follow_symlinks=False):
                        raise DataError(
                            f"{path}: must be new, empty, or hold only what an earlier such "
                            f"command wrote, not {entry.name!r}"
                        )
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_folder(
    path: Path, contents: Iterable[tuple[str, bytes]], replaced: Collection[str] = ()
) -> None:
    """Write a folder of files, by their names, whole or not at all: beside it, then renamed.

    A folder that is there already is replaced if it holds nothing but files named ``replaced``.

    Raises:
        DataError: something else is there, or it cannot be written; what was there stays.
    """
    check_folder(path, replaced)
    target = Path(os.path.realpath(path))
    made, old = (target.parent / f".fxpnn-{os.urandom(8).hex()}" for _ in range(2))
    try:
        made.mkdir()
        for name, content in contents:
            with (made / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            check_folder(path, replaced)  # it may have changed meanwhile
            target.rename(old)
        made.rename(target)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for folder in (made, old):
            shutil.rmtree(folder, ignore_errors=True)
        _sweep(target.parent)


def _sweep(folder: Path) -> None:
    """Remove temporary files and folders that are too old to be still written."""
    oldest = time.time() - STALE
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (
                _TEMPORARY.fullmatch(entry.name)
                and entry.stat(follow_symlinks=False).st_mtime < oldest
            ):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry, ignore_errors=True)
                elif entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(OSError):  # another user's, or gone meanwhile
                        Path(entry).unlink()


def cache_folder(name: str) -> Path:
    """Name a folder, which may not exist yet, for what can be made or fetched again.

    A user without a home has none: the path then lies below the null device, where no file can be.
    A shared folder such as ``/tmp`` would let other users put code there.
    """
    if place := os.environ.get(CACHE):
        return Path(place, name).absolute()
    import platformdirs  # here, because few commands need it

    try:
        folder = platformdirs.user_cache_path("fxpnn", appauthor=False)
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():  # "~" that could not be expanded
        folder = Path(os.devnull, "fxpnn")
    return folder / name


def sha256(content: bytes) -> str:
    """Return the hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()
