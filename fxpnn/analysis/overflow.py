"""Name the first layer that overflowed, and what would have fitted."""

from collections.abc import Iterable

from fxpnn.analysis.report import LayerReport
from fxpnn.fixedpoint.qformat import Accumulator, Overflow


def first_overflow(layers: Iterable[LayerReport], images: int) -> str | None:
    """Say which layer overflowed first in so many images, how often, and what would have fitted.

    Return ``None`` where none did.
    """
    layer = next(filter(overflowed, layers), None)
    if layer is None:
        return None
    where = f"{layer.name} ({layer.op}) is the first layer to overflow"
    told = f"{where}: {_causes(layer)} in {images:,} images"
    return f"{told}; {layer.remedy}" if layer.remedy else told


def overflowed(layer: LayerReport) -> bool:
    """Tell whether anything overflowed in a layer."""
    return layer.accumulator_overflows + layer.saturations > 0


def _causes(layer: LayerReport) -> str:
    causes = []
    if layer.accumulator_overflows:
        register = Accumulator.parse(str(layer.accumulator))
        wrapping = "wrapping " if register.overflow is Overflow.WRAP else ""
        word = f"{register.word}-bit" if register.frac is None else register.format
        causes.append(f"its {word} {wrapping}accumulator {layer.accumulator_overflows:,} times")
    if layer.saturations:
        causes.append(f"its {layer.output_format} output {layer.saturations:,} times")
    return " and ".join(causes)
