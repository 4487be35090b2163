"""Work is spread over the threads that the system gives, and ends with its first error."""

import signal
import threading
import time

import numpy as np
import pytest

import fxpnn
from fxpnn.engine.threads import spread
from fxpnn.quantization.settings import Method
from tests.support.cli_runner import tiny


def refused(_: threading.Thread) -> None:
    """Fail as Python does under a limit of processes."""
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_results_keep_the_order_of_items(threads: int, count: int) -> None:
    """Whichever thread makes a result, it stands where its item stood."""
    items = range(10, 10 + count)
    assert spread(lambda item: item * item, items, threads) == [item * item for item in items]


def test_no_more_threads_than_asked() -> None:
    """The calling thread is one of them, and there are no more of them than items."""
    seen: set[int] = set()
    barrier = threading.Barrier(3)

    def work(_: int) -> None:
        barrier.wait(10)
        seen.add(threading.get_ident())

    spread(work, range(3), 64)
    assert len(seen) == 3
    assert threading.get_ident() in seen


def test_a_limit_of_threads_slows_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread, or only the first, can be started, the others do their part."""
    start, calls = threading.Thread.start, []

    def first_only(thread: threading.Thread) -> None:
        calls.append(thread)
        if len(calls) > 1:
            refused(thread)
        start(thread)

    for refusing in (refused, first_only):
        monkeypatch.setattr(threading.Thread, "start", refusing)
        assert spread(str, range(50), 8) == [str(item) for item in range(50)]


def test_the_first_error_ends_all() -> None:
    """An error of any thread is raised when all have ended, and the items left are not begun."""
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.001)
        if item == 3:
            raise ValueError("the fourth")

    with pytest.raises(ValueError, match=r"^the fourth$"):
        spread(work, range(10_000), 4)
    assert len(begun) < 100
    assert threading.active_count() == 1


def test_an_interruption_ends_all() -> None:
    """Ctrl-C while threads work is raised within some items' time, and no thread is left."""
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.01)
        if item == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        spread(work, range(10_000), 3)
    assert len(begun) < 1000
    assert threading.active_count() == 1


def test_networks_run_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words, counts and the report are the same where the system gives no thread."""
    network = tiny()
    x = np.random.default_rng(5).integers(0, 256, (4000, 1, 28, 28), np.uint8)
    settings = fxpnn.Settings(word=4, method=Method.PERCENTILE, percentile=90)
    fixed = fxpnn.quantize(network, x[:100], settings)
    before = fxpnn.infer(fixed, x, threads=4), fxpnn.compare(network, fixed, x[:600], threads=4)
    monkeypatch.setattr(threading.Thread, "start", refused)
    after = fxpnn.infer(fixed, x, threads=4), fxpnn.compare(network, fixed, x[:600], threads=4)
    assert before[0].raw.tolist() == after[0].raw.tolist()
    assert before[0].layers == after[0].layers
    assert before[1].layers == after[1].layers
    assert any(counts.saturations for counts in before[0].layers.values())
