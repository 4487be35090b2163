"""The benchmark's command: what is measured, in which order, where it is told.

Run ``python -m tests.benchmarks`` in the project's folder.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import click

from tests.benchmarks import (
    alone,
    command,
    exported,
    growth,
    instructions,
    layers,
    networks,
    single,
    training,
    zoo,
)
from tests.benchmarks.figures import Figure
from tests.benchmarks.job import Job
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.plan import NETWORKS, QUICK, Plan
from tests.benchmarks.process import BLAS, fresh, pools
from tests.benchmarks.report import print_tables, report, write_json

CORES = os.cpu_count() or 1
ONE_AND_ALL = tuple(sorted({1, CORES}))
FILE = click.Path(dir_okay=False, path_type=Path)


class Part(NamedTuple):
    """What gives a part's figures, and on how many threads, each in a process of its own.

    ``changes`` are what the process's environment has beside its threads.
    """

    measure: Callable[[Job], list[Figure]]
    threads: tuple[int, ...]
    changes: Mapping[str, str] = MappingProxyType({})


PARTS: Mapping[str, Part] = {
    "networks": Part(networks.many_images, ONE_AND_ALL),
    "one-image": Part(single.one_image, (1,)),
    "growth": Part(growth.over_images, ONE_AND_ALL),
    "kernels": Part(alone.against_sgemm, (1,)),
    "layers": Part(layers.over_sizes, (1,)),
    "words": Part(instructions.over_words, (1,)),
    "zoo": Part(zoo.over_networks, (1,)),
    "exported": Part(exported.in_c, (1,)),
    "process": Part(command.processes, (CORES,)),
    "training": Part(training.epochs, ONE_AND_ALL, {BLAS: "1"}),  # as the command line has it
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(tuple(PARTS)), multiple=True, help="Only this part.")
@click.option("--network", type=click.Choice(NETWORKS), multiple=True, help="Only this network.")
@click.option(
    "--peer", type=click.Choice([p.name for p in PEERS]), multiple=True, help="Only this peer."
)
@click.option("--quick", is_flag=True, help="Do tiny work, to see that all of it runs.")
@click.option("--json", "told", type=FILE, help="Write all figures to this file.")
@click.option("--chart", type=FILE, help="Draw images per second into this file (.svg, .png).")
def main(
    only: Sequence[str],
    network: tuple[str, ...],
    peer: Sequence[str],
    quick: bool,
    told: Path | None,
    chart: Path | None,
) -> None:
    """Measure fxpnn and every peer that is installed, turn about, on the bundled networks.

    On one thread CPU seconds count, on all threads time; the best of several turns is told. Options
    that choose may be given several times.
    """
    if chart and only and "networks" not in only:
        raise click.UsageError("--chart must stand with the part networks, whose figures it shows")
    peers = tuple(filter(_installed, (p for p in PEERS if not peer or p.name in peer)))
    measured: list[Figure] = []
    for name in only or PARTS:
        measure, counts, changes = PARTS[name]
        for threads in counts:
            click.echo(f"measuring {name} on {threads} thread{'s'[: threads > 1]}", err=True)
            job = Job(network or NETWORKS, peers, threads, QUICK if quick else Plan())
            measured += fresh({**pools(threads), **changes}, measure, job)
    found = report(measured, CORES, quick)
    print_tables(found)
    if told:
        write_json(found, told)
    if chart:
        from tests.benchmarks.chart import draw  # matplotlib is an extra

        draw(measured, chart)


def _installed(peer: Peer) -> bool:
    if missing := peer.missing():
        click.echo(f"skipping {peer.name}: needs {', '.join(missing)}", err=True)
    return not missing


if __name__ == "__main__":
    main(prog_name="python -m tests.benchmarks")
