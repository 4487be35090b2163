"""Work spread over threads: as many as the system gives, and the one that asks."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def spread(work: Callable[[_Item], _Result], items: Sequence[_Item], threads: int) -> list[_Result]:
    """Return what ``work`` makes of each item, in their order, done by at most so many threads.

    The calling thread is one of them. Where a limit of processes refuses others, it does their
    part. The first error, Ctrl-C too, lets no thread begin another item; it is raised when all have
    ended.
    """
    left = deque(range(len(items)))
    done: dict[int, _Result] = {}
    errors: list[BaseException] = []

    def take_items() -> None:
        while not errors:
            try:
                place = left.popleft()
            except IndexError:  # nothing is left
                return
            try:
                done[place] = work(items[place])
            except BaseException as error:
                errors.append(error)

    helpers = [Thread(target=take_items) for _ in range(min(threads, len(items)) - 1)]
    try:
        with suppress(RuntimeError):  # how Python says that the system gives no more threads
            for helper in helpers:
                helper.start()
        take_items()
    except BaseException as error:  # Ctrl-C between two items
        errors.append(error)
    for helper in helpers:
        while helper.is_alive():
            try:
                helper.join()
            except BaseException as error:  # Ctrl-C: the others are told to end
                errors.append(error)
    if errors:
        raise errors[0]
    return [done[place] for place in range(len(items))]
