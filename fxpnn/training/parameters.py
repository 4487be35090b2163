"""The trainable parameters of a network by name: ``hidden.weight``, ``hidden.bias``."""

from collections.abc import Mapping
from dataclasses import replace

from fxpnn.network.graph import Network, Node
from fxpnn.network.layers import Array, Layer


def parameter(node: Node, field: str) -> str:
    """Name one array of a node's layer; all steps of a loop have the same."""
    return f"{node.unrolled or node.name}.{field}"


def parameters(network: Network) -> dict[str, Array]:
    """Give every array that training may change, in the order of the nodes."""
    return {
        parameter(node, field): getattr(node.layer, field)
        for node in network.nodes
        for field in node.layer.arrays()
    }


def with_parameters(network: Network, values: Mapping[str, Array]) -> Network:
    """Give the same network with other values for all of its parameters.

    Raises:
        ModelError: a value has another shape than the parameter, or is not finite.
    """
    made: dict[Layer, Layer] = {}  # one that stands in several places stays one
    for node in network.nodes:
        arrays = {field: values[parameter(node, field)] for field in node.layer.arrays()}
        if arrays and node.layer not in made:
            made[node.layer] = replace(node.layer, **arrays)
    nodes = (replace(node, layer=made.get(node.layer, node.layer)) for node in network.nodes)
    return replace(network, nodes=tuple(nodes))
