"""Training of float networks: backpropagation and mini-batch gradient descent.

``train`` minimises a ``Loss`` by a ``Recipe``; ``backpropagate`` gives the gradients of one batch,
``descend`` takes the steps one by one.
"""

from fxpnn.training.gradients import Gradients, backpropagate
from fxpnn.training.losses import CROSS_ENTROPY, LOSSES, Loss, cost
from fxpnn.training.parameters import parameters, with_parameters
from fxpnn.training.sgd import Recipe, Schedule, Step, descend, train

__all__ = [
    "CROSS_ENTROPY",
    "LOSSES",
    "Gradients",
    "Loss",
    "Recipe",
    "Schedule",
    "Step",
    "backpropagate",
    "cost",
    "descend",
    "parameters",
    "train",
    "with_parameters",
]
