"""Training of networks: backpropagation and mini-batch gradient descent.

``train`` minimises a ``Loss`` by a ``Recipe``; ``backpropagate`` gives the gradients of one batch,
``descend`` takes the steps one by one. ``Qat`` trains a network for the words it will have,
``train_fixed`` in fixed point alone: ``fxpnn.training.fixed`` has what belongs to it.
"""

from fxpnn.training.fixed import train_fixed
from fxpnn.training.gradients import Gradients, backpropagate
from fxpnn.training.losses import CROSS_ENTROPY, LOGITS_CROSS_ENTROPY, LOSSES, Loss, cost
from fxpnn.training.parameters import parameters, with_parameters
from fxpnn.training.qat import Qat, QatStep
from fxpnn.training.sgd import Recipe, Schedule, Step, descend, train

__all__ = [
    "CROSS_ENTROPY",
    "LOGITS_CROSS_ENTROPY",
    "LOSSES",
    "Gradients",
    "Loss",
    "Qat",
    "QatStep",
    "Recipe",
    "Schedule",
    "Step",
    "backpropagate",
    "cost",
    "descend",
    "parameters",
    "train",
    "train_fixed",
    "with_parameters",
]
