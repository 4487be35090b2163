"""Damaged files of every kind are read or refused in one line: no crash, no hang, no harm."""

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fxpnn import golden
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.layers import Array
from tests.support import fuzz_runs
from tests.support.fuzz_files import SEEDS, WEIGHTS
from tests.support.fuzz_process import Worker, attack
from tests.support.fuzz_worker import answer
from tests.support.fxp_sample import sample

SECONDS = 9.0
"""How long the slow test goes on with each kind of file."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Give the process that reads what the tests damage."""
    made = Worker(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.stop()


def test_whole_files_are_read(worker: Worker) -> None:
    """The files that are to be damaged are read as they are."""
    for seeds in SEEDS.values():
        for seed in seeds:
            assert worker.ask(seed.kind, seed.seal(seed.content)) == "loaded"


@pytest.mark.parametrize("name", SEEDS)
def test_some_damaged_files(worker: Worker, name: str) -> None:
    """A few damaged files of each format, the same each time."""
    attack(worker, name, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_many_damaged_files(worker: Worker, name: str) -> None:
    """As many as are read in some seconds, always in the same order."""
    end = time.monotonic() + SECONDS
    for start in itertools.count(1):
        attack(worker, name, start)
        if time.monotonic() > end:
            break


def test_a_word_that_is_not_the_golden_models_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fuzz runs, it compares: one wrong count in the last layer is a fault."""
    fixed = sample()
    fuzz_runs.run(fixed)
    right = golden.run

    def wrong(network: FixedNetwork, x: Array) -> golden.GoldenRun:
        found = right(network, x)
        return replace(found, counts={**found.counts, "p": Counts(saturations=10**6)})

    monkeypatch.setattr(golden, "run", wrong)
    with pytest.raises(fuzz_runs.WrongError, match=r"^p: not the golden model's words and counts$"):
        fuzz_runs.run(fixed)


@pytest.mark.parametrize("name", SEEDS)
def test_each_format_has_whole_files_that_run(name: str, tmp_path: Path) -> None:
    """The last of each is proved, assembled and run: else the fuzz would only see refusals."""
    (tmp_path / WEIGHTS).write_bytes(bytes(48))
    seed = SEEDS[name][-1]
    (tmp_path / "case").write_bytes(seed.seal(seed.content))
    assert answer(seed.kind, tmp_path / "case", fuzz_runs.READERS) == "loaded"
