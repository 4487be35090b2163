"""Processes that work side by side; where one is killed, what it had is done again."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from fxpnn.errors import DataError

TRIES = 3
"""How often one item may be begun: one that kills its worker each time is given up."""


class Workers(Executor):
    """An executor of spawned processes whose ``map`` outlives their deaths.

    The pool of the standard library breaks as a whole when one process dies. Here it is made anew,
    and only what is missing runs again, each item at most three times. Processes end with the one
    that made them, however that ends.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = self._made()

    def _made(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), _begin)

    def _renew(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._made()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit one call to the pool as it is, or anew where a process died since the last."""
        try:
            return self._pool.submit(fn, *args, **kwargs)
        except BrokenProcessPool:
            self._renew()
            return self._pool.submit(fn, *args, **kwargs)

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
        futures = [self.submit(fn, *item) for item in items]

        def again(places: range) -> None:
            for place in places:
                if not _is_done(futures[place]):
                    futures[place] = self.submit(fn, *items[place])

        for place in range(len(items)):
            for tries in range(1, TRIES + 1):
                try:
                    result = futures[place].result(timeout)
                    break
                except BrokenProcessPool:
                    if tries == TRIES:
                        raise DataError(
                            f"workers must live: {TRIES} of them ended in the middle of item "
                            f"{place + 1} of {len(items)}; is there too little memory? Fewer "
                            "--workers need less"
                        ) from None
                    self._renew()
                    # The last time it is alone: what ends its worker then is this item.
                    again(range(place, place + 1 if tries + 1 == TRIES else len(items)))
            if tries == TRIES:
                again(range(place + 1, len(items)))
            yield result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """End the processes, when each has done its item; by default no other is begun."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _is_done(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


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
