"""Signals that end a command: each unwinds it, so that it leaves neither files nor a hidden cursor.

Ctrl-C is a ``KeyboardInterrupt``, as always in Python; the others are ``Ended``.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_NAMES = ("SIGTERM", "SIGHUP", "SIGXCPU")
ENDING = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""What a system sends to end a process that could still clean up."""


class Ended(BaseException):
    """A signal, by its number, came to end the process."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise a signal as it came: Python before 3.12 wraps one that comes while a class is made."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, Ended | KeyboardInterrupt):
            raise error.__cause__ from None
        raise


def heed() -> None:
    """Let signals raise in the main thread, but for those that the process was told to ignore."""
    _handle(signal.SIGINT, signal.default_int_handler)
    for number in ENDING:
        _handle(number, _end)


def release() -> None:
    """Let signals end the process at once: there is nothing to clean up any more."""
    for number in (signal.SIGINT, *ENDING):
        _handle(number, signal.SIG_DFL)


def die_by(number: int) -> NoReturn:
    """End by a signal, so that who waits for the process sees what ended it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # a signal that is blocked ends nothing


def _handle(number: int, handler: "signal._HANDLER") -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells' "&" say
        signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    for other in ENDING:  # systems send several, and what cleans up must not be cut short
        signal.signal(other, signal.SIG_IGN)
    raise Ended(number)
