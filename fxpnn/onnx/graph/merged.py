"""Find tensors whose first axis may be that of the images and another, as one.

``(images, places, features)`` becomes ``(images * places, features)`` where exporters write a dense
layer of rows, and ``(images, heads, ...)`` becomes ``(images * heads, ...)`` before products of
matrices. A Reshape parts the axes again. Between stand only operators that do the same to all that
lies along the first axis, so that it does not matter whether the images are among it.
"""

from collections.abc import Mapping

from fxpnn.network.layers import Array
from fxpnn.onnx.graph.normal import Graph, Op
from fxpnn.onnx.graph.norms import AXES

SINGLE = (
    *("Relu", "LeakyRelu", "Elu", "Celu", "Selu", "Sigmoid", "HardSigmoid", "Tanh", "Softplus"),
    *("Softsign", "HardSwish", "Swish", "Mish", "Gelu", "Abs", "Neg", "Clip", "Identity"),
    *("Dropout", "Cast", "Add", "Sub", "Mul", "Div"),
)
"""Operators of single values, which may have constants for the features beside the tensor."""
FEATURES = ("Softmax", "LayerNormalization")
"""Operators along the last axis, where they count it from the end."""
MOVES = ("Reshape", "Transpose")


def mergeable(graph: Graph) -> frozenset[str]:
    """Return the tensors of which all readers agree, up to the Reshape that parts the axes."""
    refused, found = set(graph.outputs), set[str]()
    read = graph.uses
    for op in reversed(graph.ops):
        found.update(name for name in op.outputs[:1] if read[name] and name not in refused)
        goes_on = op.kind not in MOVES
        if not _alike(op, graph.constants) or (goes_on and not found.issuperset(op.outputs)):
            refused.update(op.inputs)
    return frozenset(found)


def _alike(op: Op, constants: Mapping[str, Array]) -> bool:
    """Tell whether an operator does the same to all that lies along the first axis."""
    beside = [constants[name] for name in op.inputs if name in constants]
    one = len(beside) == sum(map(bool, op.inputs)) - 1 and op.inputs[0] not in constants
    if op.kind in SINGLE:
        return all(array.size == max((1, *array.shape[-1:])) for array in beside)
    if op.kind in FEATURES:
        axes = [*op.get(AXES, [op.get("axis", -1)])]
        return one and axes == [-1] and op.opset >= 13
    if op.kind == "MatMul":
        return not beside or (one and beside[0].ndim == 2)
    return op.kind in MOVES or (op.kind == "Gemm" and one and not op.get("transA"))
