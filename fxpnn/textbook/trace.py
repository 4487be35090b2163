"""One training step in full: every z, a, delta, gradient and new weight of an example.

Nodes are named as the lectures name their values: ``z1`` is the first layer's weighted sum, ``a1``
what its activation makes of it.
"""

from dataclasses import dataclass

import numpy as np

from fxpnn.network.graph import Network
from fxpnn.network.layers import Array
from fxpnn.quantization.settings import Plan
from fxpnn.reference import forward
from fxpnn.textbook.lesson import Sides, both
from fxpnn.training import Gradients, backpropagate, parameters, with_parameters
from fxpnn.training.losses import SQUARES, Loss, cost


@dataclass(frozen=True, eq=False)
class Example:
    """What a step is taken on: a network, one input and its target, both without a batch axis.

    ``learns`` names the parameters that move, ``plan`` the formats of the fixed side.
    """

    network: Network
    x: Array
    y: Array
    learns: tuple[str, ...]
    plan: Plan
    rate: float = 0.01
    loss: Loss = SQUARES


@dataclass(frozen=True, eq=False)
class Trace:
    """One step: the forward pass on both sides, its cost and derivatives, the network after it.

    ``gradients.deltas`` holds the cost's derivative by every node's output; the lecture's delta is
    that by a z. ``cost_after`` is the cost of the network after the step. All is float64.
    """

    example: Example
    sides: Sides
    cost: float
    gradients: Gradients
    after: Network
    cost_after: float


def step(example: Example) -> Trace:
    """Take one step of gradient descent: ``w - rate * dC/dw`` for all weights at once."""
    sides = both(example.network, example.x[None], example.plan)
    found = cost(example.loss, example.network, sides.floats, example.y[None])
    gradients = backpropagate(example.network, sides.floats, found.deltas)
    moved = parameters(example.network)
    for name in example.learns:
        moved[name] = moved[name] - example.rate * gradients.parameters[name]
    after = with_parameters(example.network, moved)
    values = forward(after, example.x[None], np.float64)
    lower = cost(example.loss, after, values, example.y[None]).value
    return Trace(example, sides, found.value, gradients, after, lower)
