"""Run a network by hls4ml's emulation: C++ that it writes and g++ compiles."""

import ctypes
import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
from platformdirs import user_cache_path

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.layers import Array, Conv2D, Dense, Flatten
from tests.benchmarks.peers.pytorch import sequential
from tests.benchmarks.work import Floats, Run, Work

CLASSES = 10
MODES = ",RND_CONV,SAT"


def prepare(work: Work, threads: int) -> Run:
    """Load the compiled emulation; threads run blocks of images side by side."""
    call = _function(_library(work))

    def block(x: Floats) -> Array:
        y = np.empty((len(x), CLASSES), np.float32)
        for image, scores in zip(x, y, strict=True):
            call(image.ctypes.data, scores.ctypes.data)
        return y

    def run(x: Floats) -> Array:
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(block, np.array_split(x, threads))))

    return block if threads == 1 else run


def _function(library: Path) -> Callable[[int, int], None]:
    call = ctypes.CDLL(str(library)).fxpnn_float
    call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_void_p), None
    function: Callable[[int, int], None] = call
    return function


def _library(work: Work) -> Path:
    """Return the compiled emulation, kept from an earlier run: compiling LeNet takes minutes."""
    modules = sequential(work.network)
    shape = work.network.input_shape
    if isinstance(work.network.nodes[0].layer, Flatten):
        modules, shape = modules[1:], (math.prod(shape),)
    config = hls4ml.utils.config_from_pytorch_model(modules, shape, granularity="name")
    _set_formats(config["LayerName"], work.fixed)
    folder = user_cache_path("fxpnn") / "benchmarks" / _key(work, config)
    done = folder / "done"
    if not done.exists():
        print(f"hls4ml: compiling {work.network.name} with g++, once", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        with redirect_stdout(sys.stderr):
            hls4ml.converters.convert_from_pytorch_model(
                modules, str(folder), "fxpnn", backend="Vitis", hls_config=config
            ).compile()
        done.touch()
    (library,) = (folder / "firmware").glob("*.so")
    return library


def _key(work: Work, config: dict[str, Any]) -> str:
    parts = hls4ml.__version__, json.dumps(config, default=str), work.path.read_bytes().hex()
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _set_formats(layers: dict[str, Any], fixed: FixedNetwork) -> None:
    """Give every layer the formats of the fixed network, every accumulator its 48 bits."""
    layers["input_1"]["Precision"]["result"] = _spelled(fixed.input_format)
    for node in fixed.nodes:
        if node.name in layers:
            layers[node.name]["Precision"] |= _precision(node, fixed.formats[node.inputs[0]])


def _precision(node: FixedNode, source: QFormat) -> dict[str, str]:
    found = {"result": _spelled(node.output_format, MODES)}
    if isinstance(node.layer, Dense | Conv2D):
        (weights,) = node.weight_formats
        total = f"fixed<48,{48 - source.frac - weights.frac}>"
        found |= {"weight": _spelled(weights), "bias": total, "accum": total}
    return found


def _spelled(fmt: QFormat, modes: str = "") -> str:
    return f"{'' if fmt.signed else 'u'}fixed<{fmt.word},{fmt.word - fmt.frac}{modes}>"
