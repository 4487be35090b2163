"""The instructions of the core: the fields of a word of ``program.hex``, and how steps fill them.

``fx_core.v`` names the same fields in the same order, highest bits first. Widths that depend on the
network are those of the core's parameters, by a letter: ``A`` an address of the activation memory,
``P`` a row or column, ``N`` turns of a loop, ``W``, ``B`` and ``T`` addresses of weights, biases
and tables. ``7A`` is one for each loop.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.targets.lowering import Step

LAYOUT: tuple[tuple[str, int | str], ...] = (
    *(("kind", 3), ("step", 8), ("ends_program", 1), ("ends", 1)),
    *(("read_base", "A"), ("first_row", "P"), ("first_column", "P"), ("height", "P")),
    *(("width", "P"), ("bottom", "P"), ("right", "P"), ("counts", "7N")),
    *(("address_turns", "7A"), ("row_turns", "7P"), ("column_turns", "7P")),
    *(("pause", 8), ("pad", 16), ("weight_base", "W"), ("bias_base", "B")),
    *(("results", 8), ("results_end", 8), ("acc_word", 6), ("wraps", 1)),
    *(("stays", 1), ("passes", 1), ("rises", 1), ("times", 1)),
    *(("write_base", "A"), ("across", "N"), ("down", "N"), ("stride", "A"), ("turn", "A")),
    *(("own_shift", 7), ("rounding", 3), ("overflow", 2), ("word", 5), ("signed_word", 1)),
    *(("low", 16), ("high", 16), ("floor", 16), ("ceiling", 16)),
    *(("rectified", 1), ("uncounted", 1), ("average", 1), ("divide_steps", 6)),
    *(("function", 3), ("table_base", "T"), ("segments", "T"), ("position_shift", 6)),
    *(("relu_shift", 6), ("g_shift", 5)),
    *(("classes", 13), ("inner", 16), ("outer", 16), ("exponent", 6), ("by_softmax", 1)),
)
LOOPS = 7
LEAST_TABLES = 257
"""Words that the ROM of tables has at least: softmax's."""
Fields: TypeAlias = dict[str, int | tuple[int, ...]]
"""What an instruction says, by the names of ``LAYOUT``; what is not named is 0."""


class Kind(IntEnum):
    """What an instruction does."""

    INPUT = 0
    OUTPUT = 1
    SUM = 2
    POOL = 3
    TABLE = 4
    SOFTMAX = 5


class Loop(NamedTuple):
    """How often a loop turns, and how much further each turn is."""

    turns: int = 1
    address: int = 0
    row: int = 0
    column: int = 0


@dataclass(frozen=True)
class Sizes:
    """The parameters of ``fx_core``, by its names in lower case."""

    macs: int
    acc: int
    bias: int
    clamp: int
    wide: int
    words: int
    place: int
    count: int
    program: int
    weights: int
    biases: int
    tables: int
    steps: int
    averages: int = 1
    curves: int = 1
    softmaxes: int = 1

    def bits(self, width: int | str) -> int:
        """Return the bits of a field, one item of it where it has several."""
        if isinstance(width, int):
            return width
        depths = {"A": self.words, "W": self.weights, "B": self.biases, "T": self.tables}
        known = {"P": self.place, "N": self.count}
        return known.get(width[-1]) or (depths[width[-1]] - 1).bit_length()

    @property
    def instruction(self) -> int:
        """Count the bits of an instruction."""
        return sum(self.bits(width) * items(width) for _, width in LAYOUT)


def items(width: int | str) -> int:
    """Return how many numbers a field holds."""
    return LOOPS if isinstance(width, str) and len(width) > 1 else 1


def pack(fields: Fields, sizes: Sizes) -> int:
    """Return the word of an instruction; numbers below 0 are two's complement, loop 0 is lowest."""
    word = 0
    for name, width in LAYOUT:
        bits, value = sizes.bits(width), fields.get(name, 0)
        numbers = value if isinstance(value, tuple) else (value,) * items(width)
        for number in reversed(numbers):
            word = word << bits | number & (1 << bits) - 1
    return word


def reads(
    base: int,
    loops: Sequence[Loop],
    first: tuple[int, int] = (0, 0),
    size: tuple[int, int] = (1, 1),
    counted: tuple[int, int] | None = None,
) -> Fields:
    """Fill what ``fx_address`` is told: loops, the innermost first; rows and columns of the map.

    A turn of a loop also takes back what all inside it added. An average divides by positions
    inside the map, and by those in its padding before the row and column ``counted``.
    """
    loops = [*loops, *[Loop()] * (LOOPS - len(loops))]
    turns = [
        tuple(
            loop[which] - sum((inner.turns - 1) * inner[which] for inner in loops[:place])
            for place, loop in enumerate(loops)
        )
        for which in (1, 2, 3)
    ]
    bottom, right = counted or first
    return {
        "read_base": base,
        "first_row": first[0],
        "first_column": first[1],
        "height": size[0],
        "width": size[1],
        "bottom": bottom,
        "right": right,
        "counts": tuple(loop.turns - 1 for loop in loops),
        "address_turns": turns[0],
        "row_turns": turns[1],
        "column_turns": turns[2],
    }


def writes(base: int, across: int, down: int = 1, stride: int = 1, outer: int = 0) -> Fields:
    """Fill what ``fx_writer`` is told: rows of words a ``stride`` apart, ``outer`` between rows."""
    return {
        "write_base": base,
        "across": across - 1,
        "down": down - 1,
        "stride": stride,
        "turn": outer - (across - 1) * stride,
    }


SHIFTS = -32, 63
"""Longer shifts give what these give."""


def shifted(bits: int) -> int:
    """Return a shift that ``fx_requantize`` takes and that does the same."""
    return min(max(bits, SHIFTS[0]), SHIFTS[1])


def cast(step: Step, shift: int = 0, source: QFormat | None = None) -> Fields:
    """Fill what ``fx_requantize`` is told; ``shift`` is that of values but sums.

    A cast between a format, ``source``, and itself changes nothing.
    """
    fmt, same = step.format, source == step.format
    low, high = (fmt.min, fmt.max) if same else step.node.requantize.limits
    overflow = Overflow.SATURATE if same else step.node.overflow
    return {
        "own_shift": shifted(shift),
        "rounding": list(Rounding).index(step.node.rounding),
        "overflow": list(Overflow).index(overflow),
        "word": fmt.word,
        "signed_word": int(fmt.signed),
        "low": low,
        "high": high,
        "floor": step.low,
        "ceiling": step.high,
        "rectified": int(step.rectified),
        "uncounted": int(step.node.clips_one),
    }


def turns(fields: Fields) -> tuple[int, ...]:
    """Return how often each loop turns."""
    counts = fields.get("counts", 0)
    assert isinstance(counts, tuple)
    return tuple(count + 1 for count in counts)


def taps(fields: Fields) -> int:
    """Count the words that an instruction reads."""
    return math.prod(turns(fields))
