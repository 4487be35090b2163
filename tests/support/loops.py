"""Loops run in plain Python; ``fxpnn.kernels.build.pipeline.alone`` compiles them."""

import os
from collections.abc import Callable
from types import FunctionType
from typing import Any

from fxpnn.engine.inference import PLAIN
from fxpnn.kernels.build import fallback


def plainly() -> bool:
    """Tell whether engines of this process sum by the plain loops, as they do in some modes."""
    return os.environ.get(PLAIN) == "plain" or fallback.active()


def in_python(loop: Any, known: dict[Any, Callable[..., Any]] | None = None) -> Callable[..., Any]:
    """Return a loop, and all loops that it calls, as Python: it cannot call compiled parts."""
    known = {} if known is None else known
    if loop not in known:
        names = dict(loop.py_func.__globals__)
        known[loop] = FunctionType(loop.py_func.__code__, names)
        parts = {name: value for name, value in names.items() if hasattr(value, "py_func")}
        names |= {name: in_python(part, known) for name, part in parts.items()}
    return known[loop]
