"""The folder where compiled kernels stay between runs: whose it is, for what, whole files.

What lies there is machine code, so nothing is used that does not verify. The folder and its files
must belong to the user and be writable by nobody else; a file begins with a digest of the rest, of
its name, and of all that the code depends on. Whatever fails is deleted and made again; where the
folder cannot be used, kernels are compiled and not kept.

It lies in the user's cache or in ``files.CACHE``. Numba's variable for its own cache is not heeded:
that may be a folder which many users share, and none of these files is Numba's.
"""

import hashlib
import logging
import os
import re
import shutil
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import NamedTuple

import llvmlite
import numpy as np
from llvmlite import binding

import fxpnn
from fxpnn import files
from fxpnn.errors import DataError
from fxpnn.fixedpoint import casting, qformat
from fxpnn.kernels.build import processor

log = logging.getLogger(__name__)

KEPT = 8
"""Folders of other versions, sources and processors stay until there are more than this many: a
home may serve several machines."""
_NUMBAS_FOLDER = "NUMBA_CACHE_DIR"
_KEY = re.compile(r"[0-9a-f]{32}")


class Cache(NamedTuple):
    """The files for one identity (``identity``) in a folder that is shared with others."""

    root: Path
    key: str

    @property
    def folder(self) -> Path:
        """Name the folder of this identity."""
        return self.root / self.key

    def read(self, name: str) -> bytes | None:
        """Return what was written by this name, if it is whole and the user's own."""
        path = self.folder / name
        try:
            if not self._private():
                return None
            content = path.read_bytes() if _ours(path) else b""
        except OSError:
            return None
        body = content[32:]
        if content[:32] == self._digest(name, body):
            return body
        with suppress(OSError):
            path.unlink()
        return None

    def write(self, name: str, body: bytes) -> None:
        """Keep a file if that can be; a new folder takes the place of the oldest."""
        try:
            new = not self.folder.exists()
            for folder in (*reversed(self.root.parents), self.root, self.folder):
                folder.mkdir(mode=0o700, exist_ok=True)
            if not self._private():
                log.info("compiled code is not kept: %s must be yours alone to write", self.root)
                return
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)  # it is none of ours, and would stay in the way
            files.write(path, self._digest(name, body) + body)
            path.chmod(0o600)
            if new:
                self._clear()
        except (OSError, DataError) as error:
            log.info("compiled code is not kept: %s", error)

    def _private(self) -> bool:
        above = all(map(_guarded, Path(os.path.realpath(self.root)).parents))
        return above and _ours(self.root) and _ours(self.folder)

    def _digest(self, name: str, body: bytes) -> bytes:
        return hashlib.sha256(f"{self.key}/{name}/".encode() + body).digest()

    def _clear(self) -> None:
        found = [path for path in self.root.iterdir() if _KEY.fullmatch(path.name) and _ours(path)]
        found.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in found[:-KEPT]:
            if path != self.folder:
                shutil.rmtree(path, ignore_errors=True)


def default() -> Cache:
    """Return the user's cache for this machine, these versions and these settings."""
    return Cache(files.cache_folder("kernels"), key(identity()))


def key(parts: Mapping[str, str]) -> str:
    """Name an identity by a digest."""
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:32]


def identity() -> dict[str, str]:
    """Gather all that compiled code depends on: versions, sources, processor, Numba's settings."""
    settings = {
        k: v for k, v in os.environ.items() if k.startswith("NUMBA_") and k != _NUMBAS_FOLDER
    }
    return {
        "fxpnn": fxpnn.__version__,
        "sources": _sources(),
        "python": sys.version,
        "numpy": np.__version__,
        "numba": _numba(),
        "llvmlite": llvmlite.__version__,
        "system": binding.get_process_triple(),
        "processor": binding.get_host_cpu_name(),
        "features": processor.features(),
        "settings": repr(sorted(settings.items())),
    }


def _ours(path: Path) -> bool:
    """Tell whether a file or folder, no link, is the user's and nobody else may write it."""
    if os.name == "nt":  # a user's folders are private there; modes say nothing of it
        return True
    about = path.lstat()
    plain = stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)
    return plain and about.st_uid == os.geteuid() and not about.st_mode & 0o022


def _guarded(folder: Path) -> bool:
    """Tell whether no stranger can put another folder in the place of one in this folder."""
    if os.name == "nt":
        return True
    about = folder.lstat()
    shared = about.st_mode & stat.S_IWOTH and not about.st_mode & stat.S_ISVTX
    return about.st_uid in (0, os.geteuid()) and not shared


def _sources() -> str:
    """Digest the sources of the kernels, and of the modes that they know as numbers."""
    digest = hashlib.sha256()
    modules = (casting, qformat)
    for path in (
        *sorted(Path(__file__).parents[1].rglob("*.py")),
        *(Path(m.__file__) for m in modules),
    ):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _numba() -> str:
    """Return a text that holds Numba's version; importing Numba would take half a second."""
    found = util.find_spec("numba")
    if found is not None and found.origin is not None:
        version = Path(found.origin).with_name("_version.py")
        if version.exists():
            return version.read_text()
    from importlib import metadata  # ten times slower

    return metadata.version("numba")
