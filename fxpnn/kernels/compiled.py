"""Own the kernels that Python calls: compiled once on each machine, kept, called without Numba.

Nothing is checked here: arrays must be contiguous and of the dtypes that are named below.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from fxpnn.kernels.build import cache, object_code
from fxpnn.kernels.build.object_code import FLOAT, INTEGER, Array, Function, Kind
from fxpnn.kernels.layout.instructions import INSTRUCTION

log = logging.getLogger(__name__)

Bound: TypeAlias = Callable[[Any], Any]
"""A kernel that has all arguments but the first; it takes that and returns a sequence of results,
which the next call overwrites. One thread may use it at a time."""

_cache = functools.cache(cache.default)
_LOADING = threading.RLock()


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
        """Run the loop; return an array of what it returned."""
        return self.bind(*rest)(first)

    def bind(self, *rest: Any) -> Bound:
        """Return the kernel with all arguments but the first, so that a call costs the least."""
        function, _ = self._linked or self._link()
        place, results = object_code.block(self.kinds[1:], rest, self.results)

        def bound(first: Any, _kept: object = rest) -> Any:
            if function(place, first):
                raise MemoryError(f"no room for what {self.loop} computes with")
            return results

        return bound

    def _link(self) -> tuple[Function, object]:
        with _LOADING:
            if self._linked is None:
                kept = _cache().read(self.name) or self._compile()
                self._linked = object_code.link(object_code.split(kept), self.kinds[0])
            return self._linked

    def _compile(self) -> bytes:
        if self.seconds:
            log.info("compiling for this processor, once: about %d s", self.seconds)
        from fxpnn.kernels.build.compiler import compile_loop  # Numba's import is half a second

        made = object_code.join(compile_loop(self.loop, self.kinds))
        _cache().write(self.name, made)
        return made


class PlainKernel(Kernel):
    """Stands in where Numba is told to compile nothing."""

    def bind(self, *rest: Any) -> Bound:
        """Return the loop in Python with all arguments but the first."""
        module, _, name = self.loop.partition(".")
        loop = getattr(import_module(f"fxpnn.kernels.{module}"), name)

        def bound(first: Any) -> Any:
            returned = loop(first, *rest)
            return returned if isinstance(returned, tuple) else (returned,)

        return bound


_make = Kernel if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0") else PlainKernel

_WORDS, _QUADS = Array("i2"), Array("i8")
_POOLS = (_WORDS, Array("i4"), _QUADS, Array("?"))
_MACHINE = (int, Array(INSTRUCTION), *_POOLS, _WORDS, Array("i8", 2))
run = _make("run", "interpreter.run", _MACHINE, seconds=6)
run_rare = _make("run_rare", "interpreter.run_rare", _MACHINE, seconds=1)
run_steps = _make("run_steps", "interpreter.run_steps", _MACHINE, seconds=5)

_PLACES = (_QUADS, int, _WORDS)
_FLOATS = (float, float, float, *_PLACES)
pixels = _make("pixels", "entry.pixels", (Array("u1", 2), Array("i2", 2), Array("?", 2), *_PLACES))
words = _make("words", "entry.words", (Array("i2", 2), *_PLACES))
values = _make("values", "entry.values", (Array("i2", 2), *_PLACES))
floats = {
    "f": _make("floats_32", "entry.floats", (Array("f4", 2), *_FLOATS), INTEGER * 2),
    "d": _make("floats_64", "entry.floats", (Array("f8", 2), *_FLOATS), INTEGER * 2),
}
measure = _make("measure", "error_statistics.measure", (Array("f4"), _WORDS, float), FLOAT * 5)
