"""Workers outlive the death of one of them; what it had is done again."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from fxpnn.analysis.workers import TRIES, Workers
from fxpnn.errors import DataError


def squared(value: int) -> int:
    """Do some work."""
    return value * value


def dies_once(folder: Path, value: int) -> int:
    """Kill the own process where an item is begun for the first time, of every third item."""
    with (folder / str(value)).open("a") as begun:
        begun.write("+")
    if value % 3 == 0 and (folder / str(value)).read_text() == "+":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return squared(value)


def dies_at_two(value: int) -> int:
    """Kill the own process always, by one item; others take their time."""
    if value == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    return value


PARENT = """
import os, time
from fxpnn.analysis.workers import Workers

if __name__ == "__main__":
    with Workers(2) as workers:
        first = [workers.submit(os.getpid) for _ in range(9)]
        print(*(future.result() for future in first), flush=True)
        [*workers.map(time.sleep, [1] * 99)]
"""


def is_there(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def fails(value: int) -> int:
    """Raise an error of the library."""
    raise DataError(f"not {value}")


def test_results_come_in_order() -> None:
    """Of as many items as there are, by map and by submit."""
    with Workers(2) as workers:
        assert [*workers.map(squared, range(9))] == [i * i for i in range(9)]
        assert workers.submit(squared, 7).result() == 49


def test_killed_workers_are_replaced(tmp_path: Path) -> None:
    """Nothing is missing, nothing comes twice, and what runs beside is not begun again."""
    with Workers(2) as workers:
        found = [*workers.map(partial(dies_once, tmp_path), range(1, 6))]
    assert found == [i * i for i in range(1, 6)]
    begun = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert begun == {"1": "+", "2": "+", "3": "++", "4": "+", "5": "+"}


def test_an_item_that_kills_its_worker_is_given_up() -> None:
    """After three times, in one line that names it, not one that ran beside it."""
    line = rf"^workers must live: {TRIES} of them ended in the middle of item 2 of 3;"
    with Workers(2) as workers, pytest.raises(DataError, match=line):
        [*workers.map(dies_at_two, [1, 2, 3])]


def test_workers_that_die_between_items_are_replaced() -> None:
    """The next items find others."""
    with Workers(1) as workers:
        os.kill(workers.submit(os.getpid).result(), signal.SIGKILL)
        assert [*workers.map(squared, range(3))] == [0, 1, 4]
        pid = workers.submit(os.getpid).result()
        os.kill(pid, signal.SIGKILL)
        process = workers._idle.get()
        while process._broken is False:
            time.sleep(0.01)
        workers._idle.put(process)
        assert workers.submit(squared, 5).result() == 25


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(number: signal.Signals) -> None:
    """However it ended; nothing stays behind, and nothing waits for items that are not begun."""
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        pids = {int(pid) for pid in process.stdout.readline().split()}
        assert pids
        process.send_signal(number)
        process.wait(10)
    until = time.monotonic() + 10
    while any(map(is_there, pids)):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_errors_are_those_of_the_item() -> None:
    """The pool goes on."""
    with Workers(1) as workers:
        with pytest.raises(DataError, match="not 5"):
            [*workers.map(fails, [5])]
        assert [*workers.map(squared, [3])] == [9]
