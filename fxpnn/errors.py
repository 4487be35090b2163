"""The errors that a user can cause: each is one line that says what, where and what to do."""

import re


class FxpnnError(Exception):
    """Base of everything fxpnn raises on purpose; the command line prints it as one line."""


class FormatError(FxpnnError, ValueError):
    """A number format, rounding or overflow mode that cannot be; the command line exits with 2."""


class ModelError(FxpnnError, ValueError):
    """A model file or network that cannot be used; the command line exits with 3."""


class DataError(FxpnnError, ValueError):
    """A data file or array that cannot be used; the command line exits with 3."""


class ToolError(FxpnnError, RuntimeError):
    """A compiler or simulator that is missing, too old or failed; the command line exits with 3."""


def one_line(text: object) -> str:
    r"""Return text as one line; what a terminal would heed or hide is escaped as Python spells it.

    >>> print(one_line("two" + chr(10) + "lines" + chr(27) + "[2J"))
    two lines\x1b[2J
    """
    line = re.sub(r"[ \t\r\n]+", " ", str(text)).strip()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
