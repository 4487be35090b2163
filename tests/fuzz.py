"""Damage files of every format, prove, assemble and run what is still read, for some minutes.

Run by hand, or by CI, from the project's folder: ``python -m tests.fuzz --seconds 120``. Each
process may take 2 GB. Forged ``.fxp`` files with the right checksum are compared with the golden
model, word by word. Whatever is no result and no error of the package in one line is printed with
the file that caused it, and the exit status is 1.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle
from pathlib import Path

from tests.support.fuzz_files import SEEDS
from tests.support.fuzz_process import Worker, attack

BATCH = 20
"""Files of a format in a row."""


def fuzz(number: int, workers: int, seed: int, end: float) -> tuple[Counter[str], list[str]]:
    """Attack until the end, each worker by other seeds; return the answers and the faults."""
    answers: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder), "--run")
        for name, batch in zip(cycle(SEEDS), count(seed + number, workers)):
            if time.monotonic() > end:
                break
            try:
                found = attack(worker, name, batch, BATCH)
            except AssertionError as error:
                case = (Path(folder) / "files" / "case").read_bytes()
                faults.append(f"{name}, seed {batch}: {error}\n    {case!r}")
                continue
            answers.update({f"{name} {said}": times for said, times in found.items()})
        worker.stop()
    return answers, faults


def main() -> int:
    """Print what was done and every fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    with ThreadPoolExecutor(given.workers) as pool:
        parts = [
            pool.submit(fuzz, number, given.workers, given.seed, end)
            for number in range(given.workers)
        ]
        done = [part.result() for part in parts]
    answers = sum((found for found, _ in done), Counter[str]())
    faults = [fault for _, found in done for fault in found]
    for kind in SEEDS:
        print(f"{kind:6} {answers[f'{kind} loaded']:6} run  {answers[f'{kind} refused']:6} refused")
    print(
        f"seed {given.seed}: {sum(answers.values())} files, {len(faults)} faults", *faults, sep="\n"
    )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
