"""Own the kernels that Python calls: compiled once on each machine, kept, called without Numba.

Nothing is checked here: arrays must be contiguous and of the dtypes that are named below.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from fxpnn.kernels import binary, cache
from fxpnn.kernels.binary import FLOAT, INTEGER, Array, Kind
from fxpnn.kernels.codes import INSTRUCTION

log = logging.getLogger(__name__)

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
        self._results = results
        self._linked: tuple[Callable[..., int], object] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run the loop; return an array of what it returned."""
        function, _ = self._linked or self._link()
        results = self._results()
        if function(results, *arguments):
            raise MemoryError(f"no room for what {self.loop} computes with")
        return results

    def _link(self) -> tuple[Callable[..., int], object]:
        with _LOADING:
            if self._linked is None:
                kept = _cache().read(self.name) or self._compile()
                self._linked = binary.link(binary.split(kept), self.kinds)
            return self._linked

    def _compile(self) -> bytes:
        if self.seconds:
            log.info("compiling for this processor, once: about %d s", self.seconds)
        from fxpnn.kernels.compiler import compile_loop  # Numba's import is half a second

        made = binary.join(compile_loop(self.loop, self.kinds))
        _cache().write(self.name, made)
        return made


class PlainKernel(Kernel):
    """Stands in where Numba is told to compile nothing."""

    def __call__(self, *arguments: Any) -> Any:
        """Run the loop in Python; return a sequence of what it returned."""
        module, _, function = self.loop.partition(".")
        returned = getattr(import_module(f"fxpnn.kernels.{module}"), function)(*arguments)
        return returned if isinstance(returned, tuple) else (returned,)


_make = Kernel if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0") else PlainKernel

_WORDS, _QUADS = Array("i2"), Array("i8")
_POOLS = (_WORDS, Array("i4"), _QUADS, Array("?"))
_MACHINE = (Array(INSTRUCTION), *_POOLS, _WORDS, int, Array("i8", 2))
run = _make("run", "machine.run", _MACHINE, seconds=8)
run_rare = _make("run_rare", "machine.run_rare", _MACHINE)
run_steps = _make("run_steps", "machine.run_steps", _MACHINE, seconds=5)

_PLACES = (_QUADS, int, _WORDS)
_FLOATS = (float, float, float, *_PLACES)
pixels = _make("pixels", "entry.pixels", (Array("u1", 2), Array("i2", 2), Array("?", 2), *_PLACES))
floats = {
    "f": _make("floats_32", "entry.floats", (Array("f4", 2), *_FLOATS), INTEGER * 2),
    "d": _make("floats_64", "entry.floats", (Array("f8", 2), *_FLOATS), INTEGER * 2),
}
measure = _make("measure", "error.measure", (Array("f4"), _WORDS, float), FLOAT * 5)
