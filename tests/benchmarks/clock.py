"""Take the time: candidates turn about, and the best turn counts."""

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
    """What counts: how the clock is read, and which of a turn's calls is taken.

    A ``steady`` one gives nearly the same again: few turns are enough of what takes long.
    """

    read: Callable[[], float]
    pick: Callable[[Sequence[float]], float]
    steady: bool = False


CPU = Clock(time.process_time, median, steady=True)
"""What a process has computed, which others disturb little."""
WALL = Clock(time.perf_counter, min)
"""What has passed; others can only add to it."""

REST = 0.005
"""Seconds between turns, in which the last one's threads go to sleep."""

LONG, TWICE = 1.0, 2
"""A candidate whose turns take longer, in seconds, has so many by a steady clock."""


def clock_for(threads: int) -> Clock:
    """Choose what counts: on one thread CPU seconds, else time."""
    return CPU if threads == 1 else WALL


def turn(run: Call, seconds: float, clock: Clock) -> float:
    """Call for about so many seconds, once at least; return the seconds of the call that counts."""
    calls, spent = list[float](), 0.0
    while not calls or spent < seconds:
        begin = clock.read()
        run()
        calls.append(clock.read() - begin)
        spent += calls[-1]
    return clock.pick(calls)


def turn_about(runs: Mapping[K, Call], plan: Plan, clock: Clock) -> dict[K, float]:
    """Give each candidate its turns, one after the other; return the best turn of each."""
    best = dict.fromkeys(runs, float("inf"))
    for done in range(plan.rounds):
        for name, run in runs.items():
            if done < TWICE or best[name] <= LONG or not clock.steady:
                time.sleep(REST)
                best[name] = min(best[name], turn(run, plan.seconds, clock))
    return best
