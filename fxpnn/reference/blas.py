"""One thread for each matrix product, where threads of our own each compute some."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from threading import Condition

from threadpoolctl import ThreadpoolController


@cache
def _blas() -> ThreadpoolController:
    """Find the library that numpy calls, once: that reads what is mapped into memory."""
    return ThreadpoolController()


class _Limit:
    """The limit, how many share what another has set, and whether that one is about to lift it."""

    def __init__(self) -> None:
        self.changed, self.others, self.leaving = Condition(), 0, False
        self.set: AbstractContextManager[object] | None = None

    def begin(self) -> bool:
        """Set the limit, or share it where it is set; tell whether it was not."""
        with self.changed:
            self.changed.wait_for(lambda: not self.leaving)
            first = self.set is None
            if first:
                limit = _blas().limit(limits=1, user_api="blas")
                limit.__enter__()
                self.set = limit
            self.others += not first
        return first

    def end(self, first: bool) -> None:
        """Share it no longer, or lift it when nobody else does; who asks meanwhile waits."""
        with self.changed:
            self.others -= not first
            self.leaving = self.leaving or first
            self.changed.notify_all()
            if first:
                try:
                    self.changed.wait_for(lambda: not self.others)
                finally:
                    assert self.set is not None
                    self.set.__exit__(None, None, None)
                    self.set, self.leaving = None, False
                    self.changed.notify_all()


_limit = _Limit()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS use one thread meanwhile, in the whole process; then it has as many as before.

    Threads that each call a BLAS of as many threads wait for each other: a comparison took five
    times the CPU seconds. And its floats depend on the number of its threads: now they are the same
    on any number of cores. Who asks while another has the limit shares it, and that one, which
    alone can lift what it set, waits for those who share.
    """
    first = _limit.begin()
    try:
        yield
    finally:
        _limit.end(first)
