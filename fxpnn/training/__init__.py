"""Own backpropagation and mini-batch gradient descent for float networks."""

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
