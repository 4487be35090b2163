"""How a layer's float parameters became integers, told with the integers."""

from dataclasses import dataclass

from fxpnn.fixedpoint.qformat import Mode, QFormat


class WeightRounding(Mode):
    """How weights are rounded: each to its nearest word, or with errors fed back to the others."""

    NEAREST = "nearest"
    FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True)
class Rounded:
    """How a layer's weights were rounded, and what became of its bias before it was cast.

    ``bias_corrected`` says that the mean error of the output on calibration data was moved into it,
    ``bias_format`` is that to which it was cast first.
    """

    weights: WeightRounding = WeightRounding.NEAREST
    bias_corrected: bool = False
    bias_format: QFormat | None = None

    def __bool__(self) -> bool:
        return self != Rounded()
