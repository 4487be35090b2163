"""The decorators by which the loops are compiled; none of them counts references."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from fxpnn.kernels.build.pipeline import Parts

_Loop = TypeVar("_Loop", bound=Callable[..., Any])


def loop(function: _Loop) -> _Loop:
    """Compile a loop for others to call; it counts no references (``memory`` tells why)."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: _Loop = njit(nogil=True, _nrt=False, pipeline_class=Parts, **options)(function)
    return compiled


def part(function: _Loop) -> _Loop:
    """Compile a loop into the one loop that calls it: on its own it would be compiled twice."""
    compiled: _Loop = njit(nogil=True, _nrt=False, inline="always")(function)
    return compiled


def sums_in_any_order(function: _Loop) -> _Loop:
    """Compile a loop that stands alone, whose floats LLVM may add up in another order."""
    options = {"no_cfunc_wrapper": True, "fastmath": {"reassoc"}}
    compiled: _Loop = njit(nogil=True, _nrt=False, **options)(function)
    return compiled
