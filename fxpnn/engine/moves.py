"""Moves of words, as few nested loops instead of a place for each word.

A *run* is a source, a target and three loops around them, the innermost first, each with its length
and by how much it moves source and target on. Channels that join others take one run: their words
of a pixel are neighbours in both maps, pixels are as far apart as a map has channels.
"""

from typing import NamedTuple, TypeAlias

import numpy as np

from fxpnn.engine.program import Places
from fxpnn.kernels.layout.instructions import LOOPS

Ends: TypeAlias = tuple[int, int]
"""A source and a target."""
ENOUGH = 8
"""So many neighbours are copied as such, fewer one of each along a longer loop."""


class Loop(NamedTuple):
    """So many rounds, each so far behind the last in the source and in the target."""

    length: int
    source: int
    target: int


class Run(NamedTuple):
    """Where the first word lies and goes, and the loops around it."""

    source: int
    target: int
    loops: tuple[Loop, ...]


def runs(sources: Places, targets: Places) -> Places:
    """Return the runs that move words from their sources to their targets.

    Three channels of two pixels go behind the first of five:

    >>> runs(np.arange(6).reshape(2, 3), np.array([[1, 2, 3], [6, 7, 8]])).tolist()
    [[0, 1, 3, 1, 1, 2, 3, 5, 1, 0, 0]]

    Args:
        sources: int64, of any shape: where each value lies.
        targets: likewise where it goes; no two go to one place.

    Returns:
        int64 ``(runs, 11)``: source, target, and three numbers for each of the loops.
    """
    axes = _axes(sources, targets)
    if axes is None:  # the steps along one axis depend on the place along another
        order = np.argsort(targets, axis=None)
        axes = [(sources.reshape(-1)[order], targets.reshape(-1)[order])]
    found = [Run(0, 0, ())]
    for begins, ends in axes:
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        along = _progressions([Run(begin, end, ()) for begin, end in pairs])
        found = [_joined(run, more) for run in found for more in along]
    rows = [row for run in found for row in _rows(run)]
    return np.array(rows, np.int64).reshape(-1, 2 + 3 * LOOPS)


def _axes(sources: Places, targets: Places) -> list[tuple[Places, Places]] | None:
    """Return both ends along each axis, if they add up to those of every value.

    The first value's ends are counted along the first axis.
    """
    found, totals = [], [np.zeros((1,) * sources.ndim, np.int64) for _ in range(2)]
    for axis in range(sources.ndim):
        line = tuple(slice(None) if a == axis else slice(1) for a in range(sources.ndim))
        lines = [ends[line] - (ends.flat[0] if axis else 0) for ends in (sources, targets)]
        totals = [total + ends for total, ends in zip(totals, lines, strict=True)]
        found.append((lines[0].reshape(-1), lines[1].reshape(-1)))
    fits = np.array_equal(totals[0], sources) and np.array_equal(totals[1], targets)
    return found if fits else None


def _progressions(found: list[Run]) -> list[Run]:
    """Join runs of the same loops that are equally far apart, again and again while any are."""
    while True:
        joined = _once(found)
        if len(joined) == len(found):
            return found
        found = joined


def _once(found: list[Run]) -> list[Run]:
    joined, first = [], 0
    while first < len(found):
        begin, last = found[first], first + 1
        if last < len(found):
            step = _apart(begin, found[last])
            while step is not None and last < len(found):
                if _apart(found[last - 1], found[last]) != step:
                    break
                last += 1
            if step is not None:
                begin = begin._replace(loops=(*begin.loops, Loop(last - first, *step)))
        joined.append(begin)
        first = last
    return joined


def _apart(one: Run, other: Run) -> Ends | None:
    """Return how far two runs of the same loops are apart."""
    same = one.loops == other.loops
    return (other.source - one.source, other.target - one.target) if same else None


def _joined(one: Run, other: Run) -> Run:
    """Return a run in whose every round there is another."""
    ends = one.source + other.source, one.target + other.target
    return Run(*ends, (*one.loops, *other.loops))


def _rows(run: Run) -> list[list[int]]:
    """Write a run in as many rows as its loops need: those beyond three are written out."""
    loops = _in_order(run.loops)
    rows = [[run.source, run.target]]
    for length, source, target in loops[LOOPS:]:
        rows = [[s + i * source, t + i * target] for s, t in rows for i in range(length)]
    inner = [*loops[:LOOPS], *[Loop(1, 0, 0)] * (LOOPS - len(loops))]
    return [[*row, *(number for loop in inner for number in loop)] for row in rows]


def _in_order(loops: tuple[Loop, ...]) -> list[Loop]:
    """Make one of loops that follow each other, and put the one first that copies most at once."""
    merged: list[Loop] = []
    for loop in sorted((loop for loop in loops if loop.length > 1), key=lambda loop: loop.target):
        last = merged[-1] if merged else None
        if last and loop[1:] == (last.length * last.source, last.length * last.target):
            merged[-1] = last._replace(length=last.length * loop.length)
        else:
            merged.append(loop)
    neighbours = [loop for loop in merged if loop[1:] == (1, 1) and loop.length >= ENOUGH]
    first = neighbours or sorted(merged, key=lambda loop: -loop.length)[:1]
    return first + [loop for loop in merged if loop not in first]
