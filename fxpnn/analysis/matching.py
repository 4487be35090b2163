"""What belongs to a fixed network: its classes, labels that name them, its float network."""

import math

from fxpnn.errors import DataError, ModelError
from fxpnn.fixedpoint.casting import is_array
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.folding import without_normalisation
from fxpnn.network.graph import Network
from fxpnn.network.images import logits_of
from fxpnn.network.layers import Array, Softmax


def class_count(network: Network | FixedNetwork) -> int | None:
    """Count the classes that a network tells apart: the values of its logits, if in one row."""
    shape = network.shapes[logits_of(network)]
    return max(shape) if 1 < max(shape) == math.prod(shape) else None


def class_labels(fixed: FixedNetwork, count: int | None, x: Array, y: Array | None) -> Array | None:
    """Return labels that name classes; a row of numbers without a softmax may be no classes."""
    if y is None or count is None:
        return None
    if not is_array(y) or y.shape != (len(x),):
        given = y.shape if is_array(y) else f"a {type(y).__name__}"
        raise DataError(f"labels must be an array ({len(x)},), one per image, not {given}")
    if isinstance(fixed[fixed.outputs[0]].layer, Softmax):
        return y
    return y if y.dtype.kind in "iu" and y.min() >= 0 and y.max() < count else None


def reference_of(network: Network, fixed: FixedNetwork) -> Network:
    """Return the float network with the layers of a fixed one.

    Raises:
        ModelError: it has others.
    """
    if fixed.normalisation is None:  # it was folded where pixels chose the formats
        network = without_normalisation(network)
    order = [[it.name for it in each.inputs] for each in (network, fixed)]
    same = network.outputs == fixed.outputs and order[0] == order[1]
    if dict(network.shapes) != dict(fixed.shapes) or not same:
        odd = set(network.shapes.items()) ^ set(fixed.shapes.items())
        names = ", ".join(sorted({name for name, _ in odd})) or "inputs or outputs"
        raise ModelError(
            f"the reference must be the network that {fixed.name} was quantized from; "
            f"they differ in {names}"
        )
    return network


def reference_matches(network: Network | None, fixed: FixedNetwork) -> bool | None:
    """Return whether a network is the file that a fixed one came from; ``None``: not known."""
    if network is None or not network.sha256 or not fixed.provenance.model:
        return None
    return network.sha256 == fixed.provenance.model
