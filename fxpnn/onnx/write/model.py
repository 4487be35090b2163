"""Write a network as ONNX: the same bytes for the same network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from fxpnn import files
from fxpnn.errors import ModelError
from fxpnn.network.graph import Network, Node, Scaling
from fxpnn.network.layers import Array, Shape
from fxpnn.onnx.graph.normal import Names
from fxpnn.onnx.graph.proto import MAX_BYTES
from fxpnn.onnx.write.operators import Operator, operators

OPSET, IR_VERSION = 19, 9
"""The first opset that can say every layer (dilated average pools came last), and its IR."""


def save(network: Network, path: Path | str) -> None:
    """Write a network as an ONNX file.

    Parameters are written as float32, the type that ONNX Runtime computes in.

    Raises:
        ModelError: a parameter is beyond float32's range.
        DataError: the file cannot be written.
    """
    files.write(Path(path), to_model(network).SerializeToString(deterministic=True))


def to_model(network: Network) -> onnx.ModelProto:
    """Return the network as an ONNX model with a symbolic batch ``N``.

    Raises:
        ModelError: a parameter is beyond float32's range, or all are beyond what a file can hold.
    """
    if 4 * network.parameters > MAX_BYTES:
        size = 4 * network.parameters
        raise ModelError(f"weights must take at most {MAX_BYTES} bytes in all, not {size}")
    writer = Writer(network)
    if network.normalisation is not None:
        writer.normalise(network)
    for node in network.nodes:
        writer.write(node, operators(node.layer, network.shapes[node.inputs[0]]))
    return finish(writer, network, {"": OPSET}, IR_VERSION)


def finish(
    writer: "Writer", network: Network, opsets: Mapping[str, int], ir_version: int
) -> onnx.ModelProto:
    """Return the model of a network whose layers are written."""
    graph = make_graph(
        writer.nodes,
        network.name or "network",
        [_tensor_info(it.name, it.shape) for it in network.inputs],
        [_tensor_info(name, network.shapes[name]) for name in network.outputs],
        writer.weights,
    )
    imports = [make_opsetid(*item) for item in opsets.items()]
    model = make_model(graph, opset_imports=imports, ir_version=ir_version, producer_name="fxpnn")
    if not network.scaling.assumed:
        onnx.helper.set_model_props(model, _metadata(network.scaling))
    return model


def _tensor_info(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape])


def _metadata(scaling: Scaling) -> dict[str, str]:
    return {
        "fxpnn.scale": repr(scaling.scale),
        "fxpnn.mean": ",".join(map(repr, scaling.mean)),
        "fxpnn.std": ",".join(map(repr, scaling.std)),
    }


def _check_float32(node: Node, name: str, array: Array) -> None:
    if array.dtype.kind == "f" and np.abs(array).max() > np.finfo(np.float32).max:
        raise ModelError(f"layer {node.name} ({node.op}): {name} must fit float32")


class Writer:
    """The ONNX nodes and weights so far; a layer's output tensor has the name of its node."""

    def __init__(self, network: Network) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.names = Names(it.name for it in network.inputs)
        self.entrance, self._input = network.input_name, network.input_name
        for node in network.nodes:
            self.names.unique(node.name)

    def normalise(self, network: Network) -> None:
        """Append what a network does to its input before the first layer."""
        assert network.normalisation is not None
        parts = zip(("Mul", "Add"), network.normalisation.arrays(network.input_shape), strict=True)
        for kind, array in parts:
            name = self.names.unique(
                network.normaliser if kind == "Add" else f"{self._input}.{kind.lower()}"
            )
            constant = onnx.numpy_helper.from_array(array.astype(np.float32), f"{name}.constant")
            self.weights.append(constant)
            self.nodes.append(make_node(kind, [self.entrance, constant.name], [name], name))
            self.entrance = name

    def write(self, node: Node, chain: tuple[Operator, ...]) -> None:
        """Append the operators of one layer and their constants."""
        sources = [self.entrance if name == self._input else name for name in node.inputs]
        inputs = list(sources)
        for operator in chain:
            last = operator is chain[-1]
            name = self.names.unique(node.name + operator.part) if operator.part else node.name
            output = node.name if last else self.names.unique(f"{node.name}.out")
            reads = [*sources, *inputs] if operator.gates else inputs
            constants = [self.constant(node, *item) for item in operator.constants.items()]
            for key, value in operator.attributes.items():
                _check_float32(node, key, np.asarray(value))
            reads = [*reads, *constants]
            made = make_node(operator.kind, reads, [output], name, **operator.attributes)
            if operator.domain:  # an empty one would stand in the bytes
                made.domain = operator.domain
            self.nodes.append(made)
            inputs = [output]

    def constant(self, node: Node, name: str, array: Array | None) -> str:
        """Append a constant and return its name; what is left out is named by no letters."""
        if array is None:
            return ""
        _check_float32(node, name, array)
        stored = array.astype(np.float32) if array.dtype.kind == "f" else array
        name = self.names.unique(f"{node.name}.{name}")
        self.weights.append(onnx.numpy_helper.from_array(stored, name))
        return name
