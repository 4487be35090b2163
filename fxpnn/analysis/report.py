"""The report of a comparison: accuracy, what overflowed, how far each layer is from the floats."""

import msgspec

from fxpnn.fixedpoint.qformat import QFormat


class Accuracy(msgspec.Struct, frozen=True, rename={"reference": "float"}):
    """Fractions of right predictions; ``None`` where labels, classes or the reference are missing.

    ``loss`` is float minus fixed; ``flips`` counts predictions that differ from the reference's,
    for which no labels are needed.
    """

    fixed: float | None = None
    reference: float | None = None
    loss: float | None = None
    flips: int | None = None


class LayerReport(msgspec.Struct, frozen=True):
    """What one layer's integers mean, what overflowed, and how far they are from the floats.

    ``accumulator_bits_needed`` is the narrowest accumulator that provably cannot overflow.
    ``sqnr_db``, ``max_abs_error`` and ``exact`` are ``None`` without a reference; a layer that is
    exact has an endless SQNR, and so has, below 0, one whose reference is always 0: JSON spells
    both null. ``fitting_format`` is the format of the same word that holds every value the
    reference took on. ``below_zero`` counts outputs that an unsigned word cut
    at 0 as the ReLU behind it would have done: no saturations; the reference is cut there too. The
    next three are the layer's ``Losses``: what its parameters lost when the model was built.
    ``rounding`` and ``overflow`` are the modes of the output's cast, ``softmax`` is what softmax
    subtracts (``max``, ``naive`` or a constant), each ``None`` where the layer has no such choice.
    ``worst_channel`` is the place on the output's first axis that has the lowest SQNR, which a
    layer's own need not show: louder channels hide it. It is ``None`` where no channel that has any
    signal lost some, and in layers of more than 4,096 channels. ``remedy`` is what kept the first
    layer that overflowed from it when it was tried on the same images.
    """

    name: str
    op: str
    input_format: str | None
    weight_format: str | None
    output_format: str
    accumulator: str | None
    accumulator_bits_needed: int | None
    proved: bool
    accumulator_overflows: int
    saturations: int
    sqnr_db: float | None
    max_abs_error: float | None
    fitting_format: str | None = None
    below_zero: int = 0
    clipped_weights: int = 0
    clipped_constants: int = 0
    vanished_channels: int = 0
    rounding: str | None = None
    overflow: str | None = None
    softmax: str | None = None
    worst_channel: int | None = None
    worst_channel_sqnr_db: float | None = None
    clipped_biases: int = 0
    remedy: str | None = None
    exact: bool | None = None


class OutputReport(msgspec.Struct, frozen=True):
    """The format of one of the network's outputs, and how far it is from the reference's."""

    name: str
    format: str
    sqnr_db: float | None
    max_abs_error: float | None
    exact: bool | None = None


class SoftmaxReport(msgspec.Struct, frozen=True):
    """How far the integer softmax is from the true one of the same logits.

    ``argmax_lost`` counts images whose largest output is not that of their largest logit.
    """

    max_abs_error: float
    argmax_lost: int


class Timing(msgspec.Struct, frozen=True):
    """Wall seconds of the integer engine alone, proofs and compilation not counted."""

    seconds: float
    images_per_second: float
    threads: int


class Flip(msgspec.Struct, frozen=True):
    """An image whose prediction changed."""

    index: int
    label: int | None
    reference: int
    fixed: int


def weight_text(formats: tuple[QFormat, ...]) -> str | None:
    """Print a weight's format, or the coarsest and finest of its channels' formats."""
    ordered = sorted(set(formats), key=lambda fmt: fmt.frac)
    if not ordered:
        return None
    return str(ordered[0]) if len(ordered) == 1 else f"{ordered[0]}..{ordered[-1]}"
