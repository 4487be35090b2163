"""How a layer's float parameters became integers, told with the integers."""

from dataclasses import dataclass

from fxpnn.fixedpoint.qformat import Mode, Overflow, QFormat

WEIGHTS_SATURATE = (Overflow.SATURATE, Overflow.SATURATE_SYMMETRIC)
"""How weights beyond their format may be clipped."""


class WeightRounding(Mode):
    """How weights are rounded: each to its nearest word, or with errors fed back to the others."""

    NEAREST = "nearest"
    FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True)
class Rounded:
    """How a layer's weights were rounded, and what became of its bias before it was cast.

    ``bias_corrected`` says that the mean error of the output on calibration data was moved into it,
    ``bias_format`` is that to which it was cast first. ``overflow`` is that of weights: by
    ``saturate-symmetric`` no word is the least of its format, and those of 2 bits are -1, 0, 1.
    """

    weights: WeightRounding = WeightRounding.NEAREST
    bias_corrected: bool = False
    bias_format: QFormat | None = None
    overflow: Overflow = Overflow.SATURATE

    def __bool__(self) -> bool:
        return self != Rounded()
