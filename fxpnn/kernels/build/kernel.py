"""A kernel that Python calls: fetched from the cache, or compiled, when it is first called."""

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from fxpnn.kernels.build import cache, fallback, object_code
from fxpnn.kernels.build.object_code import INTEGER, Function, Kind

log = logging.getLogger(__name__)

Bound: TypeAlias = Callable[[Any], Any]
"""A kernel that has all arguments but the first; it takes that and returns a sequence of results,
which the next call overwrites. One thread may use it at a time."""

_cache = functools.cache(cache.default)
_LOADING = threading.RLock()
_THREADS = "NUMBA_NUM_THREADS"
_COMPILER_LOCK = "numba.core.compiler_lock"


@contextmanager
def _valid_number_of_threads() -> Iterator[None]:
    """Hide a number of threads that Numba's import refuses, as 0 is; no loop here asks for any.

    It stays hidden while loops are compiled: each compilation reads the environment again.
    """
    given = os.environ.get(_THREADS)
    if given is None or (given.strip().isdecimal() and int(given) > 0):
        yield
        return
    del os.environ[_THREADS]
    try:
        yield
    finally:
        os.environ[_THREADS] = given


@functools.cache
def _guard_forks() -> None:
    """Let a fork wait until nobody compiles: a child has no thread that would free the locks.

    Numba's lock is taken too: other code of the process may compile with it.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_lock, after_in_parent=_unlock, after_in_child=_unlock)


_held: list[Any] = []


def _lock() -> None:
    _LOADING.acquire()
    numbas = getattr(sys.modules.get(_COMPILER_LOCK), "global_compiler_lock", None)
    acquire, release = (getattr(numbas, name, lambda: None) for name in ("acquire", "release"))
    acquire()
    _held.append(release)


def _unlock() -> None:
    _held.pop()()
    _LOADING.release()


class Kernel:
    """A loop that Python calls; it is fetched from the cache, or compiled, when it is first called.

    ``loop`` says which (``module.function``), ``results`` is the C type of what it returns, and
    ``seconds`` about how long it takes to compile, where a user should know.
    """

    def __init__(
        self,
        name: str,
        loop: str,
        kinds: tuple[Kind, ...],
        results: Any = INTEGER * 1,
        seconds: int = 0,
    ) -> None:
        self.name, self.loop, self.kinds, self.seconds = name, loop, kinds, seconds
        self.results = results
        self._linked: tuple[Function, object] | None = None

    def __call__(self, first: Any, *rest: Any) -> Any:
        """Run the loop; return a sequence of what it returned."""
        return self.bind(*rest)(first)

    def bind(self, *rest: Any) -> Bound:
        """Return the kernel with all arguments but the first, so that a call costs the least."""
        linked = self._linked or self._link()
        if linked is None:
            return self._bind_fallback(*rest)
        function, _ = linked
        place, results = object_code.block(self.kinds[1:], rest, self.results)

        def bound(first: Any, _kept: object = rest) -> Any:
            if function(place, first):
                raise MemoryError(f"no room for what {self.loop} computes with")
            return results

        return bound

    def has_vector_code(self) -> bool:
        """Fetch or compile the loop; return whether that needed no ``fallback``."""
        return (self._linked or self._link()) is not None

    def _link(self) -> tuple[Function, object] | None:
        if fallback.interpreted():
            return None
        _guard_forks()
        with _LOADING:
            if self._linked is None:
                try:
                    kept = _cache().read(self.name) or self._compile()
                    if kept is not None:
                        self._linked = object_code.link(object_code.split(kept), self.kinds[0])
                except Exception as problem:  # whatever is inside may have changed
                    fallback.activate(problem)
            return self._linked

    def _compile(self) -> bytes | None:
        if fallback.active():
            return None
        if self.seconds:
            log.info("compiling for this processor, once: about %d s", self.seconds)
        with _valid_number_of_threads():
            from fxpnn.kernels.build.compiler import compile_loop  # Numba's import is half a second

            made = object_code.join(compile_loop(self.loop, self.kinds))
        _cache().write(self.name, made)
        return made

    def _bind_fallback(self, *rest: Any) -> Bound:
        with _LOADING, _valid_number_of_threads():
            loop = fallback.loop(self.loop)

        def bound(first: Any) -> Any:
            with _valid_number_of_threads():
                returned = loop(first, *rest)
            return returned if isinstance(returned, tuple) else (returned,)

        return bound
