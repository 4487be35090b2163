"""The largest maps that a small file may describe are quantized, run and compared in 1 GB."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fxpnn.network import budget
from fxpnn.network.graph import chain
from fxpnn.network.layers import Conv2D, Layer, LeakyRelu, MaxPool2D, Relu, Tanh, Window
from fxpnn.onnx import save

STATUS = Path("/proc/self/status")
COMMAND = """
import re, sys
from pathlib import Path
from cli.main import run
try:
    run()
finally:
    print(re.search("VmHWM.*", Path("/proc/self/status").read_text())[0], file=sys.stderr)
"""
"""The peak of ``getrusage`` would be that of the process of the tests, if that is larger."""
PEAK = 1_000_000
"""Kilobytes."""


def same(maps: int) -> Conv2D:
    """Make a convolution of each map by itself, which keeps its size."""
    weight = np.linspace(-1, 1, 9 * maps, dtype=np.float32).reshape(maps, 1, 3, 3)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    return Conv2D(weight, np.zeros(maps, np.float32), window, maps)


SIDE = 2880
LARGEST: dict[str, tuple[tuple[int, ...], dict[str, Layer]]] = {
    "a vector": ((budget.LIVE // 2,), {"slope": LeakyRelu(0.3), "tanh": Tanh()}),
    "one map": ((1, SIDE, SIDE), {"conv": same(1)}),
    "many maps": ((128, 254, 254), {"conv": same(128), "relu": Relu()}),
    "many sizes": ((1, 1000, 1000), {f"p{i}": MaxPool2D(Window((2, 3))) for i in range(30)}),
}


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="peaks of memory are read where Linux has them")
@pytest.mark.parametrize(("shape", "layers"), LARGEST.values(), ids=LARGEST)
def test_small_files_take_little_memory(
    shape: tuple[int, ...], layers: dict[str, Layer], tmp_path: Path
) -> None:
    """Every command of the usual way, on one image."""
    model, fixed, data = (str(tmp_path / name) for name in ("m.onnx", "m.fxp", "x.npy"))
    save(chain("large", shape, layers), Path(model))
    assert Path(model).stat().st_size < 1 << 16
    np.save(data, np.random.default_rng(1).random((1, *shape), np.float32))
    for args in (
        ("inspect", model),
        ("quantize", model, "-o", fixed, "--calibration", data),
        ("inspect", fixed),
        ("infer", fixed, "--data", data, "--reference", model),
    ):
        command = [sys.executable, "-c", COMMAND, *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        peak = int(done.stderr.split()[-2])
        assert peak < PEAK, f"{args[0]} takes {peak} KB"
