"""The job of one process: which networks and peers, on how many threads, how thoroughly."""

from dataclasses import dataclass

from tests.benchmarks.peers import Peer
from tests.benchmarks.plan import Plan


@dataclass(frozen=True)
class Job:
    """What every measurement is told; ``peers`` are installed ones."""

    networks: tuple[str, ...]
    peers: tuple[Peer, ...]
    threads: int
    plan: Plan

    def part(self, name: str) -> str:
        """Name a part that is measured on one thread and on all."""
        return f"{name}, {'one thread' if self.threads == 1 else 'all threads'}"
