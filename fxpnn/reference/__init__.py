"""The float forward pass: accuracy is measured against it, and training descends it.

``forward`` runs one batch of scaled floats, ``steps`` gives its tensors one by one; ``predict``
scales images and runs them in blocks, and ``classify`` returns classes. The batch is the first axis
of every array: ``(N, *shape)``.
"""

from fxpnn.reference import norms
from fxpnn.reference.formulas import compute, sigmoid
from fxpnn.reference.passes import classify, forward, predict, scale, steps

FORMULAS = (norms,)
"""The modules whose formulas ``compute`` chooses from, beside its own."""

__all__ = [
    "FORMULAS",
    "classify",
    "compute",
    "forward",
    "predict",
    "scale",
    "sigmoid",
    "steps",
]
