"""Own how time is taken: candidates turn about, the best turn counts."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TypeAlias, TypeVar

from tests.benchmarks.plan import Plan

K = TypeVar("K")
Call: TypeAlias = Callable[[], object]
Clock: TypeAlias = Callable[[], float]

REST = 0.005
"""Seconds between turns, in which the last one's threads go to sleep."""


def clock_for(threads: int) -> Clock:
    """Choose what counts: on one thread CPU seconds, which others do not disturb, else time."""
    return time.process_time if threads == 1 else time.perf_counter


def turn(run: Call, seconds: float, clock: Clock) -> float:
    """Call for about so many seconds, once at least; return the median call's seconds."""
    calls, spent = list[float](), 0.0
    while not calls or spent < seconds:
        begin = clock()
        run()
        calls.append(clock() - begin)
        spent += calls[-1]
    return median(calls)


def turn_about(runs: Mapping[K, Call], plan: Plan, clock: Clock) -> dict[K, float]:
    """Give each candidate its turns, one after the other; return the best turn of each."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(plan.rounds):
        for name, run in runs.items():
            time.sleep(REST)
            best[name] = min(best[name], turn(run, plan.seconds, clock))
    return best
