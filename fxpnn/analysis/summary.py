"""The report of a comparison as a whole, and how it prints."""

from typing import Any

import msgspec

from fxpnn.analysis.report import (
    Accuracy,
    Flip,
    LayerReport,
    OutputReport,
    SoftmaxReport,
    Timing,
)
from fxpnn.network.graph import Scaling
from fxpnn.network.normalisation import Normalisation


class Report(msgspec.Struct, frozen=True):
    """A comparison; ``print`` draws it as the command line does.

    ``flipped`` lists the images whose prediction changed, in order; ``images`` counts all.
    ``scaling`` says how pixels became numbers, and ``normalisation`` what the network makes of
    these and of floats before it casts them. ``reference_matches`` says whether the reference is
    the file that the fixed network came from; ``None`` where there is none, or one of them does not
    know its file.
    """

    accuracy: Accuracy
    outputs: tuple[OutputReport, ...]
    layers: tuple[LayerReport, ...]
    softmax: SoftmaxReport | None
    timing: Timing
    flipped: tuple[Flip, ...]
    reference_matches: bool | None = None
    images: int = 0
    scaling: Scaling = Scaling()
    normalisation: Normalisation | None = None

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict for each layer, for a table or a data frame."""
        return [msgspec.structs.asdict(layer) for layer in self.layers]

    def __repr__(self) -> str:
        lost = self.accuracy
        return (
            f"Report({len(self.layers)} layers, accuracy float {lost.reference}, fixed "
            f"{lost.fixed}, loss {lost.loss}, flips {lost.flips})"
        )

    def __str__(self) -> str:
        from fxpnn.analysis import tables  # only where it is printed

        return tables.plain_text(self)
