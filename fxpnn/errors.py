"""The errors that a user can cause: each is one line that says what, where and what to do."""


class FxpnnError(Exception):
    """Base of everything fxpnn raises on purpose; the command line prints it as one line."""


class FormatError(FxpnnError, ValueError):
    """A number format, rounding or overflow mode that cannot be; the command line exits with 2."""


class ModelError(FxpnnError, ValueError):
    """A model file or network that cannot be used; the command line exits with 3."""


class DataError(FxpnnError, ValueError):
    """A data file or array that cannot be used; the command line exits with 3."""
