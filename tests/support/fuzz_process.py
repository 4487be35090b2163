"""The process that reads damaged files, seen from outside: asked, timed, started anew."""

import os
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as started

from tests.support.fuzz_files import SEEDS, WEIGHTS, damaged

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Seconds after which a reader hangs."""


class Worker:
    """A process that reads files, started anew when one has killed it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.options = options
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
            command += self.options
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # notes of models that mean little
            )
            assert self._line(self.process, 15 * PATIENCE) == "ready"
        return self.process

    def _line(self, process: subprocess.Popen[bytes], patience: float = PATIENCE) -> str:
        assert process.stdout
        ready, _, _ = select.select([process.stdout], [], [], patience)
        line = process.stdout.readline().decode() if ready else "hangs"
        if not line.endswith("\n"):
            self.stop()
        return line.rstrip("\n") or f"ended with {process.returncode}"


def attack(worker: Worker, name: str, start: int, count: int = 50) -> Counter[str]:
    """Have some damaged files of a format read, the same for the same start; count the answers."""
    answers: Counter[str] = Counter()

    @started(start)
    @settings(
        max_examples=count,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        database=None,
        deadline=None,
    )
    @given(case=damaged(name))
    def read(case: tuple[str, bytes]) -> None:
        said = worker.ask(*case)
        answers[said.partition(" ")[0]] += 1
        assert said.partition(" ")[0] in ("loaded", "refused"), said

    read()
    return answers
