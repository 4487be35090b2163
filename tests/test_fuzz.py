"""Damaged files of every kind are read or refused in one line: no crash, no hang, no harm."""

import itertools
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as started

from tests.support.fuzz_files import SEEDS, WEIGHTS, damaged

ROOT = Path(__file__).parents[1]
PATIENCE = 20.0
"""Seconds after which a reader hangs."""
SECONDS = 9.0
"""How long the slow test goes on with each kind of file."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")


class Worker:
    """A process that reads files, started anew when one has killed it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "files"
        self.folder.mkdir()
        (folder / "secret").write_text("not to be read")
        (self.folder / WEIGHTS).write_bytes(bytes(48))
        for name, seeds in SEEDS.items():
            for i, seed in enumerate(seeds):
                (self.folder / f"{seed.kind}-{name}{i}").write_bytes(seed.seal(seed.content))
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, kind: str, content: bytes) -> str:
        """Return what the process says of a file; if it says nothing, how it ended."""
        process = self._running()
        path = self.folder / "case"
        path.write_bytes(content)
        assert process.stdin
        process.stdin.write(f"{kind} {path}\n".encode())
        process.stdin.flush()
        return self._line(process)

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe
                pipe.close()
            self.process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            command = [sys.executable, "-m", "tests.support.fuzz_worker", str(self.folder)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert self._line(self.process, 3 * PATIENCE) == "ready"
        return self.process

    def _line(self, process: subprocess.Popen[bytes], patience: float = PATIENCE) -> str:
        assert process.stdout
        ready, _, _ = select.select([process.stdout], [], [], patience)
        line = process.stdout.readline().decode() if ready else "hangs"
        if not line.endswith("\n"):
            self.stop()
        return line.rstrip("\n") or f"ended with {process.returncode}"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Give the process that reads what the tests damage."""
    made = Worker(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.stop()


def attack(worker: Worker, name: str, start: int) -> None:
    """Have some damaged files of a format read, the same for the same start."""

    @started(start)
    @settings(
        max_examples=50,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        database=None,
    )
    @given(case=damaged(name))
    def read(case: tuple[str, bytes]) -> None:
        assert worker.ask(*case).partition(" ")[0] in ("loaded", "refused")

    read()


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
