"""Counts: what overflowed in a layer of a fixed network while it ran."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """What overflowed in a layer: adds that its accumulator clamped, outputs out of range.

    With a wrapping accumulator the first counts outputs whose exact total does not fit it.
    ``below_zero`` counts outputs that an unsigned word cut at 0 where a ReLU would have done so:
    these are no saturations.
    """

    accumulator_overflows: int = 0
    saturations: int = 0
    below_zero: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.accumulator_overflows + other.accumulator_overflows,
            self.saturations + other.saturations,
            self.below_zero + other.below_zero,
        )
