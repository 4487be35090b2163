"""What parameters lose when they become integers, counted once, when a model is built."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Losses:
    """What a layer's parameters lost when they became integers, counted then.

    ``clipped_weights`` counts weights (slopes, alphas) outside a format that was not chosen for
    them, ``clipped_biases`` biases outside a format of their own, ``clipped_constants`` constants
    outside their input's format, ``vanished_channels`` output channels (slopes, alphas) that were
    not 0 and whose words all are. A weight that is rounded to 0 among others is no loss: that is
    what quantizing means.
    """

    clipped_weights: int = 0
    clipped_constants: int = 0
    vanished_channels: int = 0
    clipped_biases: int = 0

    def __bool__(self) -> bool:
        return self != Losses()
