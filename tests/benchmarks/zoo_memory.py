"""Measure the peak memory of whole processes, imports included, as a user would start them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fxpnn.network.layers import Array
from tests.benchmarks.command import CACHES
from tests.benchmarks.figures import Figure, Goal, figure
from tests.benchmarks.goals import FLOAT32, OVER_FLOAT32, ZOO_COMMAND, ZOO_INFER
from tests.benchmarks.process import pools
from tests.benchmarks.work import ROOT

MEASURED = """
import sys
try:
    {}
finally:
    from tests.benchmarks.memory import peak
    print(peak(), file=sys.stderr)
"""
OURS = """
    import numpy, fxpnn
    fxpnn.infer(fxpnn.load(sys.argv[1]), numpy.load(sys.argv[2]), threads=1)
"""
THEIRS = """
    import numpy, onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options)
    session.run(None, {session.get_inputs()[0].name: numpy.load(sys.argv[2]) / numpy.float32(256)})
"""
COMMAND = """
    from cli.main import run
    run()
"""


def peaks(
    part: str, name: str, folder: Path, few: Array, calibration: Array, peer: bool
) -> list[Figure]:
    """Measure a network that lies in a folder as ``m.onnx`` and ``m.fxp``.

    A script runs ``few`` images by the engine, with kernels that are kept and with none, and
    another, if ``peer``, by ONNX Runtime; commands quantize and compare with ``calibration``.
    Kernels must have been compiled before.
    """
    model, fixed = (str(folder / f"m.{kind}") for kind in ("onnx", "fxp"))
    x, many = (str(folder / f"{kind}.npy") for kind in ("few", "many"))
    np.save(x, few)
    np.save(many, calibration)
    goal = ZOO_INFER.get(name)
    found = []
    if peer:
        theirs = _peak(THEIRS, model, x)
        found.append(figure(part, name, f"peak of {FLOAT32}", theirs, "MB"))
        if name in OVER_FLOAT32:
            goal = Goal(OVER_FLOAT32[name] * theirs, at_most=True)
    found.append(figure(part, name, "peak of infer", _peak(OURS, fixed, x), "MB", goal=goal))
    with tempfile.TemporaryDirectory() as empty:
        compiling = _peak(OURS, fixed, x, **dict.fromkeys(CACHES, empty))
    found.append(figure(part, name, "peak of infer, compiling", compiling, "MB", goal=goal))
    commands = {
        "quantize": (model, "--calibration", many, "-o", str(folder / "again.fxp")),
        "infer --reference": (fixed, "--data", many, "--reference", model, "--threads", "1"),
    }
    for told, arguments in commands.items():
        taken = _peak(COMMAND, told.split()[0], *arguments)
        what = f"peak of {told}, {len(calibration)} images"
        found.append(figure(part, name, what, taken, "MB", goal=ZOO_COMMAND.get(name)))
    return found


def _peak(script: str, *arguments: str, **changes: str) -> float:
    """Run a script in a new interpreter; return its peak."""
    command = (sys.executable, "-c", MEASURED.format(script.strip()), *arguments)
    env = {**os.environ, **pools(1), **changes}
    done = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    return float(done.stderr.split()[-1])
