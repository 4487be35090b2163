"""The trainable parameters of a network by name: ``hidden.weight``, ``hidden.bias``."""

from collections.abc import Mapping
from dataclasses import replace

from fxpnn.network.graph import Network, Node
from fxpnn.network.layers import Array


def parameter(node: Node, field: str) -> str:
    """Name one array of a node's layer."""
    return f"{node.name}.{field}"


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
    nodes = tuple(
        _replaced(node, values) if node.layer.arrays() else node for node in network.nodes
    )
    return replace(network, nodes=nodes)


def _replaced(node: Node, values: Mapping[str, Array]) -> Node:
    arrays = {field: values[parameter(node, field)] for field in node.layer.arrays()}
    return replace(node, layer=replace(node.layer, **arrays))
