"""Workers and Dask clusters give what one process does, also where a worker is killed."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cli import executors
from fxpnn.errors import DataError
from tests.support.cli_runner import fxp, write_models

pytestmark = [
    pytest.mark.slow,  # and Dask leaves sockets of failed connections to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MLP = Path("models/mlp-784-100-10.onnx").resolve()
SWEEP = ("sweep", MLP, "--data", "mnist", "--limit", "2000", "--word", "3..8", "--json", "-q")
LOOSE = ("--max-loss", "0.005", "--cost", "weights", "--output-word", "8", "-q")
SEARCH = ("search", MLP, "--data", "mnist", *LOOSE)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start a Dask cluster of two worker processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as running:
        yield running


@pytest.fixture(params=["workers", "scheduler"])
def side(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Give the options for two workers of either kind."""
    if request.param == "workers":
        return "--workers", "2"
    return "--scheduler", request.getfixturevalue("cluster").scheduler_address


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small network, float and fixed."""
    return write_models(tmp_path_factory.mktemp("models"))


def test_infer_gives_the_same(models: Path, tmp_path: Path, side: tuple[str, str]) -> None:
    """The same JSON but for the timing, and the same results."""
    found = []
    for options in ((), side):
        results = tmp_path / f"{len(options)}.npz"
        args = ("--data", "mnist", "--reference", models / "tiny.onnx", "-o", results, "--json")
        done = fxp("infer", models / "tiny.fxp", *args, "--show-flips", "-q", *options)
        assert done.status == 0, done.err
        found.append(({**done.json, "timing": None}, results.read_bytes()))
    assert found[0] == found[1]


def test_an_explanation_is_the_same(tmp_path: Path, side: tuple[str, str]) -> None:
    """To the byte, and so are the formats that repair the network."""
    fixed = tmp_path / "short.fxp"
    assert fxp("quantize", MLP, "-o", fixed, "--weight-word", "3", "-q").status == 0
    found = []
    for options in ((), side):
        better = tmp_path / "better.toml"
        args = ("--data", "mnist", "--limit", "1000", "--max-loss", "0.001", "--fix", "-o", better)
        done = fxp("explain", fixed, "--reference", MLP, *args, "--json", "-q", *options)
        assert done.status == 0, done.err
        assert done.json["ranking"][0]["flips_removed"] > 0
        found.append((done.out, better.read_bytes()))
    assert found[0] == found[1]


def test_a_sweep_is_the_same(side: tuple[str, str]) -> None:
    """To the byte."""
    assert fxp(*SWEEP, *side).out == fxp(*SWEEP).out


def rows(path: Path) -> list[str]:
    """Read the points but for the seconds, the last column."""
    return [line.rpartition(",")[0] for line in path.read_text().splitlines()]


def test_a_search_outlives_a_killed_worker(
    tmp_path: Path, side: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    """In the middle of it; all points are those of one process."""
    assert fxp(*SEARCH, "-o", tmp_path / "one").status == 0
    points, killed = tmp_path / "two" / "points.csv", []

    def kill() -> None:
        while not points.exists() or points.read_bytes().count(b"\n") < 10:
            time.sleep(0.005)
        if side[0] == "--workers":
            pid = next(p.pid for p in multiprocessing.active_children() if "Spawn" in p.name)
        else:
            pid = next(iter(request.getfixturevalue("cluster").workers.values())).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    thread = Thread(target=kill)
    thread.start()
    done = fxp(*SEARCH, "-o", tmp_path / "two", *side)
    thread.join(60)
    assert done.status == 0, done.err
    assert killed
    for name in ("best.fxp", "formats.toml"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert rows(points) == rows(tmp_path / "one" / "points.csv")


def dies(value: int) -> int:
    """Kill the own process always."""
    os.kill(os.getpid(), signal.SIGKILL)
    return value


def test_an_item_that_kills_its_workers_is_named(cluster: Any) -> None:
    """In one line."""
    import dask

    address = cluster.scheduler_address
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(DataError, match=r"^tcp\S+ an item ended its worker each time: .*dies-\w+"),
        executors.executor(None, address) as executor,
    ):
        all(executor.map(dies, [1]) if executor else ())


def another() -> str:
    """Say another version."""
    return "0.0.9"


def test_workers_have_the_same_version(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with another is told in one line."""
    monkeypatch.setattr(executors, "_version", another)
    done = fxp(*SWEEP, "--scheduler", cluster.scheduler_address)
    assert (done.status, done.out) == (3, "")
    assert "must have fxpnn" in done.err
    assert "as here, not 0.0.9" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_scheduler_answers_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not there, says nothing or cannot be is told in one line, and not waited for."""
    monkeypatch.setattr(executors, "ANSWER", 1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        for address in (
            f"tcp://127.0.0.1:{mute.getsockname()[1]}",
            *("tcp://127.0.0.1:9", "tls://127.0.0.1:9", "foo://x:1", "nonsense"),
        ):
            line = f"^{address}: no scheduler answers there: ."
            with pytest.raises(DataError, match=line), executors.executor(None, address):
                pass


def test_a_cluster_has_workers() -> None:
    """A scheduler alone would wait without end."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        line = f"^{empty.scheduler_address}: must have workers"
        with (
            pytest.raises(DataError, match=line),
            executors.executor(None, empty.scheduler_address),
        ):
            pass
