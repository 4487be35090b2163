"""What is done where the inside of Numba is not as expected: loops take its public dispatcher.

Only a compilation can tell, and kernels that are kept need none. So the first that fails, for
whatever reason, activates the fallback for the rest of the process. Kernels that were linked before
go on; the results are the same either way.
"""

import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

log = logging.getLogger(__name__)

KERNELS = "fxpnn.kernels"
STAY = ("build", "compiled", "layout")
"""What the kernels' folder has beside loops."""
REPLACED = (
    "build.decorators",
    "build.memory",
    "products",
    "clamping",
    "depthwise",
    "pairs",
    "vector.requantize",
)
"""The modules by which loops use the inside of Numba; ``dispatcher`` has all that loops import."""

_failed = False


def interpreted() -> bool:
    """Return whether Numba is told to compile nothing; then loops run as plain Python."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0").strip() not in ("", "0")


def active() -> bool:
    """Return whether loops are compiled by Numba's dispatcher, or run as plain Python."""
    return _failed or interpreted()


def activate(problem: Exception) -> None:
    """Compile no more through the inside of Numba; log why, once."""
    global _failed
    if not _failed:
        _failed = True
        _forget_loops()
        version = getattr(sys.modules.get("numba"), "__version__", "")
        reason = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        log.warning(
            "Numba %s does not compile loops as expected (%s): they are compiled anew at each "
            "start and run slower, with the same results",
            version,
            reason,
        )


def loop(name: str) -> Callable[..., Any]:
    """Return a loop (``module.function``) as the dispatcher compiles it, or in plain Python."""
    module, _, function = name.partition(".")
    dispatcher = import_module(f"{KERNELS}.build.dispatcher")
    sys.modules |= {f"{KERNELS}.{replaced}": dispatcher for replaced in REPLACED}
    found: Callable[..., Any] = getattr(import_module(f"{KERNELS}.{module}"), function)
    return found


def _forget_loops() -> None:
    """Let loops be imported again: those that are there are made for the inside of Numba."""
    for name in [name for name in sys.modules if name.startswith(f"{KERNELS}.")]:
        module = name.removeprefix(f"{KERNELS}.").partition(".")[0]
        if module not in STAY:
            del sys.modules[name]
            vars(sys.modules[KERNELS]).pop(module, None)
