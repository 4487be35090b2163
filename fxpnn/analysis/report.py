"""The report of a comparison: accuracy, what overflowed, how far each layer is from the floats."""

from typing import Any

import msgspec

from fxpnn.fixedpoint.qformat import QFormat


class Accuracy(msgspec.Struct, frozen=True, rename={"reference": "float"}):
    """Fractions of right predictions; ``None`` where labels, classes or the reference are missing.

    ``loss`` is float minus fixed; ``flips`` counts predictions that differ from the reference's.
    """

    fixed: float | None = None
    reference: float | None = None
    loss: float | None = None
    flips: int | None = None


class LayerReport(msgspec.Struct, frozen=True):
    """What one layer's integers mean, what overflowed, and how far they are from the floats.

    ``accumulator_bits_needed`` is the narrowest accumulator that provably cannot overflow.
    ``sqnr_db`` and ``max_abs_error`` are ``None`` without a reference; a layer that is exact has
    an endless SQNR, which JSON spells null. ``fitting_format`` is the format of the same word that
    holds every value the reference took on.
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


class OutputReport(msgspec.Struct, frozen=True):
    """The format of one of the network's outputs, and how far it is from the reference's."""

    name: str
    format: str
    sqnr_db: float | None
    max_abs_error: float | None


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


class Report(msgspec.Struct, frozen=True):
    """A comparison; ``flipped`` lists the images whose prediction changed, in order."""

    accuracy: Accuracy
    outputs: tuple[OutputReport, ...]
    layers: tuple[LayerReport, ...]
    softmax: SoftmaxReport | None
    timing: Timing
    flipped: tuple[Flip, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict for each layer, for a table or a data frame."""
        return [msgspec.structs.asdict(layer) for layer in self.layers]

    def __repr__(self) -> str:
        lost = self.accuracy
        return (
            f"Report({len(self.layers)} layers, accuracy float {lost.reference}, fixed "
            f"{lost.fixed}, loss {lost.loss}, flips {lost.flips})"
        )


def weight_text(formats: tuple[QFormat, ...]) -> str | None:
    """Print a weight's format, or the coarsest and finest of its channels' formats."""
    ordered = sorted(set(formats), key=lambda fmt: fmt.frac)
    if not ordered:
        return None
    return str(ordered[0]) if len(ordered) == 1 else f"{ordered[0]}..{ordered[-1]}"
