"""Which tensors may have the images' axis and another as one."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

from fxpnn.onnx.graph.merged import mergeable
from fxpnn.onnx.graph.normal import normalise
from tests.support.onnx_models import floats, model, op

WEIGHTS = {"shape": np.array([-1, 4]), "w": floats(4, 4), "f": floats(4), "c": floats(3, 4)}
PARTED = op("Reshape", "b shape", "y")

NODES: dict[str, tuple[bool, Sequence[onnx.NodeProto]]] = {
    "by a constant": (True, [op("MatMul", "a w", "b"), PARTED]),
    "by features": (True, [op("Add", "a f", "b"), PARTED]),
    "normalised": (True, [op("LayerNormalization", "a f f", "b"), PARTED]),
    "turned": (True, [op("Transpose", "a", "b", perm=[0, 1]), PARTED]),
    "transposed as a matrix": (False, [op("Gemm", "a w f", "b", transA=1), PARTED]),
    "by what differs along the axis": (False, [op("Add", "a c", "b"), PARTED]),
    "along the axis": (False, [op("Softmax", "a", "b", axis=1), PARTED]),
    "a constant by it": (False, [op("MatMul", "w a", "b"), PARTED]),
    "joined": (False, [op("Concat", "a a", "b", axis=1), PARTED]),
    "never parted": (False, [op("Relu", "a", "y")]),
}


@pytest.mark.parametrize(("may", "nodes"), NODES.values(), ids=NODES)
def test_every_reader_agrees(may: bool, nodes: Sequence[onnx.NodeProto]) -> None:
    """All that is done up to a Reshape is done alike along the axis, and the output is parted."""
    graph = normalise(model(op("Reshape", "x shape", "a"), *nodes, weights=WEIGHTS))
    assert ("a" in mergeable(graph)) == may
