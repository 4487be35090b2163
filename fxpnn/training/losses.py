"""Losses: the cost of outputs ``a`` against targets ``y``, and its slope."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.errors import DataError, ModelError
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Layer, Sigmoid, Softmax
from fxpnn.reference import sigmoid

Function: TypeAlias = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Loss:
    """A cost, the mean over the batch of what each example costs.

    ``value(a, y)`` is each example's cost, ``(N,)``; ``slope(a, y)`` its derivative by the outputs,
    in their shape. Behind an activation of the kind ``fuses`` the derivative by the activation's
    *input* is ``a - y``, which neither overflows nor divides.
    """

    name: str
    value: Function
    slope: Function
    fuses: type[Layer] | None = None


class Cost(NamedTuple):
    """A batch's mean cost, and the deltas from which to propagate it back."""

    value: float
    deltas: dict[str, Array]


def cost(loss: Loss, network: Network, values: Mapping[str, Array], y: Array) -> Cost:
    """Compute the cost of a batch whose every node's output is in ``values``.

    ``y`` has the output's shape, ``(N, ...)``.

    Raises:
        ModelError: the network has several outputs.
    """
    if len(network.outputs) != 1:
        raise ModelError(f"training must have one output, not {', '.join(network.outputs)}")
    node = network[network.outputs[0]]
    a = values[node.name]
    value = float(loss.value(a, y).mean())
    if loss.fuses is not None and isinstance(node.layer, loss.fuses):
        return Cost(value, {node.inputs[0]: (a - y) / len(a)})
    return Cost(value, {node.name: loss.slope(a, y) / len(a)})


def _sum(costs: Array) -> Array:
    total: Array = costs.reshape(len(costs), -1).sum(axis=1)
    return total


def _log(a: Array) -> Array:
    """Take the logarithm, of the smallest normal number where ``a`` has underflowed to 0."""
    logarithm: Array = np.log(np.maximum(a, np.finfo(a.dtype).tiny))
    return logarithm


CROSS_ENTROPY = Loss(
    "cross-entropy",
    value=lambda a, y: _sum(-y * _log(a)),
    slope=lambda a, y: -y / a,
    fuses=Softmax,
)
"""``-sum(y * log(a))``: the log-likelihood of the right class, behind a softmax."""

BINARY_CROSS_ENTROPY = Loss(
    "binary-cross-entropy",
    value=lambda a, y: _sum(-y * _log(a) - (1 - y) * _log(1 - a)),
    slope=lambda a, y: (a - y) / (a * (1 - a)),
    fuses=Sigmoid,
)
"""``-sum(y * log(a) + (1 - y) * log(1 - a))``: independent yes-or-no outputs, behind a sigmoid."""

SQUARES = Loss("squares", value=lambda a, y: _sum(np.square(a - y)) / 2, slope=lambda a, y: a - y)
"""``sum((a - y)**2) / 2``: half the squared error."""

MEAN_SQUARES = Loss(
    "mean-squares",
    value=lambda a, y: _sum(np.square(a - y)) * len(a) / a.size,
    slope=lambda a, y: 2 * (a - y) * len(a) / a.size,
)
"""``mean((a - y)**2)`` over the outputs, and so over the batch: the mean squared error."""

LOGISTIC = Loss(
    "logistic",
    value=lambda a, y: _sum(np.logaddexp(0, -y * a)),
    slope=lambda a, y: -y * sigmoid(-y * a),
)
"""``-sum(log(sigmoid(y * a)))``: yes or no as labels ``y`` of 1 or -1, behind a linear layer."""

LOGITS_CROSS_ENTROPY = Loss(
    "logits-cross-entropy",
    value=lambda a, y: np.logaddexp.reduce(a, axis=1) - _sum(y * a),
    slope=lambda a, y: np.exp(a - np.logaddexp.reduce(a, axis=1, keepdims=True)) - y,
)
"""``CROSS_ENTROPY`` of the softmax of outputs ``(N, classes)``, for a network that has none."""

LOSSES: Mapping[str, Loss] = {
    loss.name: loss
    for loss in (CROSS_ENTROPY, BINARY_CROSS_ENTROPY, SQUARES, MEAN_SQUARES, LOGISTIC)
}


def one_hot(labels: Array, classes: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Turn labels ``(N,)`` of 0 to ``classes - 1`` into rows of zeros with a one, ``(N, classes)``.

    Raises:
        DataError: a label is no class.
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        reached = f"{labels.min()}..{labels.max()}"
        raise DataError(f"labels must be 0 to {classes - 1}, not reach {reached}")
    return np.eye(classes, dtype=dtype)[labels]
