"""Softmax as logits grow: computed naively, with a constant shift, and with the maximum."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Softmax
from fxpnn.quantization.settings import Plan
from fxpnn.textbook.lesson import Check, Row, Sides, both, check, formats, numbers

DIRECTION = np.array([1.0, 0.75, 0.5, 0.25])
"""The logits are multiples of these."""

SIZES = np.concatenate([np.arange(1, 32) / 4, np.arange(8.0, 32.0)])
"""The largest logit: 0.25 to 31 (Q5.10 ends at 32)."""

SHOWN = 16.0
"""The size whose probabilities the rows show."""

GROWING = (1.0, 2.0, 4.0, 8.0, 16.0)
"""The sizes for which the rows show how far off all three are."""

SHIFTS: Mapping[str, float | None] = MappingProxyType(
    {"naive": 0.0, "shift 8": 8.0, "maximum": None}
)
"""What each softmax subtracts from the logits; ``None`` is their maximum."""

LIMIT = math.log(32767 / 256)
"""From here on e**x does not fit the 16-bit word Q7.8 of an exponential."""


def softmax() -> Network:
    """Build nothing but a softmax of four classes."""
    return chain("softmax-stress", (len(DIRECTION),), {"p": Softmax()})


def run(shift: float | None, sizes: Array = SIZES) -> Sides:
    """Run logits of the given sizes, in Q5.10."""
    plan = formats("Q5.10")
    chosen = {"p": replace(plan.defaults, softmax=shift)}
    return both(softmax(), sizes[:, None] * DIRECTION, Plan(plan.defaults, chosen))


def errors(sides: Sides) -> Array:
    """Give the largest error of each vector of probabilities, ``(N,)``."""
    largest: Array = np.abs(sides.y - sides.y_fixed).max(axis=1)
    return largest


def first_overflow(shift: float) -> float:
    """Find the smallest word of Q5.10 whose exponential saturates, by halving."""
    low, high = 0, 2**15 - 1
    while low < high:
        middle = (low + high) // 2
        if run(shift, np.array([middle / 2**10])).saturations:
            high = middle
        else:
            low = middle + 1
    return low / 2**10


def rows() -> Iterator[Row]:
    """Show what each softmax makes of one vector; differences are the largest of all sizes."""
    naive, constant, maximum = (run(shift) for shift in SHIFTS.values())
    yield _row(
        "naive",
        naive,
        check("first overflow is at log 128", LIMIT, first_overflow(0), digits=2),
    )
    yield _row(
        "shift 8",
        constant,
        check("first overflow is 8 later", 8 + LIMIT, first_overflow(8), digits=2),
        check("of small logits nothing is left", 0, constant.y_fixed[0].sum()),
    )
    yield _row(
        "maximum",
        maximum,
        check("error is at most 2**-15", 1, errors(maximum).max() <= 2.0**-15),
        check("saturations", 0, maximum.saturations),
    )
    for size in GROWING:
        yield _errors_row(size)


def _row(name: str, sides: Sides, *expected: Check) -> Row:
    logits = " ".join(f"{value:g}" for value in SHOWN * DIRECTION)
    (place,) = np.flatnonzero(SIZES == SHOWN)
    return sides.row(f"{name}: {logits}", expected, sides.y[place], sides.y_fixed[place])


def _errors_row(size: float) -> Row:
    """Show the largest error of each softmax for one size, and how often they overflow."""
    all_sides = [run(shift, np.array([size])) for shift in SHIFTS.values()]
    found = numbers([errors(sides) for sides in all_sides])
    return Row(
        f"errors of the three, s = {size:g}",
        (0.0,) * len(found),
        found,
        max(sides.lsb for sides in all_sides),
        sum(sides.saturations for sides in all_sides),
        (
            check("maximum shift is right to 2**-15", 1, found[-1] <= 2.0**-15),
            *(sides.agreement for sides in all_sides),
        ),
    )
