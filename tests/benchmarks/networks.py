"""Own the main comparison: whole networks on many images."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from fxpnn.layers import Array
from tests.benchmarks.clock import WALL, clock_for, turn, turn_about
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.goals import ALL_THREADS, ONE_THREAD
from tests.benchmarks.job import Job
from tests.benchmarks.peers import FXPNN, Peer
from tests.benchmarks.work import Floats, Run, Work, load

Bound: TypeAlias = Callable[[], list[Array]]
"""A run bound to its images: gives the probabilities of each block."""

FEW, TRIED = 8, 1024
"""Images that a slow peer is timed on before it starts, and on which blocks are tried."""


@dataclass(frozen=True)
class Entrant:
    """A candidate that is ready: it runs ``images``, of which it takes ``flips`` otherwise."""

    peer: Peer
    run: Bound
    images: int
    flips: int


def many_images(job: Job) -> list[Figure]:
    """Measure images per second of fxpnn and its peers; what a peer costs in counts of fxpnn."""
    return [f for name in job.networks for f in _contest(job, load(name, job.plan.images))]


def _contest(job: Job, work: Work) -> list[Figure]:
    name, goals = work.network.name, ONE_THREAD if job.threads == 1 else ALL_THREADS
    chosen = [peer for peer in (FXPNN, *job.peers) if name in peer.networks]
    entrants = [entrant for peer in chosen if (entrant := _try(job, peer, work))]
    best = turn_about({e.peer.name: e.run for e in entrants}, job.plan, clock_for(job.threads))
    costs = {e.peer: best[e.peer.name] / e.images for e in entrants}
    return [
        figure(
            job.part("networks"),
            name,
            each.peer.name,
            1 / costs[each.peer],
            "images/s",
            ratio=None if each.peer == FXPNN else costs[each.peer] / costs[FXPNN],
            goal=goals.get((each.peer.name, name)),
            note=_note(each, job.plan.images),
        )
        for each in entrants
    ]


def _note(entrant: Entrant, images: int) -> str:
    parts = [entrant.peer.note] if entrant.peer.note else []
    if entrant.images < images:
        parts.append(f"on {entrant.images:,} images")
    if entrant.flips:
        parts.append(f"{entrant.flips} classes differ from float's")
    return "; ".join(parts)


def _try(job: Job, peer: Peer, work: Work) -> Entrant | None:
    """Let a peer that fails stay away: another release of it may be installed."""
    print(f"  {work.network.name}: {peer.name}", file=sys.stderr)
    try:
        return _enter(job, peer, work)
    except Exception as error:
        if peer == FXPNN:
            raise
        print(f"skipping {peer.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def _enter(job: Job, peer: Peer, work: Work) -> Entrant:
    """Make a candidate ready, on as many images as it does in time, in the blocks it likes."""
    run, x = peer.prepare(work, job.threads), work.x
    few = _in_blocks(run, x[:FEW], FEW)
    few()  # compiles
    if peer.slow:
        each = turn(few, 0, WALL) / FEW
        x = x[: max(FEW, int(job.plan.longest / each))]
    tried = {size: _in_blocks(run, x[:TRIED], size) for size in peer.blocks}
    best = turn_about(tried, replace(job.plan, rounds=2, seconds=0), clock_for(job.threads))
    chosen = _in_blocks(run, x, min(best, key=lambda size: best[size]))
    classes = np.concatenate(chosen()).argmax(axis=1)
    return Entrant(peer, chosen, len(x), int((classes != work.classes[: len(x)]).sum()))


def _in_blocks(run: Run, x: Floats, size: int) -> Bound:
    starts = range(0, len(x), min(size, len(x)))
    return lambda: [run(x[start : start + size]) for start in starts]
