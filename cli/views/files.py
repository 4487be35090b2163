"""Describe a file that a command has written."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from fxpnn.analysis.tables import table
from fxpnn.errors import one_line
from fxpnn.zoo.conversion import Origin

from ..console.tables import ResultConsole
from ..sources import ModelSource


class Exported(msgspec.Struct, frozen=True):
    """An export, schema 1; ``not_carried`` says in words what the file leaves out."""

    schema: Literal[1]
    path: str
    sha256: str
    target: str
    not_carried: tuple[str, ...]


class Parameter(msgspec.Struct, frozen=True):
    """A parameter, its name in the file it came from, and what was done to its axes."""

    name: str
    origin: str
    change: str


class Converted(msgspec.Struct, frozen=True):
    """A conversion, schema 1."""

    schema: Literal[1]
    model: ModelSource
    parameters: tuple[Parameter, ...]


def converted(model: ModelSource, origins: Mapping[str, Origin]) -> Converted:
    """Describe a conversion."""
    parameters = (Parameter(name, origin.name, origin.change) for name, origin in origins.items())
    return Converted(1, model, tuple(parameters))


def print_converted(done: Converted) -> None:
    """Draw which parameter became which."""
    drawn = table("parameter", "was", "change", folded=("was",))
    for parameter in done.parameters:
        drawn.add_row(parameter.name, one_line(parameter.origin), parameter.change)
    console = ResultConsole()
    console.print(drawn)
