"""Signals that end a command: each unwinds it, so that it leaves neither files nor a hidden cursor.

Ctrl-C is a ``KeyboardInterrupt``, as always in Python; the others are ``Ended``.
"""

import _thread
import os
import signal
import time
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


def heed() -> None:
    """Let signals raise in the main thread, but for those that the process was told to ignore."""
    raises = _Raises()
    for number in (signal.SIGINT, *ENDING):
        _handle(number, raises)


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


class _Raises:
    """Raises a signal, but for an import: that comes to its end first.

    What is raised in an import is not sure to leave it: Python before 3.12 wraps what comes while a
    class is made, and an extension that is loaded may print it and fail with another error.
    """

    def __init__(self) -> None:
        self._waiting: set[int] = set()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if _imports(frame):
            if number not in self._waiting:  # one that comes twice is one
                self._waiting.add(number)
                _thread.start_new_thread(self._send, (number,))  # threading's take locks to start
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        for other in ENDING:  # systems send several, and what cleans up must not be cut short
            signal.signal(other, signal.SIG_IGN)
        raise Ended(number)

    def _send(self, number: int) -> None:
        time.sleep(0.01)
        self._waiting.remove(number)
        os.kill(os.getpid(), number)  # wakes a main thread that waits, as no call of Python's does


def _imports(frame: FrameType | None) -> bool:
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None
