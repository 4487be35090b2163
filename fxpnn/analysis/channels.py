"""Channels: which are compared one by one, and the first that is lost where louder ones hide it."""

import math
from collections.abc import Iterable, Mapping

from fxpnn.analysis.report import LayerReport
from fxpnn.analysis.statistics import ErrorStatistics
from fxpnn.network.layers import Shape

LOST_DB, HIDDEN_DB = 20.0, 20.0
"""A channel with less is lost: its error is a tenth of it. It is hidden where the layer has so much
more."""

MOST, MOST_IN_ALL = 1 << 12, 1 << 18
"""Layers of more channels, and those behind so many, are compared as a whole: exact sums of a
channel take 1 KB."""


def told_apart(shapes: Mapping[str, Shape]) -> frozenset[str]:
    """Name the tensors whose places on the first axis are compared one by one."""
    found, total = set(), 0
    for name, shape in shapes.items():
        if shape[0] <= MOST and total + shape[0] <= MOST_IN_ALL:
            found.add(name)
            total += shape[0]
    return frozenset(found)


def worst(error: ErrorStatistics | None, shape: Shape) -> int | None:
    """Return the worst channel of a tensor; none if it lost nothing, or is told as a whole."""
    apart = error is not None and len(error.channels) == shape[0]
    return error.worst_channel if error is not None and apart else None


def lost_channel(layers: Iterable[LayerReport]) -> str | None:
    """Say which channel is lost and hidden, in the first layer that has one; ``None`` if none does.

    How many layers after it have such channels too is said as well.
    """
    lossy = [layer for layer in layers if _loses(layer)]
    if not lossy:
        return None
    first, more = lossy[0], len(lossy) - 1
    worst = first.worst_channel_sqnr_db
    has = "an error and no signal" if worst == -math.inf else f"{worst:.1f} dB"
    told = (
        f"{first.name} ({first.op}) is the first layer to lose a channel: {first.worst_channel} "
        f"has {has}, the layer {first.sqnr_db:.1f} dB"
    )
    return told + (f"; so do {more} after it" if more else "")


def _loses(layer: LayerReport) -> bool:
    worst, own = layer.worst_channel_sqnr_db, layer.sqnr_db
    return worst is not None and own is not None and worst < LOST_DB and own - worst >= HIDDEN_DB
