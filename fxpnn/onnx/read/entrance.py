"""What a model does to its input before the first layer: its normalisation."""

import math

from fxpnn.network.graph import INPUT
from fxpnn.network.normalisation import Normalisation
from fxpnn.onnx.graph.normal import Graph, Op
from fxpnn.onnx.read.trace import Trace, Value

NORMALISING = frozenset(
    {"Cast", "Identity", "Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization"}
    | {"ai.onnx.ml.Scaler"}
)
"""The operators of which a normalisation consists."""

LIMIT = 1 << 20
"""A normalisation of so many values at most is kept apart from the layers."""


class Entrance:
    """Follows the chain of such operators that begins at the input and that nothing else reads.

    Where it ends, the map that it amounts to is the network's normalisation, no part of a layer;
    ``layer`` names the operator that ends it.
    """

    def __init__(self, graph: Graph, trace: Trace) -> None:
        self.uses, self.trace = graph.uses, trace
        self.tensor = graph.inputs[0].name
        self.normalisation: Normalisation | None = None
        self.layer = ""
        self._open = len(graph.inputs) == 1  # of several no rows are normalised: layers do that

    def before(self, op: Op) -> None:
        """Look at an operator before it is run."""
        if not self._open or self.tensor not in op.inputs:
            return
        if op.kind in NORMALISING and self.uses[self.tensor] == 1 and self._constant(op):
            self.tensor = op.outputs[0]
            return
        self._open = False
        value = self.trace.tensors.get(self.tensor)
        if isinstance(value, Value) and value.affine is not None and self._plain(value):
            if value.affine.hides or (op.kind == "Softmax" and value.affine.masks):
                return
            self.normalisation = value.affine.normalisation(value.shape)
            self.layer = value.affine.op.name
            self.trace.enter(self.tensor)

    def _constant(self, op: Op) -> bool:
        """Tell whether all other operands are constants."""
        others = (self.trace.tensors.get(n) for n in op.inputs if n and n != self.tensor)
        return not any(isinstance(value, Value) for value in others)

    @staticmethod
    def _plain(value: Value) -> bool:
        small = math.prod(value.shape) <= LIMIT
        return small and value.source == INPUT and not value.axis and not value.maps
