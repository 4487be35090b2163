"""Name the first layer that overflowed, and what would have fitted."""

from collections.abc import Iterable

from fxpnn.analysis.report import LayerReport


def first_overflow(layers: Iterable[LayerReport], images: int) -> str | None:
    """Say which layer overflowed first in so many images, how often, and what would have fitted.

    Return ``None`` where none did.
    """
    for layer in layers:
        if layer.accumulator_overflows or layer.saturations:
            where = f"{layer.name} ({layer.op}) is the first layer to overflow"
            return f"{where}: {_causes(layer)} in {images:,} images; {_remedy(layer)}"
    return None


def _causes(layer: LayerReport) -> str:
    causes = []
    if layer.accumulator_overflows:
        word, mode = str(layer.accumulator).split()
        wrapping = "wrapping " if mode == "wrap" else ""
        causes.append(f"its {word}-bit {wrapping}accumulator {layer.accumulator_overflows:,} times")
    if layer.saturations:
        causes.append(f"its {layer.output_format} output {layer.saturations:,} times")
    return " and ".join(causes)


def _remedy(layer: LayerReport) -> str:
    remedies = []
    if layer.accumulator_overflows:
        remedies.append(f"an accumulator of {layer.accumulator_bits_needed} bits")
    if layer.fitting_format:
        remedies.append(f"{layer.fitting_format} at its output")
    if not remedies:
        return "a reference would tell what fits"
    return f"{' and '.join(remedies)} would have fitted"
