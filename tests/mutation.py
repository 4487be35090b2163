"""Break the arithmetic in a copy, one rule at a time, and print which test catches each.

Run by hand from the project's folder: ``python tests/mutation.py``. Exit status 1 if one survives.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Mutation(NamedTuple):
    """A rule, the file that states it, what it says, what to make of it, and tests that watch."""

    rule: str
    file: str
    line: str
    broken: str
    tests: str


MUTATIONS = (
    Mutation(
        "the tie rule of a cast, in the kernels",
        "fxpnn/kernels/arithmetic.py",
        "return quotient + (quotient & 1)",
        "return quotient + 1",
        "tests/kernels/test_kernels.py tests/engine/test_inference.py",
    ),
    Mutation(
        "from where on a sum of 32 bits can wrap",
        "fxpnn/kernels/vector/sums.py",
        "(old + 2**30)) < 0",
        "(old + 2**30 - 1)) < 0",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "the tie rule of a cast, on arrays",
        "fxpnn/fixedpoint/casting.py",
        "return np.asarray(floor & 1 == 1)",
        "return np.asarray(floor & 1 == 0)",
        "tests/fixedpoint/test_casting.py",
    ),
    Mutation(
        "the clamp of the first add, the bias",
        "fxpnn/kernels/plain.py",
        "total = min(max(bias, low), high)",
        "total = bias",
        "tests/kernels/test_kernels.py tests/engine/test_inference.py",
    ),
    Mutation(
        "the order of the bias: first, not last",
        "fxpnn/kernels/plain.py",
        "total = min(max(bias, low), high)\n        overflows += total != bias\n",
        "total = 0\n",
        "tests/kernels/test_kernels.py tests/engine/test_inference.py",
    ),
    Mutation(
        "the sign of a shift",
        "fxpnn/fixedpoint/requantize.py",
        "np.asarray(fracs - self.format.frac)",
        "np.asarray(self.format.frac - fracs)",
        "tests/engine/test_inference.py",
    ),
    Mutation(
        "which clamped sums fit 32 bits on the way",
        "fxpnn/kernels/layout/packing.py",
        "word <= 30 or word == 32",
        "word <= 32",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that segments summed at once leave room for all of them",
        "fxpnn/kernels/clamping.py",
        "fall, rise = fall + floor[here] - low, rise + high - ceiling[here]",
        "fall, rise = floor[here] - low, high - ceiling[here]",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that the clamps of an odd row are counted once",
        "fxpnn/kernels/vector/sums.py",
        "range(0, len(flags), together)",
        "range(0, len(flags) // 2 * 2, together)",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that the least word is out of a symmetric range",
        "fxpnn/kernels/vector/column_sums.py",
        "(reduce(Number.min, made) < self.low).count()",
        "0",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that half a vector holds a column's lanes",
        "fxpnn/kernels/products.py",
        "half = frame[USED] - lane <= HALF",
        "half = True",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that words written from registers are in range",
        "fxpnn/kernels/vector/column_sums.py",
        "(reduce(Number.__or__, quotients) & self.above)",
        "(quotients[0] & self.above)",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that a vector ends where the output does",
        "fxpnn/kernels/products.py",
        "whole = writes_all(rows, end, pitch, HALF if half else LANES) if direct else 0",
        "whole = rows if direct else 0",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that ties go to even, in registers",
        "fxpnn/kernels/layout/rounding.py",
        "np.where(shifts > 0, -2, -1)",
        "all_bits",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that no sum of 32 bits comes round into the range",
        "fxpnn/kernels/layout/rounding.py",
        "if extra == 0 and beyond:",
        "if False:",
        "tests/kernels/layout/test_rounding.py",
    ),
    Mutation(
        "that the parts of a sum carry",
        "fxpnn/kernels/vector/column_sums.py",
        "(total.logical_shift(self.extra) - wholes[i]) & known",
        "total.constant(0)",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that a sum begins with its bias, above 32 bits too",
        "fxpnn/kernels/vector/column_sums.py",
        "(self.exact >> self.extra_bits.splat(self.many)).sized(32)",
        "self.level.constant(0)",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that a near sum has not come round",
        "fxpnn/kernels/vector/column_sums.py",
        "fits &= (seen < 0).count().equals(0)",
        "pass",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "which sums are near",
        "fxpnn/kernels/layout/rounding.py",
        "<= 2**31 and",
        "<= 2**40 and",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that a symmetric range has a least word below it",
        "fxpnn/kernels/layout/rounding.py",
        "width = to.high + 1 - (to.low & -2)",
        "width = to.high - to.low",
        "tests/kernels/vector/test_levels.py",
    ),
    Mutation(
        "that a pool without a tap on its map is no part of a sum",
        "fxpnn/kernels/layout/packing.py",
        "if not inside.any(axis=1).all():",
        "if False:",
        "tests/engine/test_windows.py",
    ),
    Mutation(
        "that a near sum begins in range",
        "fxpnn/kernels/layout/rounding.py",
        "and bool(begins.all())",
        "",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "the maximum that softmax subtracts",
        "fxpnn/kernels/softmax.py",
        "highest = max(highest, np.int64(x[row, i]))",
        "highest = np.int64(x[row, 0])",
        "tests/kernels/test_softmax.py tests/engine/test_inference.py",
    ),
    Mutation(
        "the hull with 0 that makes prefixes safe",
        "fxpnn/proofs/sums.py",
        "low, high = np.minimum(x.once.low, 0), np.maximum(x.once.high, 0)",
        "low, high = x.once.low, x.once.high",
        "tests/proofs/test_bounds.py",
    ),
)


def survivors(copy: Path) -> list[Mutation]:
    """Run the watching tests against each mutation of the copy; return those that all pass."""
    alive = []
    for mutation in MUTATIONS:
        path = copy / mutation.file
        source = path.read_text()
        assert source.count(mutation.line) >= 1, f"{mutation.file} no longer says {mutation.line!r}"
        path.write_text(source.replace(mutation.line, mutation.broken))
        caught = first_failure(copy, mutation.tests)
        path.write_text(source)
        print(f"{mutation.rule}: {caught or 'SURVIVED'}", flush=True)
        if caught is None:
            alive.append(mutation)
    return alive


def first_failure(copy: Path, tests: str) -> str | None:
    """Return the first test that fails in the copy, or ``None``."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", *tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    assert found or done.returncode == 0, done.stdout + done.stderr
    return found[1] if found else None


def main() -> int:
    """Copy the project, check that its tests pass unbroken, then break it rule by rule."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache"))
        watching = " ".join(sorted({test for m in MUTATIONS for test in m.tests.split()}))
        if broken := first_failure(copy, watching):
            print(f"the tests fail without a mutation: {broken}")
            return 1
        return 1 if survivors(copy) else 0


if __name__ == "__main__":
    sys.exit(main())
