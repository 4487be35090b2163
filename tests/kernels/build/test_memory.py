"""What a run holds in memory: its results and a few blocks, however many images there are."""

import subprocess
import sys
from pathlib import Path

import pytest

MB = 1 << 20

START = """
import resource
import sys
import fxpnn
from fxpnn.analysis.comparison import compare
from fxpnn.datasets import data_sha256
from tests.support.cli_runner import tiny

def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
"""

STREAM = """
data = fxpnn.load_data(sys.argv[1])
network = tiny()
fixed = fxpnn.quantize(network, data.x[:100])
compare(network, fixed, data.x[:600], threads=2)
before = peak()
data_sha256(data)
compare(network, fixed, data.x, threads=2)
print(peak() - before)
"""

CONVOLVE = """
data = fxpnn.load_data("mnist")
network = fxpnn.load_onnx(sys.argv[1])
fixed = fxpnn.quantize(network, data.x[:100])
compare(network, fixed, data.x[:1], threads=2)
before = peak()
compare(network, fixed, data.x[:2000], threads=2)
print(peak() - before)
"""

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="its peaks are counted otherwise"),
]


def grown(script: str, argument: Path) -> int:
    """Run a script in a process of its own and return by how many bytes its memory grew."""
    command = [sys.executable, "-c", START + script, str(argument)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_large_file_streams(tmp_path: Path) -> None:
    """Of 300 MB of images, 1.2 GB as floats, only results stay: digest, run and comparison."""
    path, count = tmp_path / "large", 400_000
    with path.open("wb") as file:
        file.write(bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28)))
        file.truncate(16 + count * 784)  # a hole: it takes no disk
    assert grown(STREAM, path) < 120 * MB


def test_a_comparison_holds_few_blocks_in_memory() -> None:
    """Patches of a convolution are 25 times its images; a few blocks of them are held."""
    assert grown(CONVOLVE, ROOT / "models" / "lenet5-relu.onnx") < 120 * MB
