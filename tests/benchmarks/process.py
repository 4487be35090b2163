"""Fresh processes to measure in, with a known number of threads."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

BLAS = "OPENBLAS_NUM_THREADS"
POOLS = (BLAS, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "APYTYPES_THREAD_COUNT")
"""What the thread pools of numpy, torch and apytypes read when they are imported."""


def pools(threads: int) -> dict[str, str]:
    """Say to all thread pools how many threads they have."""
    return dict.fromkeys(POOLS, str(threads))


def fresh(
    changes: Mapping[str, str], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call a function in a new interpreter whose environment has these changes."""
    with environment(changes), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change the environment for a while."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
