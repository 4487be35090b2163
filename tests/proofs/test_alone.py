"""Proofs stand alone: numpy is all they need, and what is the same everywhere is kept once."""

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


def test_proofs_import_no_engine_no_kernel_and_no_compiler() -> None:
    """In a fresh process, not even through others."""
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "layer", [Relu(), Flatten(), Reshape((1 << 13, 1 << 14)), Transpose((2, 1, 0))]
)
def test_ends_of_a_large_map_are_kept_once(layer: Relu | Flatten | Reshape | Transpose) -> None:
    """The proof of a layer of 2**27 values whose inputs are all bounded alike takes no memory."""
    node = FixedNode("n", layer, (INPUT,), WORD)
    fixed = FixedNetwork("large", (1 << 9, 1 << 9, 1 << 9), WORD, (node,))
    tracemalloc.start()
    output = prove(fixed)["n"].output
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert output.low.shape == fixed.shapes["n"]
    assert output.limits == (0 if isinstance(layer, Relu) else WORD.min, WORD.max)
    assert peak < 1 << 23


def test_commands_that_only_prove_import_no_compiler(tmp_path: Path) -> None:
    """Quantizing, inspecting and exporting a network need neither Numba nor LLVM."""
    model, raw = str(ROOT / "models" / "lenet5-relu.onnx"), str(tmp_path / "n.fxp")
    for args in (
        ["quantize", model, "-o", raw],
        ["inspect", raw],
        ["export", raw, "--to", "qdq", "-o", str(tmp_path / "n.onnx")],
    ):
        command = [sys.executable, "-X", "importtime", "-m", "fxpnn", *args]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert " fxpnn.proofs.bounds" in done.stderr
        assert not re.search(r"\| +(numba|llvmlite)\b", done.stderr)
