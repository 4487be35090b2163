"""What the weights and biases of a node's layer are, whatever its kind."""

from fxpnn.network.fixed import raw_bias, raw_weights
from fxpnn.network.graph import Node
from fxpnn.network.layers import Array


def weight(node: Node) -> Array:
    """Return the weight of a layer that has one: raw words in a fixed network."""
    found = raw_weights(node.layer)
    assert found is not None
    return found


def bias(node: Node) -> Array:
    """Return the bias of a layer, raw words in a fixed network; one 0 where it has none."""
    return raw_bias(node.layer)
