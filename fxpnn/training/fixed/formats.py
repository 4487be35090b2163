"""The formats of a training in fixed point: read from TOML, and brought to a network's tensors.

A file has a table for each kind of tensor. ``all`` is the format of all of the kind; a layer's own
stands by its name, that of one of its parameters in a table of the layer::

    [weights]
    all = "Q1.14"
    output = "Q2.13"
    output.bias = "Q3.12"       # instead of the line above: weight and bias apart
    [activations]
    all = "Q4.11"
    [deltas]
    all = "Q1.14"
    [gradients]
    all = "Q1.14"

``[velocity]`` may be missing: it is as the gradients then. The delta of the logits is Q0.15.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import msgspec

from fxpnn import files
from fxpnn.errors import DataError, FormatError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.graph import INPUT, Network
from fxpnn.network.learning import LOGITS_DELTA

MAX_FILE = 1 << 20
MAX_LINE = 1000
"""The parser's memory grows with the square of the parts of a dotted key, which is one line."""
ALL = "all"


@dataclass(frozen=True)
class TensorFormats:
    """The formats of one kind: of ``all`` its tensors, and of those that differ by their name.

    A name is a layer's, or that of one of its parameters, as ``output.bias``.
    """

    all: QFormat | None = None
    layers: Mapping[str, QFormat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.all, dict(self.layers))

    @classmethod
    def of(cls, table: Mapping[str, Any], kind: str) -> Self:
        """Read a table of the file.

        Raises:
            FormatError: a value is no format of at most 16 bits.
        """
        found = dict(_formats(table, kind))
        return cls(found.pop(ALL, None), found)

    def __getitem__(self, name: str) -> QFormat | None:
        """Return the format of a layer's tensor, or of a parameter: its own, its layer's, all's."""
        layer = name.rpartition(".")[0] or name
        return self.layers.get(name) or self.layers.get(layer) or self.all


@dataclass(frozen=True)
class Formats:
    """The formats of all tensors of a training in fixed point, by their kind."""

    weights: TensorFormats
    activations: TensorFormats
    deltas: TensorFormats
    gradients: TensorFormats
    velocity: TensorFormats | None = None

    @classmethod
    def of(cls, tables: Mapping[str, Any]) -> Self:
        """Read the tables of a file, or such a mapping.

        Raises:
            FormatError: a table is missing or unknown, or holds what is no format.
        """
        kinds = [f.name for f in fields(cls)]
        for name, table in tables.items():
            if name not in kinds or not isinstance(table, Mapping):
                raise FormatError(f"tables must be {', '.join(kinds)}, not {name!r}")
        read = {name: TensorFormats.of(tables[name], name) for name in tables}
        missing = [name for name in kinds[:-1] if name not in tables]
        if missing:
            raise FormatError(f"the table {missing[0]} must be given, not be missing")
        return cls(**read)

    @classmethod
    def uniform(cls, **formats: QFormat | str) -> Self:
        """Make one format for each kind: ``Formats.uniform(weights="Q1.14", ...)``."""
        return cls.of({kind: {ALL: str(fmt)} for kind, fmt in formats.items()})


def load_formats(path: Path) -> Formats:
    """Read the TOML file of the formats.

    Raises:
        DataError: the file cannot be read.
        FormatError: it is no TOML, or no file of formats.
    """
    content = files.read(path, MAX_FILE, DataError)
    if max(map(len, content.splitlines()), default=0) > MAX_LINE:
        raise FormatError(f"{path}: lines must be at most {MAX_LINE} bytes")
    try:
        return Formats.of(msgspec.toml.decode(content, type=dict[str, Any]))
    except (msgspec.MsgspecError, FormatError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())  # a key may hold line breaks
        raise FormatError(f"{path}: {line}") from None


def _formats(table: Mapping[str, Any], kind: str) -> Iterable[tuple[str, QFormat]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            inside = _formats(value, f"{kind}.{name}")
            yield from ((f"{name}.{inner}", fmt) for inner, fmt in inside)
            continue
        try:
            if not isinstance(value, str):
                raise FormatError(f"a format must be text, as Q3.12, not {value!r}")
            yield name, QFormat.parse(value).for_tensor()
        except FormatError as error:
            raise FormatError(f"{kind}.{name}: {error}") from None


@dataclass(frozen=True)
class Resolved:
    """A format for every tensor of a network, by the tensor's name."""

    weights: dict[str, QFormat]
    activations: dict[str, QFormat]
    deltas: dict[str, QFormat]
    gradients: dict[str, QFormat]
    velocity: dict[str, QFormat]


def resolved(formats: Formats, network: Network, floats: bool) -> Resolved:
    """Bring formats to the tensors of a network whose last layer is its softmax.

    ``floats`` says that inputs are no pixels: their format is then that of all activations unless
    it is given as ``input``.

    Raises:
        FormatError: a name is none of the network's, or a tensor has no format.
    """
    hidden = [node for node in network.nodes if node.layer.traits.format is None]
    summing = [node.name for node in hidden if node.layer.traits.sums]
    words = [f"{name}.{part}" for name in summing for part in ("weight", "bias")]
    own = [node.name for node in hidden if "output" in node.layer.traits.heeds]
    always = [node.name for node in hidden if node.layer.traits.chosen or node.layer.traits.integer]
    always += [INPUT] if floats else []
    activations = _chosen(formats.activations, "activations", [INPUT, *own])
    for name in always:
        activations.setdefault(name, _needed(formats.activations, "activations", name))
    deltas = {name.name: formats.deltas[name.name] for name in hidden}
    _check_names(formats.deltas, "deltas", deltas)
    deltas[hidden[-1].name] = formats.deltas.layers.get(hidden[-1].name, LOGITS_DELTA)
    kinds = {"weights": formats.weights, "gradients": formats.gradients}
    kinds["velocity"] = formats.velocity or formats.gradients
    found = {}
    for kind, given in kinds.items():
        _check_names(given, kind, [*words, *summing])
        found[kind] = {name: _needed(given, kind, name) for name in words}
    needed = {name: fmt or _needed(formats.deltas, "deltas", name) for name, fmt in deltas.items()}
    return Resolved(activations=activations, deltas=needed, **found)


def _chosen(given: TensorFormats, kind: str, known: list[str]) -> dict[str, QFormat]:
    _check_names(given, kind, known)
    return dict(given.layers)


def _needed(given: TensorFormats, kind: str, name: str) -> QFormat:
    found = given[name]
    if found is None:
        raise FormatError(f"{kind} of {name} must have a format, not none; give {kind}.{ALL}")
    return found


def _check_names(given: TensorFormats, kind: str, known: Iterable[str]) -> None:
    for name in given.layers:
        if name not in known:
            raise FormatError(f"{kind} must name {', '.join(known)}, not {name!r}")
