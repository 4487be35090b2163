"""What an add, a multiply and a read cost, in picojoules, by tables that say where they are from.

The table that ships is an estimate: M. Horowitz, "Computing's energy problem (and what we can do
about it)", ISSCC 2014, for 45 nm and 0.9 V: integer adds of 8 and 32 bits 0.03 and 0.1 pJ, integer
multiplies 0.2 and 3.1 pJ, a read of 64 bits from a memory of 8 KB 10 pJ. All else is ours, made of
these by four rules:

- an add of another word: the straight line through the nearest two words of the table;
- a multiply of another word: the straight line over the square of the word; of two words, over
  their product;
- a read of another width: as much for each bit; of a smaller memory, as much as of this one;
- a larger memory counts as so many of 8 KB, of which a read reads one: the wires that join them
  are not counted.

A table with one word alone is a line through 0. No rule gives less than 0.
"""

import math
from collections.abc import Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from fxpnn import files
from fxpnn.errors import DataError

MAX_FILE = 1 << 16
MAX_LINE = 1000
"""The parser's memory grows with the square of the parts of a dotted key, which is one line."""
SHIPPED = "energy.toml"

Positive: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=1 << 40)]
Picojoules: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Source: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class Arithmetic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one operation on words of ``bits`` costs, and who says so."""

    bits: Positive
    pj: Picojoules
    source: Source


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a read of ``bits`` costs from a memory of ``bytes``, and who says so."""

    bytes: Positive
    bits: Positive
    pj: Picojoules
    source: Source


class EnergyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures by word, at least one of each, and what they are figures of."""

    name: Source
    add: Annotated[tuple[Arithmetic, ...], msgspec.Meta(min_length=1)]
    multiply: Annotated[tuple[Arithmetic, ...], msgspec.Meta(min_length=1)]
    read: Annotated[tuple[Read, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        for figures in (self.add, self.multiply):
            if len({it.bits for it in figures}) < len(figures):
                raise ValueError("no word must have two figures")

    def add_pj(self, bits: int) -> float:
        """Return what an add of words of ``bits`` costs, in pJ."""
        return _line([(it.bits, it.pj) for it in self.add], bits)

    def multiply_pj(self, bits: int, other: int) -> float:
        """Return what a multiply of a word of ``bits`` and one of ``other`` costs, in pJ."""
        return _line([(it.bits**2, it.pj) for it in self.multiply], bits * other)

    def read_pj(self, bits: int, memory_bits: int) -> float:
        """Return what it costs to read ``bits`` of a memory that has ``memory_bits``, in pJ."""
        by_size = sorted(self.read, key=lambda it: it.bytes)
        held = (it for it in by_size if 8 * it.bytes >= memory_bits)
        figure = next(held, by_size[-1])
        return figure.pj / figure.bits * bits


def shipped() -> EnergyTable:
    """Return the table that ships."""
    content = resources.files("fxpnn.targets").joinpath(SHIPPED).read_bytes()
    return msgspec.toml.decode(content, type=EnergyTable)


def load(path: Path | str) -> EnergyTable:
    """Read a table, as the one that ships is spelled.

    Raises:
        DataError: the file cannot be read, is no TOML, or has a figure that cannot be.
    """
    content = files.read(Path(path), MAX_FILE, DataError)
    if max(map(len, content.splitlines())) > MAX_LINE:
        raise DataError(f"{path}: lines must be at most {MAX_LINE} bytes")
    try:
        return msgspec.toml.decode(content, type=EnergyTable)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: must be a table of energies: {error}") from None


def _line(points: Sequence[tuple[int, float]], place: int) -> float:
    """Follow the line through the two points on either side of a place, or the nearest two."""
    ordered = sorted(points)
    if len(ordered) == 1:
        ordered = [(0, 0.0), *ordered]
    for (left, low), (right, high) in pairwise(ordered):
        if place <= right or right == ordered[-1][0]:
            return max(0.0, low + (high - low) * (place - left) / (right - left))
    raise AssertionError(math.inf)
