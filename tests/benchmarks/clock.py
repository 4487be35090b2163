"""How time is measured: candidates take turns, and the best turn of each counts."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias, TypeVar

from tests.benchmarks.plan import Plan

K = TypeVar("K")
Call: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class Clock:
    """A clock: how it is read, and which of the calls of one turn is taken.

    A ``steady`` clock gives nearly the same figure again: what takes long needs few turns.
    """

    read: Callable[[], float]
    pick: Callable[[Sequence[float]], float]
    steady: bool = False


CPU = Clock(time.process_time, median, steady=True)
"""CPU seconds of this process, which other processes disturb little."""
WALL = Clock(time.perf_counter, min)
"""Seconds that have passed; other processes can only add to them."""

REST = 0.005
"""Seconds between turns, in which the threads of the last one go to sleep."""

LONG, TWICE = 1.0, 2
"""Candidates whose turns take more than ``LONG`` seconds get ``TWICE`` by a steady clock."""


def clock_for(threads: int) -> Clock:
    """Choose a clock: CPU seconds on one thread, the time that passes on several."""
    return CPU if threads == 1 else WALL


def turn(run: Call, seconds: float, clock: Clock) -> float:
    """Call for about ``seconds``, at least once; return the seconds of the call that counts."""
    calls, spent = list[float](), 0.0
    while not calls or spent < seconds:
        begin = clock.read()
        run()
        calls.append(clock.read() - begin)
        spent += calls[-1]
    return clock.pick(calls)


def turn_about(runs: Mapping[K, Call], plan: Plan, clock: Clock) -> dict[K, float]:
    """Give the candidates turns, one after the other; return the best turn of each, in seconds."""
    best = dict.fromkeys(runs, float("inf"))
    for done in range(plan.rounds):
        for name, run in runs.items():
            if done < TWICE or best[name] <= LONG or not clock.steady:
                time.sleep(REST)
                best[name] = min(best[name], turn(run, plan.seconds, clock))
    return best
