"""Models with one recurrent operator, which reads sequences and gives all that it can."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.support.onnx_models import FLOAT, floats, op, weight

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, FEATURES, HIDDEN = 4, 3, 5


def parameters(
    kind: str,
    directions: int = 1,
    *,
    bias: bool = True,
    states: bool = False,
    images: int = 2,
    hidden: int = HIDDEN,
) -> dict[str, Any]:
    """Make the inputs of an operator behind the first, by their names; states before them."""
    rows = GATES[kind] * hidden
    made = {
        "w": floats(directions, rows, FEATURES),
        "r": 0.5 * floats(directions, rows, hidden),
    }
    if bias:
        made["b"] = floats(directions, 2 * rows)
    for name in ("h", "c")[: states * (1 + (kind == "LSTM"))]:
        made[name] = np.repeat(floats(directions, 1, hidden) + (name == "c"), images, 1)
    return made


def recurrent(
    kind: str,
    *,
    direction: str = "forward",
    bias: bool = True,
    states: bool = False,
    images: int = 2,
    steps: int = STEPS,
    hidden: int = HIDDEN,
    lengths: Sequence[int] = (),
    outputs: str | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """Make a model that reads ``(steps, images, features)``; its outputs have images first."""
    directions = 1 + (direction == "bidirectional")
    weights = parameters(kind, directions, bias=bias, states=states, images=images, hidden=hidden)
    if lengths:
        weights["lens"] = np.array(lengths, np.int32)
    inputs = [name if name in weights else "-" for name in ("w", "r", "b", "lens", "h", "c")]
    while inputs[-1] == "-":
        inputs.pop()
    made = ["every", "last", "cell"][: 2 + (kind == "LSTM")]
    nodes = [
        op(
            kind,
            " ".join(["x", *inputs]),
            " ".join(made),
            "loop",
            direction=direction,
            hidden_size=hidden,
            **attributes,
        ),
        op("Transpose", "every", "y", perm=[2, 0, 1, 3]),
        *(op("Transpose", name, f"y_{name}", perm=[1, 0, 2]) for name in made[1:]),
    ]
    wanted = (outputs or " ".join(["y", *(f"y_{name}" for name in made[1:])])).split()
    used = {node.output[0]: node for node in nodes[1:]}
    graph = helper.make_graph(
        [nodes[0], *(used[name] for name in wanted)],
        "test",
        [helper.make_tensor_value_info("x", FLOAT, (steps, images, FEATURES))],
        [helper.make_tensor_value_info(name, FLOAT, ()) for name in wanted],
        [
            weight(name, value if name == "lens" else np.float32(value))
            for name, value in weights.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
