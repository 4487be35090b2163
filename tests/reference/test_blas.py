"""BLAS has one thread while threads of our own work, and then as many as before."""

from collections.abc import Iterator
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fxpnn
from fxpnn.analysis import comparison
from fxpnn.reference import steps
from fxpnn.reference.blas import one_thread
from tests.support.cli_runner import tiny


def threads() -> set[int]:
    """Say how many threads BLAS may use."""
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


def nested() -> Iterator[set[int]]:
    """Ask for the limit twice, and fail inside."""
    with one_thread():
        yield threads()
        with one_thread():
            yield threads()
        yield threads()
        raise KeyError


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_user_s_number_is_restored(count: int) -> None:
    """Also behind an error, and where one who asks is inside another."""
    with threadpool_limits(count, user_api="blas"):
        found = nested()
        assert [next(found) for _ in range(3)] == [{1}] * 3
        with pytest.raises(KeyError):
            next(found)
        assert threads() == {count}


def test_those_who_ask_at_once_share_the_limit() -> None:
    """Whoever has it first waits for those who came later, and then restores what there was."""
    asked, both, seen = Barrier(2), Barrier(2), []

    def first() -> None:
        with one_thread():
            asked.wait(10)
            both.wait(10)
        seen.append("lifted")

    before = threads()
    thread = Thread(target=first)
    thread.start()
    asked.wait(10)
    with one_thread():
        both.wait(10)
        thread.join(0.2)
        assert threads() == {1}
        assert not seen
    thread.join(10)
    assert seen == ["lifted"]
    assert threads() == before


def test_many_at_once_have_it_each_time() -> None:
    """However threads come and go, none is inside without the limit, and all end."""
    before, seen = threads(), []

    def often() -> None:
        for _ in range(30):
            with one_thread():
                seen.append(threads())

    many = [Thread(target=often) for _ in range(4)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join(30)
    assert seen == [{1}] * 120
    assert threads() == before


def test_a_comparison_has_one_for_each_of_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives them back."""
    seen: list[set[int]] = []

    def watched(*args: Any, **kwargs: Any) -> object:
        seen.append(threads())
        return steps(*args, **kwargs)

    monkeypatch.setattr(comparison, "steps", watched)
    network, x = tiny(), np.zeros((600, 1, 28, 28), np.uint8)
    with threadpool_limits(2, user_api="blas"):
        fxpnn.compare(network, fxpnn.quantize(network, x), x, threads=2)
        assert threads() == {2}
    assert seen == [{1}] * 3
