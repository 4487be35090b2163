"""Processes that work side by side; where one is killed, what it had is done again."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from queue import SimpleQueue
from threading import Thread
from typing import Any

from fxpnn.errors import DataError

TRIES = 3
"""How often one item may be begun: one that kills its worker each time is given up."""


class Workers(Executor):
    """An executor of spawned processes that outlives their deaths.

    A pool of the standard library breaks as a whole when one of its processes dies, and may never
    end where that happens while it begins another. Here each process is a pool of its own, with a
    thread that hands it one item after the other: a death concerns one item, which a new process
    begins again, at most three times. Processes end with the one that made them, however that
    ends.
    """

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count)
        self._idle = SimpleQueue[ProcessPoolExecutor]()
        self._ended = False
        for _ in range(count):
            self._idle.put(_process())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Let one process call ``fn``."""
        return self._threads.submit(self._run, partial(fn, **kwargs), "an item", args)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """Give the results in the order of the items.

        Raises:
            DataError: an item ended its worker each time.
        """
        items = list(zip(*iterables, strict=True))
        names = [f"item {number} of {len(items)}" for number in range(1, len(items) + 1)]
        return self._threads.map(partial(self._run, fn), names, items, timeout=timeout)

    def _run(self, fn: Callable[..., Any], name: str, args: tuple[Any, ...]) -> Any:
        """Run one item in a process that has none: there are as many as threads."""
        process = self._idle.get()
        try:
            for _ in range(TRIES):
                try:
                    return process.submit(fn, *args).result()
                except BrokenProcessPool:
                    process.shutdown(wait=False)
                    process = _process()
                    if self._ended:  # Ctrl-C ends the workers too
                        break
        finally:
            self._idle.put(process)
        raise DataError(
            f"workers must live: {TRIES} of them ended in the middle of {name}; is there too "
            "little memory? Fewer --workers need less"
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """End the processes, when each has done its item; by default no other is begun."""
        self._ended = True
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for _ in range(self._idle.qsize()):
            self._idle.get().shutdown(wait)


def _process() -> ProcessPoolExecutor:
    """Give a process, which begins with its first item."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """Let Ctrl-C end a worker without a word, and the death of its parent end it at all."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end; the pipe of items stays open, for other workers hold it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
