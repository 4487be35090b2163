"""The process that reads hostile files; a forbidden act ends it, or is reported.

Run as ``python -m tests.support.fuzz_worker FOLDER [--run]``: for each line ``KIND PATH`` it
answers with one, ``loaded``, ``refused MESSAGE`` or ``broken WHAT``. It may take 1 GiB more than
it has when it is ready, read files of the folder only, and write nothing.
"""

import math
import os
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from fxpnn.datasets import load_data
from fxpnn.errors import FxpnnError
from fxpnn.network import fxp
from fxpnn.network.graph import Network
from fxpnn.network.layers import Conv2D, Dense
from fxpnn.onnx import load_quantized
from fxpnn.quantization.formats_file import load_plan
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Settings
from fxpnn.reference import forward
from fxpnn.zoo.state_dict import load_state

MEMORY = 1 << 30
SMALL = 1 << 16
"""A network of so few products and values is run too."""

HARMFUL = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen"),
    *("socket.connect", "socket.bind", "pickle.find_class", "ctypes.dlopen"),
)
"""Audit events of what no reader does."""


class HarmError(BaseException):
    """What a reader must not do, told past every ``except`` that it may have."""


def read_onnx(path: Path) -> None:
    """Read a network; where it is small, run it, and quantize it too."""
    network, plan = load_quantized(path)
    if cost(network) <= SMALL:
        x = np.linspace(-1, 1, math.prod(network.input_shape), dtype=np.float32)
        x = x.reshape(1, *network.input_shape)
        with np.errstate(all="ignore"):
            forward(network, x)
            quantize(network, x, plan)


def cost(network: Network) -> int:
    """Count the values of all tensors, padded ones too, and the products of all layers."""
    total = sum(math.prod(shape) for shape in network.shapes.values())
    for node in network.nodes:
        layer, shape = node.layer, network.shapes[node.inputs[0]]
        if isinstance(layer, Dense | Conv2D):
            total += math.prod(network.shapes[node.name]) * math.prod(layer.weight.shape[1:])
        if (window := getattr(layer, "window", None)) is not None:
            top, left, bottom, right = window.reach(*shape[1:])
            total += shape[0] * (top + shape[1] + bottom) * (left + shape[2] + right)
            total += math.prod(window.kernel)
    return total


Readers: TypeAlias = Mapping[str, Callable[[Path], object]]
READERS: Readers = {
    "onnx": read_onnx,
    "fxp": fxp.load,
    "data": load_data,
    "state": load_state,
    "toml": lambda path: load_plan(path, Settings()),
}


def answer(kind: str, path: Path, readers: Readers = READERS) -> str:
    """Read a file and say what came of it, in one line."""
    try:
        readers[kind](path)
    except FxpnnError as error:
        lines = str(error).splitlines()
        return f"refused {lines[0]}" if len(lines) == 1 else f"broken message {str(error)!r}"
    except (Exception, HarmError) as error:
        return f"broken {error!r} in {place(error)}".replace("\n", " ")
    return "loaded"


def place(error: BaseException) -> str:
    """Say where an error was raised, reading no source."""
    last = [step for step, _ in traceback.walk_tb(error.__traceback__)][-1]
    return f"{last.f_code.co_filename}:{last.f_lineno}"


def confine(folder: Path, limit: int | None = None) -> None:
    """Bound the memory of this process, and watch what it opens."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = limit or pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    own = f"/proc/{os.getpid()}/"  # BLAS is looked for among the libraries of this process
    inside = (os.fspath(folder) + os.sep, sys.prefix, sys.base_prefix, own)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in HARMFUL:
            raise HarmError(event, *arguments)
        if event == "open":
            name, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes or (isinstance(name, str) and not os.path.realpath(name).startswith(inside)):
                raise HarmError(event, *arguments)

    sys.addaudithook(watch)


def main(folder: Path, run: bool = False) -> None:
    """Read what lies in the folder, so that all modules are there; then answer lines."""
    readers, limit = READERS, None
    if run:
        from tests.support import fuzz_runs

        readers, limit = fuzz_runs.READERS, fuzz_runs.MEMORY
    for path in folder.glob("*-*"):
        answer(path.name.partition("-")[0], path, readers)
    confine(folder, limit)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, _, name = line.rstrip("\n").partition(" ")
        print(answer(kind, Path(name), readers), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), "--run" in sys.argv)
