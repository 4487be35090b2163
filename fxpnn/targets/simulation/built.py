"""Simulators that were built once are kept, as kernels are, by all that went into them."""

import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from fxpnn import files
from fxpnn.kernels.build import cache

log = logging.getLogger(__name__)


def executable(
    kind: str,
    sources: Mapping[str, bytes],
    how: Mapping[str, str],
    make: Callable[[Path], Path],
    target: Path,
) -> bool:
    """Put a program at ``target``: a kept one of the same sources, else a new one, which is kept.

    ``kind`` is a word that separates what evicts each other: of each kind, the last few stay.
    ``sources`` are files by their names, ``how`` all else that the program depends on: the tool's
    version, its flags. ``make`` gets a new folder that holds the sources, builds in it, and
    returns the program's path. Returns whether it had to.

    Raises:
        DataError: the program cannot be written.
        ToolError: by ``make``.
    """
    sums = {f"file {name}": files.sha256(content) for name, content in sources.items()}
    kept = cache.Cache(files.cache_folder("simulators") / kind, cache.key({**how, **sums}))
    program = kept.read(kind)
    built = program is None
    if program is None:
        with tempfile.TemporaryDirectory(prefix="fxpnn-") as folder:
            files.write_all([(Path(folder) / name, it) for name, it in sources.items()])
            program = make(Path(folder)).read_bytes()
        kept.write(kind, program)
    files.write(target, program)
    target.chmod(0o700)
    return built
