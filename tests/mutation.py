"""Break the arithmetic in a copy, one rule at a time, and print which test catches each.

Run by hand from the project's folder: ``python -m tests.mutation``. Exit status 1 if one survives.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.mutations import PAIRS_AND_MOVES, REGISTERS, Mutation

ROOT = Path(__file__).resolve().parent.parent


MUTATIONS = (
    Mutation(
        "that one image is normalised as many are",
        "fxpnn/engine/inference.py",
        "fits = fits and self.fixed.normalisation is None",
        "fits = fits and True",
        "tests/quantization/test_normalisation.py",
    ),
    Mutation(
        "that an offset in front of a padded convolution is not folded",
        "fxpnn/network/folding.py",
        "offsets.any() and any(layer.window.padding)",
        "offsets.any() and False",
        "tests/quantization/test_padded_normalisation.py",
    ),
    Mutation(
        "that a format which is padded with what is below 0 keeps its sign",
        "fxpnn/quantization/choices.py",
        "return bool(constants) and max(constants) < 0",
        "return False",
        "tests/quantization/test_unsigned.py",
    ),
    Mutation(
        "that a sign after a chunk tells of depthwise sums that come round",
        "fxpnn/kernels/vector/depthwise.py",
        "(self.near ^ 1) | (seen < 0).count().equals(0)",
        "(self.near ^ 1) | self.near",
        "tests/kernels/test_depthwise.py",
    ),
    Mutation(
        "that a quotient's rest of a half is a tie",
        "fxpnn/kernels/pool.py",
        "int(twice > 0) + int(twice >= count)",
        "int(twice > 0) + int(twice > count)",
        "tests/kernels/test_kernels.py",
    ),
    Mutation(
        "that a root hits the middle of two words only where bits are dropped",
        "fxpnn/kernels/pool.py",
        "tie = j > 0 and rest == middle",
        "tie = rest == middle",
        "tests/kernels/test_kernels.py",
    ),
    Mutation(
        "that only averages of the default cast are taken for it",
        "fxpnn/engine/pools.py",
        "default = cast.rounding is Rounding.NEAREST_EVEN and cast.format.frac == source.frac",
        "default = True",
        "tests/test_pools.py",
    ),
    Mutation(
        "that an average is cast once, to a finer format too",
        "fxpnn/proofs/windows.py",
        "total = total << finer",
        "total = total",
        "tests/proofs/test_windows.py",
    ),
    Mutation(
        "that files of schema 1 have pools which heed no modes",
        "fxpnn/network/fxp.py",
        "if schema == 1 and",
        "if schema == 0 and",
        "tests/network/test_fxp_forged.py",
    ),
    Mutation(
        "that a cast of what others read otherwise is a pool of its own",
        "fxpnn/onnx/read/absorb.py",
        "if pool is not None and pool.name == name:",
        "if False:",
        "tests/onnx/read/test_absorb.py",
    ),
    Mutation(
        "that a clamp at 0 in front of a ReLU is no saturation, in the golden model",
        "fxpnn/golden/sums.py",
        "if out and value < 0 and self.rectified:",
        "if False:",
        "tests/test_golden.py",
    ),
    Mutation(
        "that all who read an unsigned word must be ReLUs for its clamp to be theirs",
        "fxpnn/network/graph.py",
        "readers[node.name] and all(reached)",
        "readers[node.name] and any(reached)",
        "tests/network/test_rectified.py",
    ),
    Mutation(
        "that words below 0 are counted in tiles that are cast in registers",
        "fxpnn/kernels/vector/level_casts.py",
        "branch(fits & self.apart, count)",
        "branch(self.apart, count)",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that rounded values are judged to be below 0, not sums",
        "fxpnn/kernels/arithmetic.py",
        "below = raw < 0 or (out and value < 0)",
        "below = value < 0",
        "tests/kernels/vector/test_vector_kernels.py tests/engine/test_inference.py",
    ),
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
        "that a channel's squares are its own",
        "fxpnn/kernels/error_statistics.py",
        "signal, noise = 0.0, 0.0\n            for",
        "for",
        "tests/kernels/build/test_compiler.py",
    ),
    Mutation(
        "that the fraction of weights leaves room for their bias",
        "fxpnn/quantization/parameters.py",
        "needed = known + np.minimum(sums, largest) if",
        "needed = np.minimum(sums, largest) if",
        "tests/quantization/test_parameters.py",
    ),
    Mutation(
        "that a bias is cast to a format of its own",
        "fxpnn/quantization/parameters.py",
        "if name is None or settings.bias is None:",
        "if True:",
        "tests/quantization/test_parameters.py",
    ),
    Mutation(
        "the third digit that a double reaches into",
        "fxpnn/kernels/error_statistics.py",
        "(high & DIGIT)",
        "high",
        "tests/kernels/build/test_compiler.py",
    ),
    Mutation(
        "that a part's images stand where they do in the data set",
        "fxpnn/analysis/comparison.py",
        "range(-(first % step), len(x), step)",
        "range(0, len(x), step)",
        "tests/analysis/test_statistics.py",
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
        "fxpnn/kernels/vector/level_casts.py",
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
        "fxpnn/kernels/vector/level_casts.py",
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
        "(seen < 0).count().equals(0) if self.wide else integer(self.b, 1, 1)",
        "integer(self.b, 1, 1)",
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
        "highest = max(highest, np.int64(x[i]))",
        "highest = np.int64(x[0])",
        "tests/kernels/test_softmax.py tests/engine/test_inference.py",
    ),
    Mutation(
        "the hull with 0 that makes prefixes safe",
        "fxpnn/proofs/sums.py",
        "low, high = np.minimum(x.once.low, 0), np.maximum(x.once.high, 0)",
        "low, high = x.once.low, x.once.high",
        "tests/proofs/test_bounds.py",
    ),
    Mutation(
        "that a channel vanishes only where all of its words are 0",
        "fxpnn/quantization/parameters.py",
        "(weight.any(axes) & ~words.any(axes))",
        "(weight.any(axes) & ~words.all(axes))",
        "tests/quantization/test_losses.py",
    ),
    Mutation(
        "that a percentile is the share that is spelled, not the double beside it",
        "fxpnn/quantization/distribution.py",
        "Fraction(str(percentage)) / 100",
        "Fraction(percentage) / 100",
        "tests/quantization/test_distribution.py",
    ),
    Mutation(
        "that windows which see other lines are bounded apart",
        "fxpnn/proofs/windows.py",
        "kinds = np.append(_runs((lines[1:] != lines[:-1]).any(axis=(1, 2))), -1)",
        "kinds = np.append(0 * _runs((lines[1:] != lines[:-1]).any(axis=(1, 2))), -1)",
        "tests/proofs/test_runs.py",
    ),
    Mutation(
        "that the padding of maps is counted before it is made",
        "fxpnn/network/budget.py",
        "most = max(most, live + _padding(node, shapes[node.inputs[0]]))",
        "most = max(most, live)",
        "tests/network/test_budget.py",
    ),
    *REGISTERS,
    *PAIRS_AND_MOVES,
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
