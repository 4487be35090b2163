"""Conversion of state dicts: match saved parameters with those of a known architecture."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.graph import Network, Scaling
from fxpnn.network.layers import Array, Conv2D
from fxpnn.training import parameters, with_parameters
from fxpnn.zoo.architectures import architecture

WEIGHTS, BIASES = ("weight", "kernel", "w", "W"), ("bias", "b")
"""How frameworks call the parameters of a layer, behind its name."""

_NAME = re.compile(r"(.+)[./](\w+)(?::0)?")
"""A layer's name and a parameter's: ``fc.weight``, or ``fc/kernel:0``."""


class Origin(NamedTuple):
    """Where a parameter came from, and what was done to its axes."""

    name: str
    change: str = ""


@dataclass(frozen=True, eq=False)
class Conversion:
    """A network of converted parameters, and the origin of each; a bias without one is 0."""

    network: Network
    origins: Mapping[str, Origin]


def convert(
    name: str, state: Mapping[str, Array], mapping: Mapping[str, str] | None = None
) -> Conversion:
    """Make a network of a known architecture from a state dict.

    A weight is known by its shape: ours, a transposed matrix ``(in, out)``, a kernel ``(height,
    width, in, out)``, or the matrix of a convolution that sees its whole input. A bias is known by
    its weight's layer, else by its shape.

    Args:
        name: the architecture.
        state: parameters by their names.
        mapping: theirs to ours, by whole names (``fc.weight``) or by those of layers (``fc``) for
            weight and bias at once; what it leaves out is guessed.

    Raises:
        ModelError: the architecture is not known, or a parameter is missing, of another shape,
            not finite, one of several that could be meant, or left over.
    """
    network = replace(architecture(name).network(0), scaling=Scaling(assumed=True))
    return _Conversion(network, state).convert(mapping or {})


class _Conversion:
    """The parameters of both sides, and who has become whose so far."""

    def __init__(self, network: Network, state: Mapping[str, Array]) -> None:
        self._network, self._state = network, state
        self._ours = parameters(network)
        self._found: dict[str, str] = {}

    def convert(self, mapping: Mapping[str, str]) -> Conversion:
        """Find the origin of every parameter, what the mapping says first."""
        for theirs, ours in mapping.items():
            self._map(theirs, ours)
        for ours in self._ours:
            if ours not in self._found and (guess := self._guess(ours)) is not None:
                self._found[ours] = guess
        if unused := sorted({*self._state} - {*self._found.values()}):
            raise ModelError(
                f"{self._network.name} must have a place for every parameter; "
                f"it has none for {_list(unused)}"
            )
        values, origins = {}, {}
        for ours, array in self._ours.items():
            if ours in self._found:
                theirs = self._found[ours]
                values[ours] = self._value(theirs, ours)
                origins[ours] = Origin(theirs, self._change(theirs, ours) or "")
            else:
                values[ours] = np.zeros_like(array)
        return Conversion(with_parameters(self._network, values), origins)

    def _map(self, theirs: str, ours: str) -> None:
        """Take what the user says: one parameter, or a layer with all that it has."""
        if theirs in self._state and ours in self._ours:
            pairs = {ours: theirs}
        else:
            pairs = self._layer_pairs(theirs, ours)
        for ours, theirs in pairs.items():
            if self._change(theirs, ours) is None:
                shape, found = self._ours[ours].shape, self._state[theirs].shape
                raise ModelError(f"{ours} must be {shape}, or that turned, not {found} as {theirs}")
            self._found[ours] = theirs

    def _layer_pairs(self, theirs: str, ours: str) -> dict[str, str]:
        layers = {_split(name)[0]: None for name in self._ours}
        if ours not in layers:
            raise ModelError(f"the mapping must lead to one of {_list(layers)}, not {ours}")
        pairs = {}
        for name in self._state:
            layer, part = _split(name)
            for field, parts in (("weight", WEIGHTS), ("bias", BIASES)):
                if layer == theirs and part in parts:
                    pairs[f"{ours}.{field}"] = name
        if not pairs:
            raise ModelError(
                f"the mapping must start from one of {_list(self._state)}, or their layers, "
                f"not {theirs}"
            )
        return pairs

    def _guess(self, ours: str) -> str | None:
        """Choose the one parameter that fits; a bias may be missing."""
        layer, field = _split(ours)
        fitting = [
            name
            for name in self._state
            if name not in self._found.values() and self._change(name, ours) is not None
        ]
        weight = self._found.get(f"{layer}.weight", "")
        beside = [name for name in fitting if _split(name)[0] == _split(weight)[0] != ""]
        if field == "bias" and beside:
            fitting = beside
        if ours in fitting:
            return ours
        if len(fitting) > 1:
            raise ModelError(f"{ours} could be {_list(fitting)}; a mapping must say which")
        if not fitting and field == "weight":
            raise ModelError(
                f"{ours} must be among the parameters, as {self._ours[ours].shape}; "
                f"there are {self._shapes()}"
            )
        return fitting[0] if fitting else None

    def _change(self, theirs: str, ours: str) -> str | None:
        """Say what must be done to the axes of theirs to be ours; ``None`` if nothing can."""
        shape, found = self._ours[ours].shape, self._state[theirs].shape
        if found == shape:
            return ""
        if (len(shape) == 2 and found == shape[::-1]) or (
            len(shape) == 4 and found == (*shape[2:], shape[1], shape[0])
        ):
            return "transposed"
        if (
            len(shape) == 4
            and found == (shape[0], int(np.prod(shape[1:])))
            and self._sees_all(ours)
        ):
            return "reshaped"
        return None

    def _sees_all(self, ours: str) -> bool:
        node = self._network[_split(ours)[0]]
        seen = self._network.shapes[node.inputs[0]]
        assert isinstance(node.layer, Conv2D)
        return not any(node.layer.window.padding) and seen[1:] == node.layer.window.kernel

    def _value(self, theirs: str, ours: str) -> Array:
        array, change = self._state[theirs], self._change(theirs, ours)
        if array.dtype.itemsize < 4:
            array = array.astype(np.float32)
        if change == "transposed":
            return array.T if array.ndim == 2 else array.transpose(3, 2, 0, 1)
        return array.reshape(self._ours[ours].shape)

    def _shapes(self) -> str:
        return _list(f"{name} {array.shape}" for name, array in self._state.items())


def _split(name: str) -> tuple[str, str]:
    """Split a name into those of the layer, if there is one, and of the parameter."""
    match = _NAME.fullmatch(name)
    return (match[1], match[2]) if match else ("", name)


def _list(names: Iterable[str]) -> str:
    """Spell names on one line, no longer than a terminal can bear."""
    text = "".join(c if c.isprintable() else "?" for c in ", ".join(names))
    return text if len(text) <= 400 else f"{text[:400]}..."
