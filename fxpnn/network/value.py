"""Values: frozen dataclasses that travel between processes, and print in a line."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np


class Value:
    """Base of frozen dataclasses that hold arrays or mappings.

    A value is pickled and copied by its fields, and made anew from them: so it is checked again,
    and its arrays and mappings are read-only again. Its ``repr`` is one line, whatever it holds.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init}  # type: ignore[arg-type] # a dataclass
        given = {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in given.items()}
        return _made, (type(self), given)

    def __repr__(self) -> str:
        shown = (f for f in fields(self) if f.init)  # type: ignore[arg-type] # a dataclass
        told = (f"{f.name}={_brief(getattr(self, f.name))}" for f in shown)
        return f"{type(self).__name__}({', '.join(told)})"


def _made(kind: type[Value], given: Mapping[str, Any]) -> Value:
    return kind(**given)


def _brief(value: object) -> str:
    """Say what a field holds: of an array its dtype and shape, of many things how many they are."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Mapping):
        return f"<{len(value)} entries>"
    if isinstance(value, tuple) and (len(value) > 4 or any(isinstance(v, Value) for v in value)):
        return f"<{len(value)} of {type(value[0]).__name__}>"
    return repr(value)
