"""Own what is told of a file that a command has written."""

import msgspec


class Exported(msgspec.Struct, frozen=True):
    """An export, schema 1; ``not_carried`` says in words what the file leaves out."""

    schema: int
    path: str
    sha256: str
    target: str
    not_carried: tuple[str, ...]
