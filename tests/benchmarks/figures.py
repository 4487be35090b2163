"""What a measurement gives: figures, and the goals by which they are judged."""

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What a figure must reach and what it aims at, from below or, ``at_most``, from above."""

    must: float
    aim: float | None = None
    at_most: bool = False

    def holds(self, value: float, limit: float) -> bool:
        """Tell whether a value is on the right side of one of the two limits."""
        return value <= limit if self.at_most else value >= limit


class Figure(msgspec.Struct, frozen=True):
    """One measured figure: of which ``case``, of ``what`` in it, and what it has to reach.

    ``handed`` says how many images a candidate is handed at a time, where that matters.
    ``ratio``, where there is one, is what ``what`` costs in counts of fxpnn's cost, or a kernel's
    rate in counts of sgemm's; goals are then its. ``note`` says what is not the same work.
    """

    part: str
    case: str
    what: str
    value: float
    unit: str
    ratio: float | None = None
    goal: Goal | None = None
    holds: bool | None = None
    note: str = ""
    handed: str = ""

    def label(self) -> str:
        """Say of what the figure is, and how it was handed its images."""
        return f"{self.what}, {self.handed}" if self.handed else self.what


def figure(
    part: str,
    case: str,
    what: str,
    value: float,
    unit: str,
    *,
    ratio: float | None = None,
    goal: Goal | None = None,
    note: str = "",
    handed: str = "",
) -> Figure:
    """Make a figure and judge it by its goal."""
    judged = value if ratio is None else ratio
    holds = goal.holds(judged, goal.must) if goal else None
    return Figure(part, case, what, value, unit, ratio, goal, holds, note, handed)
