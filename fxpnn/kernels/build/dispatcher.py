"""What loops are made of where Numba's inside is not as expected: its public dispatcher alone.

``fallback`` puts this module in the place of those that use that inside. Here loops count
references, are compiled anew in each process, and have no vector code: programs of plain loops
never reach it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

_Loop = TypeVar("_Loop", bound=Callable[..., Any])
Array = npt.NDArray[Any]


def loop(function: _Loop) -> _Loop:
    """Compile a loop when it is first called."""
    compiled: _Loop = njit(nogil=True)(function)
    return compiled


part = loop


def sums_in_any_order(function: _Loop) -> _Loop:
    """Compile a loop whose floats LLVM may add up in another order."""
    compiled: _Loop = njit(nogil=True, fastmath={"reassoc"})(function)
    return compiled


@loop
def empty(size: int, dtype: Any) -> Array:
    """Make an array of anything."""
    return np.empty(size, dtype)


@loop
def zeros(size: int, dtype: Any) -> Array:
    """Make an array of zeros."""
    return np.zeros(size, dtype)


@loop
def free(arrays: tuple[Array, ...]) -> None:
    """Do nothing: who counts references knows when an array is free."""


@loop
def matrix(flat: Array, rows: int, columns: int) -> Array:
    """See the first of a flat array as a matrix, line by line."""
    return flat[: rows * columns].reshape(rows, columns)


@loop
def _vector_code(*arguments: Any) -> tuple[int, int, int]:
    """Stand in for loops of vector code, with a result of their type; refuse to run."""
    for _ in range(1):  # or Numba would see that there is no result, and refuse the callers
        raise NotImplementedError("vector code needs the inside of Numba")
    return 0, 0, 0


exact = clamped = depthwise = by_vectors = mean = largest = narrow = _vector_code
