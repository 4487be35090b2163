"""The main comparison: whole networks on many images.

All candidates are handed all images in one call; peers also in blocks of the size that suits them.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from fxpnn.network.layers import Array
from tests.benchmarks.clock import WALL, clock_for, turn, turn_about
from tests.benchmarks.figures import Figure, Goal, figure
from tests.benchmarks.goals import ALL_THREADS, FASTER_THAN_FLOAT, FLOATS, ONE_THREAD
from tests.benchmarks.job import Job
from tests.benchmarks.peers import FXPNN, Peer
from tests.benchmarks.work import Floats, Run, Work, load

Bound: TypeAlias = Callable[[], list[Array]]
"""A run bound to its images: gives the probabilities of each block."""

FEW, TRIED = 8, 1024
"""Images that a slow peer is timed on before it starts, and on which blocks are tried."""


@dataclass(frozen=True)
class Entrant:
    """A candidate that is ready: it runs ``images``, all at once or in blocks.

    It takes ``flips`` of them for another class than float does.
    """

    peer: Peer
    run: Bound
    images: int
    flips: int
    block: int | None

    def handed(self) -> str:
        """Say how it is handed the images."""
        return f"blocks of {self.block:,}" if self.block else f"{self.images:,} in one call"

    def note(self) -> str:
        """Say, once, what is not the same work."""
        differ = f"{self.flips} classes differ from float's" if self.flips else ""
        return "" if self.block else "; ".join(filter(None, (self.peer.note, differ)))


def many_images(job: Job) -> list[Figure]:
    """Measure images per second of fxpnn and its peers; what a peer costs in counts of fxpnn."""
    return [f for name in job.networks for f in _contest(job, load(name, job.plan.images))]


def _contest(job: Job, work: Work) -> list[Figure]:
    chosen = [peer for peer in (FXPNN, *job.peers) if work.network.name in peer.networks]
    entrants = [entrant for peer in chosen for entrant in _try(job, peer, work)]
    best = turn_about({each: each.run for each in entrants}, job.plan, clock_for(job.threads))
    costs = {each: seconds / each.images for each, seconds in best.items()}
    return [_figure(job, work, each, cost, costs[entrants[0]]) for each, cost in costs.items()]


def _figure(job: Job, work: Work, entrant: Entrant, cost: float, ours: float) -> Figure:
    name = work.network.name
    return figure(
        job.part("networks"),
        name,
        entrant.peer.name,
        1 / cost,
        "images/s",
        ratio=None if entrant.peer == FXPNN else cost / ours,
        goal=_goal(entrant, name, job.threads),
        note=entrant.note(),
        handed=entrant.handed(),
    )


def _goal(entrant: Entrant, network: str, threads: int) -> Goal | None:
    """Judge one call by the goals; in blocks, floats shall be no faster than fxpnn either."""
    goals = ONE_THREAD if threads == 1 else ALL_THREADS
    if entrant.block is None:
        return goals.get((entrant.peer.name, network))
    return FASTER_THAN_FLOAT if entrant.peer.name in FLOATS else None


def _try(job: Job, peer: Peer, work: Work) -> list[Entrant]:
    """Let a peer that fails stay away: another release of it may be installed."""
    print(f"  {work.network.name}: {peer.name}", file=sys.stderr)
    try:
        return _enter(job, peer, work)
    except Exception as error:  # whatever a foreign library raises: the other peers go on
        if peer == FXPNN:
            raise
        print(f"skipping {peer.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return []


def _enter(job: Job, peer: Peer, work: Work) -> list[Entrant]:
    """Make a candidate ready, on as many images as it does in time, in the blocks it likes."""
    run, x = peer.prepare(work, job.threads), work.x
    few = _in_blocks(run, x[:FEW], FEW)
    few()  # compiles
    if peer.slow:
        each = turn(few, 0, WALL) / FEW
        x = x[: max(FEW, int(job.plan.longest / each))]
    ways: dict[int | None, Bound] = {None: _in_blocks(run, x, len(x))}
    if peer.blocks:
        block = _best_block(job, peer, run, x[:TRIED])
        ways[block] = _in_blocks(run, x, block)
    classes = np.concatenate(list(ways.values())[-1]()).argmax(axis=1)
    flips = int((classes != work.classes[: len(x)]).sum())
    return [Entrant(peer, way, len(x), flips, block) for block, way in ways.items()]


def _best_block(job: Job, peer: Peer, run: Run, x: Floats) -> int:
    tried = {size: _in_blocks(run, x, size) for size in peer.blocks}
    best = turn_about(tried, replace(job.plan, seconds=0), clock_for(job.threads))
    return min(best, key=lambda size: best[size])


def _in_blocks(run: Run, x: Floats, size: int) -> Bound:
    starts = range(0, len(x), size)
    return lambda: [run(x[start : start + size]) for start in starts]
