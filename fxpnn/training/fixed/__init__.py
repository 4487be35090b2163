"""Training in fixed point: every tensor behind the input's cast is words of at most 16 bits."""

from fxpnn.fixedpoint.chance import Stochastic
from fxpnn.training.fixed.descent import FixedState, FixedStep, train_fixed
from fxpnn.training.fixed.epoch import Epoch
from fxpnn.training.fixed.formats import Formats, TensorFormats, load_formats

__all__ = [
    "Epoch",
    "FixedState",
    "FixedStep",
    "Formats",
    "Stochastic",
    "TensorFormats",
    "load_formats",
    "train_fixed",
]
