"""Say in words what the parameters of layers lost when the model was built."""

from collections.abc import Iterable, Iterator

from fxpnn.analysis.contents import FixedLayer
from fxpnn.analysis.report import LayerReport


def parameter_losses(layers: Iterable[FixedLayer | LayerReport]) -> Iterator[str]:
    """Say of each layer that lost any which weights, channels or constants, one line each."""
    for layer in layers:
        if told := [*_told(layer)]:
            yield f"{layer.name} ({layer.op}): {', '.join(told)}"


def _told(layer: FixedLayer | LayerReport) -> Iterator[str]:
    if layer.clipped_weights:
        yield f"{layer.weight_format} clips {layer.clipped_weights:,} of its weights"
    if layer.vanished_channels:
        channels = f"{layer.vanished_channels:,} of its channels"
        yield f"{layer.weight_format} turns all weights of {channels} into 0"
    if layer.clipped_biases:
        yield f"the format of its bias clips {layer.clipped_biases:,} of them"
    if layer.clipped_constants:
        yield f"its input's format clips {layer.clipped_constants:,} of its constants"
