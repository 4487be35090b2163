"""Proofs stand alone: numpy is all they need, and what is the same everywhere is kept once."""

import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Flatten, Relu, Reshape, Transpose
from fxpnn.proofs.bounds import prove

ROOT = Path(__file__).parents[2]
WORD = QFormat(16, 8)
ALONE = """
import sys
import fxpnn.proofs.bounds
doors = ("numba", "llvmlite", "fxpnn.kernels", "fxpnn.engine", "onnx")
print(*[name for name in sys.modules if name.startswith(doors)])
"""


COMMAND = "from fxpnn.cli.main import run; run()"


def test_proofs_import_no_engine_no_kernel_and_no_compiler() -> None:
    """In a fresh process, not even through others."""
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "layer", [Relu(), Flatten(), Reshape((1 << 11, 1 << 12)), Transpose((2, 1, 0))]
)
def test_ends_of_a_large_map_are_kept_once(layer: Relu | Flatten | Reshape | Transpose) -> None:
    """The proof of a layer of 2**23 values whose inputs are all bounded alike takes no memory."""
    node = FixedNode("n", layer, (INPUT,), WORD)
    fixed = FixedNetwork("large", (1 << 5, 1 << 9, 1 << 9), WORD, (node,))
    tracemalloc.start()
    output = prove(fixed)["n"].output
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert output.low.shape == fixed.shapes["n"]
    assert output.limits == (0 if isinstance(layer, Relu) else WORD.min, WORD.max)
    assert peak < 1 << 23


def test_commands_that_only_prove_compile_nothing(tmp_path: Path) -> None:
    """Quantizing, inspecting and exporting never import Numba and leave the cache empty.

    The first two import LLVM's binding with the engine, which says in words how sums are computed;
    an export needs no kernel at all.
    """
    model, raw, cache = ROOT / "models" / "lenet5-relu.onnx", tmp_path / "n.fxp", tmp_path / "cache"
    for args, kernels in (
        (["quantize", model, "-o", raw], True),
        (["inspect", raw], True),
        (["export", raw, "--to", "qdq", "-o", tmp_path / "n.onnx"], False),
    ):
        command = [sys.executable, "-X", "importtime", "-c", COMMAND, *map(str, args)]
        environment = {**os.environ, "FXPNN_CACHE_DIR": str(cache)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
        assert "fxpnn.proofs.bounds" in imported
        assert "numba" not in imported
        assert kernels or not any(n.startswith(("llvmlite", "fxpnn.kernels")) for n in imported)
        assert not [path for path in cache.rglob("*") if path.is_file()]
