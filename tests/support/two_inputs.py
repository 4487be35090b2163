"""A classifier of an image and of what is known beside it, as an ONNX file, and data for it."""

import numpy as np
import onnx
from onnx import helper

from fxpnn.network.layers import Array
from tests.support.onnx_models import FLOAT, floats, op, weight

NAMES = "image", "beside"


def two_inputs(batch: int | str = "N", *, sizes: bool = True) -> onnx.ModelProto:
    """Make the model; without ``sizes`` it leaves those of ``beside`` open."""
    nodes = (
        op("Conv", "image kernel", "maps", "conv", kernel_shape=[3, 3]),
        op("Relu", "maps", "seen", "relu"),
        op("Flatten", "seen", "flat", "flatten"),
        op("Gemm", "beside mix shift", "hidden", "dense"),
        op("Relu", "hidden", "known", "active"),
        op("Concat", "flat known", "both", "join", axis=1),
        op("Gemm", "both last end", "logits", "logits"),
        op("Softmax", "logits", "classes", "softmax"),
    )
    weights = {
        "kernel": floats(2, 1, 3, 3) / 3,
        "mix": floats(3, 4),
        "shift": floats(4),
        "last": floats(36, 3) / 4,
        "end": floats(3),
    }
    graph = helper.make_graph(
        nodes,
        "pair",
        [
            helper.make_tensor_value_info("image", FLOAT, [batch, 1, 6, 6]),
            helper.make_tensor_value_info("beside", FLOAT, [batch, 3 if sizes else "features"]),
        ],
        [helper.make_tensor_value_info("classes", FLOAT, ())],
        [weight(name, value) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def arrays(count: int, seed: int = 0) -> dict[str, Array]:
    """Draw images of 0 to 1, and features of a range twenty times as wide."""
    draw = np.random.default_rng(seed)
    return {
        "image": draw.random((count, 1, 6, 6), np.float32),
        "beside": 20 * draw.normal(size=(count, 3)).astype(np.float32),
    }
