"""The work that all candidates do: a bundled network, its fixed form, and images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

import fxpnn
from fxpnn import reference
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array

ROOT = Path(__file__).parents[2]

Floats: TypeAlias = npt.NDArray[np.float32]
Run: TypeAlias = Callable[[Floats], Array]
"""Takes float32 images ``(N, 1, 28, 28)``, gives the probabilities of classes ``(N, 10)``."""


@dataclass(frozen=True)
class Work:
    """A network to run on images ``x``; ``classes`` is what its float form says they show."""

    path: Path
    network: Network
    fixed: FixedNetwork
    x: Floats
    calibration: Floats
    classes: npt.NDArray[np.int64]


def load(name: str, images: int) -> Work:
    """Load a bundled network and that many bundled test images."""
    path = ROOT / "models" / f"{name}.onnx"
    network = fxpnn.load_onnx(path)
    pixels = fxpnn.load_data("mnist:calibration").x
    x, calibration = (
        reference.scale(part, network.scaling)
        for part in (fxpnn.load_data("mnist").x[:images], pixels)
    )
    fixed = fxpnn.quantize(network, pixels)
    return Work(path, network, fixed, x, calibration, reference.classify(network, x))
