"""A layer that is a function of one value is added by its class and three formulas."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_new_layer_runs_everywhere(tmp_path: Path) -> None:
    """Reference, quantizer, golden model, proof, engine and file know it by the public hooks."""
    command = [sys.executable, "-W", "error", "-m", "tests.support.new_layer", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
