"""The ROMs of a program as the text that ``$readmemh`` reads: a word a line, unit 0 lowest."""

from collections.abc import Iterable

import numpy as np

from fxpnn.targets import readmemh
from fxpnn.targets.verilog.instruction import LEAST_TABLES, pack
from fxpnn.targets.verilog.program import Program

SHIFT = 8
"""Bits beside each bias: its channel's shift, 7, and whether it was clamped."""
ENTRY, DIFFERENCE = 22, 18
"""Bits of a table's entry, and of the difference to the next."""


def spell(program: Program) -> dict[str, bytes]:
    """Spell the files of a program's ROMs, by their names; no ROM is empty."""
    sizes = program.sizes
    instructions = [pack(fields, sizes) for fields in program.instructions]
    units = zip(program.biases.tolist(), program.beside.tolist(), strict=True)
    biases = [
        _joined(
            (_cut(beside, SHIFT) << sizes.bias | _cut(bias, sizes.bias), SHIFT + sizes.bias)
            for bias, beside in zip(*unit, strict=True)
        )
        for unit in units
    ]
    tables = [
        _joined(((difference, DIFFERENCE), (entry, ENTRY)))
        for entry, difference in program.tables.tolist()
    ]
    return {
        "program.hex": _lines(instructions, sizes.instruction),
        "weights.hex": _weights(program),
        "bias.hex": _lines(biases, sizes.macs * (SHIFT + sizes.bias)),
        "tables.hex": _lines(tables, ENTRY + DIFFERENCE, LEAST_TABLES),
    }


def _weights(program: Program) -> bytes:
    """Spell words of weights: four digits a unit, the last unit first."""
    words = program.weights[:, ::-1]
    if len(words) < 2:
        words = np.pad(words, ((0, 2 - len(words)), (0, 0)))
    digits = np.frombuffer(readmemh.spell(words, 16), np.uint8).reshape(len(words), -1, 5)
    lines = digits[:, :, :4].reshape(len(words), -1)
    return np.pad(lines, ((0, 0), (0, 1)), constant_values=ord("\n")).tobytes()


def _cut(number: int, bits: int) -> int:
    """Return the two's complement of so many bits."""
    return number & (1 << bits) - 1


def _joined(fields: Iterable[tuple[int, int]]) -> int:
    """Join numbers and their bits to a word, the first lowest."""
    word = place = 0
    for number, bits in fields:
        word |= _cut(number, bits) << place
        place += bits
    return word


def _lines(words: list[int], bits: int, least: int = 2) -> bytes:
    """Spell words of any width, so many at least: those that are not there are 0."""
    digits = -(-bits // 4)
    padded = words + [0] * (least - len(words))
    return b"".join(f"{word:0{digits}x}\n".encode() for word in padded)
