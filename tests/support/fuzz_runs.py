"""What the fuzz does with what it could read: prove, assemble, run, and compare with golden."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fxpnn import golden
from fxpnn.datasets import load_data
from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import fxp
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT, Node, chain
from fxpnn.network.layers import Array, Dense, Flatten, Relu, Shape
from fxpnn.network.layers import products as products_of
from fxpnn.onnx import load_quantized
from fxpnn.quantization.formats_file import load_plan
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.zoo.state_dict import load_state
from tests.support.fuzz_worker import Readers

MEMORY = 2 << 30
"""The address space that all of it may take."""
GOLDEN, SMALL = 1 << 13, 1 << 22
"""Of so many values and products a network is run in Python integers; of so many, at all."""


class WrongError(AssertionError):
    """The engine gave another word or count than the golden model."""


def cost(nodes: tuple[Node, ...], shapes: Mapping[str, Shape]) -> int:
    """Count the values of all tensors, the products, and what windows see."""
    total = sum(map(math.prod, shapes.values()))
    for node in nodes:
        window = getattr(node.layer, "window", None)
        taps = 1 if window is None else math.prod(window.kernel)
        total += products_of(node.layer, shapes[node.name], shapes[node.inputs[0]])
        total += taps * math.prod(shapes[node.name])
    return total


def run(fixed: FixedNetwork) -> None:
    """Prove and assemble a network; run it where it is small, and compare with the golden model."""
    engine = Engine(fixed)
    engine.program()
    size = cost(fixed.nodes, fixed.shapes)
    if size > SMALL:
        return
    fmt, rng = fixed.input_format, np.random.default_rng(0)
    x = rng.integers(fmt.min, fmt.max + 1, (3, *fixed.input_shape))
    x[1:] = np.array([fmt.min, fmt.max]).reshape(2, *(1 for _ in fixed.input_shape))
    ours = engine.run(x.astype(np.int16), keep=fixed.shapes)
    if size > GOLDEN:
        return
    truth = golden.run(fixed, x)
    for name, raw in truth.raw.items():
        if (ours.tensors[name] != raw).any() or ours.layers[name] != truth.counts[name]:
            raise WrongError(f"{name}: not the golden model's words and counts")


def run_onnx(path: Path) -> None:
    """Quantize a network by what it is proved to reach, or on data where it is small; run it."""
    network, plan = load_quantized(path)
    x: Array | None = None
    if cost(network.nodes, network.shapes) <= SMALL:
        x = np.linspace(-1, 1, 2 * math.prod(network.input_shape), dtype=np.float32)
        x = x.reshape(2, *network.input_shape)
    else:
        given = Settings(method=Method.PROVED)
        plan = Plan(given, {INPUT: Settings(output=QFormat(16, 12)), **plan.layers})
    with np.errstate(all="ignore"):
        run(quantize(network, x, plan))


def run_data(path: Path) -> None:
    """Run images through the smallest network of their shape."""
    x = np.asarray(load_data(path).x)
    if x.size > SMALL:
        return
    word = QFormat(16, 8)
    node = FixedNode("relu", Relu(), (INPUT,), word)
    Engine(FixedNetwork("data", x.shape[1:], word, (node,))).run(x)


def run_toml(path: Path) -> None:
    """Quantize a small network by the formats of the file."""
    weight = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    layers = {"flat": Flatten(), "hidden": Dense(weight, weight[:, 0])}
    x = np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4)
    run(quantize(chain("small", (4,), layers), x, load_plan(path, Settings())))


READERS: Readers = {
    "onnx": run_onnx,
    "fxp": lambda path: run(fxp.load(path)),
    "data": run_data,
    "state": load_state,
    "toml": run_toml,
}
