"""Downloading MNIST from any mirror: only the published checksums are trusted."""

import http.client
import queue
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias
from urllib.parse import urlsplit

from fxpnn import files
from fxpnn.datasets import catalog, mnist
from fxpnn.errors import DataError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)
"""Folders that hold the four files of MNIST with ``.gz`` behind their names."""

TIMEOUT = 30.0
"""Seconds that a mirror may stay silent."""

TOTAL_TIME = 900.0
"""Seconds that one file may take in all, however often a mirror sends a byte."""

_PIECE = 1 << 16

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes done and in all, both counted unpacked."""


def fetch(
    name: str,
    folder: Path | None = None,
    progress: Progress | None = None,
    *,
    mirrors: Sequence[str] = MIRRORS,
) -> Path:
    """Bring MNIST's training and test set into a folder (the user's cache), and return it.

    Files that are there and as published are kept, so that running it again goes on where it
    stopped. A file gets its name only when it is whole and its sha256 is as published; a mirror
    that serves anything else is passed over for the next. They are stored unpacked.

    Raises:
        DataError: the name is not ``mnist``, a mirror is neither https nor a local file, no mirror
            serves a file as published, or the folder cannot be written.
    """
    catalog.check_name(name)
    folder = mnist.cache_folder() if folder is None else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made: {error.strerror}; name another folder, or set {files.CACHE}"
        ) from None
    total = sum(file.size for file in mnist.PUBLISHED)
    done = 0
    for file in mnist.PUBLISHED:
        advance = partial(_advance, progress, done, total)
        if not catalog.check(folder, file).ok:
            files.write(folder / file.name, _from_mirrors(file, mirrors, advance))
        advance(file.size)
        done += file.size
    return folder


def _advance(progress: Progress | None, before: int, total: int, count: int) -> None:
    if progress is not None:
        progress(before + count, total)


def _from_mirrors(
    file: mnist.IdxFile, mirrors: Sequence[str], advance: Callable[[int], None]
) -> bytes:
    reasons = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{file.name}.gz"
        try:
            return _download(url, file, advance)
        except DataError as error:
            reasons.append(str(error))
    raise DataError(f"{file.name}: cannot be fetched: {'; '.join(reasons) or 'no mirrors'}")


def _download(url: str, file: mnist.IdxFile, advance: Callable[[int], None]) -> bytes:
    stream = zlib.decompressobj(wbits=31)  # gzip
    content = bytearray()
    arrived = 0
    try:
        _check_url(url)
        for packed in _pieces(url, time.monotonic() + TOTAL_TIME):
            arrived += len(packed)
            content += stream.decompress(packed, file.size + 1 - len(content))
            if len(content) > file.size or arrived > file.size + _PIECE:
                raise DataError(f"{url}: must unpack to {file.size} bytes, not more")
            advance(len(content))
            if stream.eof:
                break
    except zlib.error as error:
        raise DataError(f"{url}: {error}") from None
    if files.sha256(bytes(content)) != file.sha256:
        raise DataError(f"{url}: must have the published sha256")
    return bytes(content)


def _pieces(url: str, deadline: float) -> Iterator[bytes]:
    """Yield what a mirror sends, until it ends or the deadline.

    A thread receives it: a name server, a handshake or a header may drip too, and no timeout of
    the socket covers these. It ends with the process, and after ``TIMEOUT`` of silence.
    """
    arriving: queue.SimpleQueue[bytes | DataError] = queue.SimpleQueue()
    left = threading.Event()

    def receive() -> None:
        try:
            opener = urllib.request.build_opener(_Redirects)
            with opener.open(url, timeout=TIMEOUT) as response:
                while not left.is_set() and (packed := response.read1(_PIECE)):
                    arriving.put(packed)
            arriving.put(b"")
        except DataError as error:  # without its traceback, which holds the connection
            arriving.put(DataError(str(error)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            arriving.put(DataError(f"{url}: {getattr(error, 'reason', None) or error}"))

    try:
        threading.Thread(target=receive, daemon=True).start()
    except RuntimeError:  # a limit of processes
        raise DataError(f"{url}: must have a thread to arrive by; the system gives none") from None
    try:
        while piece := arriving.get(timeout=max(0.0, deadline - time.monotonic())):
            if isinstance(piece, DataError):
                raise piece
            yield piece
    except queue.Empty:
        raise DataError(f"{url}: must arrive within {TOTAL_TIME:.0f} seconds") from None
    finally:
        left.set()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where a mirror may be."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname == "127.0.0.1"
    if parts.scheme not in ("https", "file") and not local:
        raise DataError(f"{url}: must be https or a local file")
