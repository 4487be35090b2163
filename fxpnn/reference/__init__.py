"""Own the float forward pass: what accuracy is measured against, and what training descends.

Every array has the batch as its first axis: ``(N, *shape)`` with the shapes of ``layers``.
"""

from fxpnn.reference.formulas import compute, sigmoid
from fxpnn.reference.passes import check_images, classify, forward, logits, predict, scale

__all__ = [
    "check_images",
    "classify",
    "compute",
    "forward",
    "logits",
    "predict",
    "scale",
    "sigmoid",
]
