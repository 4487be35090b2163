"""The candidates: fxpnn and its peers, where each lives, what each does otherwise."""

import importlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from tests.benchmarks.plan import LENET_RELU, MLP, NETWORKS
from tests.benchmarks.work import Run, Work


@dataclass(frozen=True)
class Peer:
    """A library that runs the same networks.

    ``home`` is ``module:function``; the function takes the work and a number of threads and gives a
    ``Run``. It is handed all images in one call, and then in blocks of as many as suit it best
    among ``blocks``, where it has any; a ``slow`` one runs fewer images; a ``single`` one is also
    measured on one image.
    """

    name: str
    home: str
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    note: str = ""
    blocks: tuple[int, ...] = ()
    networks: tuple[str, ...] = NETWORKS
    slow: bool = False
    single: bool = False

    def missing(self) -> list[str]:
        """Name what must be installed before the peer can be measured."""
        found = [name for name in self.packages if find_spec(name) is None]
        return found + [name for name in self.programs if shutil.which(name) is None]

    def prepare(self, work: Work, threads: int) -> Run:
        """Make the network ready to run on so many threads."""
        module, _, function = self.home.partition(":")
        home = importlib.import_module(f"{__name__}.{module}")
        run: Run = getattr(home, function)(work, threads)
        return run


BLOCKS = (32, 128, 256, 1024)
REFERENCE = "numpy float32, fxpnn's"
FXPNN = Peer("fxpnn", "ours:prepare")
PEERS: Sequence[Peer] = (
    Peer("numpy float32", "floats:plain", note="as one writes it", blocks=BLOCKS, single=True),
    Peer(REFERENCE, "floats:reference", note="its float reference", blocks=BLOCKS, single=True),
    Peer("PyTorch float32", "pytorch:prepare", ("torch",), blocks=BLOCKS, single=True),
    Peer("ONNX Runtime float32", "runtime:float32", ("onnxruntime",), blocks=BLOCKS, single=True),
    Peer(
        "ONNX Runtime int8",
        "runtime:int8",
        ("onnxruntime",),
        note="less work: half the width",
        blocks=BLOCKS,
    ),
    Peer(
        "ONNX Runtime int16",
        "runtime:int16",
        ("onnxruntime",),
        note="casts to 16 bits around float sums",
        blocks=BLOCKS,
    ),
    Peer(
        "apytypes",
        "apy:prepare",
        ("apytypes",),
        note="same integers, moved by numpy; float softmax",
        blocks=BLOCKS,
        networks=(MLP, LENET_RELU),
    ),
    Peer(
        "fxpmath",
        "fxp:prepare",
        ("fxpmath",),
        note="same integers, moved by numpy; float softmax; no threads",
        networks=(MLP, LENET_RELU),
        slow=True,
    ),
    Peer(
        "hls4ml emulation",
        "hls:prepare",
        ("hls4ml", "torch"),
        ("g++",),
        note="same formats; softmax by smaller tables",
        networks=(MLP, LENET_RELU),
        slow=True,
    ),
)
"""What fxpnn is compared with, from general to near."""
