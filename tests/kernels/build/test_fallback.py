"""Where Numba's inside is not as expected, its dispatcher compiles the loops, to the same words."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fxpnn.kernels.build import dispatcher, fallback
from tests.support.inside import OPTIONS, PRIVATE

ROOT = Path(__file__).parents[3]

SUMS = """
import sys
from tests.support import inside
CHANGE
import numpy as np
from fxpnn import golden
from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Dense

rng = np.random.default_rng(7)
word = QFormat(16, 8)

def dense(name, source, outputs, inputs, accumulator):
    weight = rng.integers(-32768, 32767, (outputs, inputs), np.int16, endpoint=True)
    bias = rng.integers(-(2**28), 2**28, outputs)
    layer = Dense(weight, bias)
    return FixedNode(name, layer, (source,), word, (QFormat(16, 15),), Accumulator(accumulator))

layers = dense("proved", INPUT, 5, 6, 48), dense("clamped", "proved", 3, 5, 31)
fixed = FixedNetwork("sums", (6,), word, layers)
x = rng.integers(-32768, 32767, (9, 6), np.int16)
ours, truth = infer(fixed, x), golden.run(fixed, x)
assert ours.raw.tolist() == truth.raw["clamped"].tolist()
assert all(ours.layers[name] == counts for name, counts in truth.counts.items())
assert truth.counts["clamped"].accumulator_overflows
print("same", "numba" in sys.modules)
"""
"""A layer whose sums need no clamp and one whose sums do, compared with the golden model."""

WHOLE = """
import sys
from tests.support import inside
CHANGE
import numpy as np
import fxpnn
from fxpnn import golden
from tests.support.cli_runner import tiny
x = np.random.default_rng(3).integers(0, 256, (5, 1, 28, 28), np.uint8)
fixed = fxpnn.quantize(tiny(), x)
report = fxpnn.compare(tiny(), fixed, x.astype(np.float32) / 256)
truth = golden.run(fixed, fxpnn.fixedpoint.casting.from_float(x / 256, fixed.input_format))
assert fxpnn.infer(fixed, x).raw.tolist() == truth.raw[fixed.outputs[0]].tolist()
print("same", "numba" in sys.modules)
"""
"""A convolution, pools and a softmax, pixels and floats, and the errors of each layer."""

NOTE = re.compile(
    r"Numba \S+ does not compile loops as expected \(.+\): they are compiled anew at each start "
    r"and run slower, with the same results\n"
)


def ran(script: str, folder: Path, change: str = "", **environment: str) -> tuple[str, str]:
    """Run a script in a process of its own; return what it printed and what it noted."""
    command = [sys.executable, "-c", script.replace("CHANGE", change)]
    given = {**os.environ, "FXPNN_CACHE_DIR": str(folder), **environment}
    done = subprocess.run(command, env=given, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def falls_back(script: str, folder: Path, change: str) -> None:
    """Assert that a script has the golden model's words, after one note."""
    out, notes = ran(script, folder, change)
    assert out == "same True\n"
    assert NOTE.fullmatch(notes), notes


def test_a_name_that_has_gone_is_noted_once(tmp_path: Path) -> None:
    """Two kernels are asked for; the first fails, and the second is not tried."""
    falls_back(SUMS, tmp_path, "inside.hide('numba.core.cgutils.is_null')")


@pytest.mark.slow
def test_what_fails_while_it_compiles_is_noted_once(tmp_path: Path) -> None:
    """All is there, but the object file cannot be had."""
    name = "numba.core.codegen.JITCodeLibrary._get_compiled_object"
    falls_back(SUMS, tmp_path, f"inside.hide({name!r}, inside.failing)")


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIVATE)
def test_each_private_name_may_go(name: str, tmp_path: Path) -> None:
    """Whichever it is, one note says so, and the words are the golden model's."""
    falls_back(SUMS, tmp_path, f"inside.hide({name!r})")


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_each_private_option_may_go(name: str, tmp_path: Path) -> None:
    """Likewise where Numba's decorators refuse an option."""
    change = "; ".join(
        f"inside.hide('numba.{decorator}', inside.without({name!r}))"
        for decorator in ("njit", "jit")
    )
    falls_back(SUMS, tmp_path, change)


@pytest.mark.slow
def test_a_whole_run_falls_back(tmp_path: Path) -> None:
    """All kernels take the dispatcher: those of images, of layers and of errors."""
    falls_back(WHOLE, tmp_path, "inside.hide('numba.core.cgutils.is_null')")


@pytest.mark.slow
def test_kernels_that_are_kept_need_no_inside(tmp_path: Path) -> None:
    """What was compiled before is fetched: there is nothing to note, and no Numba."""
    assert ran(SUMS, tmp_path) == ("same True\n", "")
    hidden = "inside.hide('numba.core.cgutils.is_null')"
    assert ran(SUMS, tmp_path, hidden) == ("same True\n", "")
    assert ran(SUMS.replace("from tests.support import inside", ""), tmp_path) == (
        "same False\n",
        "",
    )


def imported(path: Path) -> dict[str, set[str]]:
    """Return what a module of loops takes of each module of the kernels."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), dict[str, set[str]]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(fallback.KERNELS):
            module = str(node.module).removeprefix(fallback.KERNELS).removeprefix(".")
            found.setdefault(module, set()).update(alias.name for alias in node.names)
    modules = found.pop("", set())  # their functions are attributes
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            found.setdefault(ast.unparse(node.value), set()).add(node.attr)
    return found


LOOPS = [
    path
    for path in sorted((ROOT / "fxpnn" / "kernels").glob("*.py"))
    if path.stem not in {*fallback.STAY, *fallback.REPLACED, "__init__"}
]


@pytest.mark.parametrize("path", LOOPS, ids=lambda path: path.stem)
def test_loops_take_nothing_of_the_inside_that_has_no_replacement(path: Path) -> None:
    """Of a module that is replaced, the dispatcher's has it; others do not import the inside."""
    for module, names in imported(path).items():
        if module in fallback.REPLACED:
            assert names <= vars(dispatcher).keys(), module
        else:
            assert not module.startswith(("build.", "vector.")), module
