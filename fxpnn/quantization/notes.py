"""Notes on a quantization: what calibration data or one word for all cost, each told in a line."""

from collections.abc import Iterator, Mapping

import numpy as np

from fxpnn.fixedpoint.casting import from_float
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.inputs import FixedInput
from fxpnn.network.layers import Array, Concat
from fxpnn.quantization.calibration import Chosen, fitting
from fxpnn.quantization.observation import Ranges

OUTLIER_BITS = 6
"""An outlier that costs so many bits is told."""
LISTED = 5
"""At most so many places are named."""


def notes(
    network: Network,
    fixed: FixedNetwork,
    chosen: Mapping[str, Chosen],
    ranges: Mapping[str, Ranges],
) -> tuple[str, ...]:
    """Say what a user should know of the formats that calibration data chose."""
    entered = [ranges[it.name] for it in fixed.inputs if it.name in ranges]
    if entered and not any(np.any(pair) for pair in entered):
        told = "every value of the calibration data is 0: formats chosen on them hold nothing else"
        return (told,)
    return (
        *_unmoved(chosen),
        *_outliers(fixed.formats, chosen),
        *(told for it in fixed.inputs for told in _vanished(it, ranges)),
        *_branches(network, fixed.formats, ranges),
    )


def _unmoved(chosen: Mapping[str, Chosen]) -> Iterator[str]:
    names = [name for name, found in chosen.items() if found.low == found.high == 0]
    if names:
        yield f"calibration data leave {_listed(names)} at 0, so that their formats are a guess"


def _outliers(formats: Mapping[str, QFormat], chosen: Mapping[str, Chosen]) -> Iterator[str]:
    """Name the first tensor in which few values cost all others many bits."""
    costly = []
    for name, found in chosen.items():
        fmt = formats[name]
        bulk = _fitting(-found.bulk, found.bulk, fmt)
        cost = fmt.integer - bulk.integer
        if found.bulk and cost >= OUTLIER_BITS:
            costly.append((name, fmt, bulk, cost, max(-found.low, found.high)))
    if costly:
        name, fmt, bulk, cost, largest = costly[0]
        more = f" (and in {len(costly) - 1} more tensors)" if len(costly) > 1 else ""
        yield (
            f"{name}: 99.9 % of the calibration values above 0 fit {bulk}, outliers up to "
            f"{largest:g} cost {cost} bits{more}; the method percentile with 99.9 leaves them out"
        )


def _vanished(entry: FixedInput, ranges: Mapping[str, Ranges]) -> Iterator[str]:
    """Name the places of an input that differ between images and whose words do not."""
    if entry.name not in ranges:
        return
    (low, high), fmt = ranges[entry.name], entry.format
    lost = np.flatnonzero((low < high) & (from_float(low, fmt) == from_float(high, fmt)))
    if lost.size:
        yield (
            f"{entry.name}: {fmt} turns all values of channel {_listed(lost)} into one word; "
            "features of unequal range lose less if all are scaled to one range before"
        )


def _branches(
    network: Network, formats: Mapping[str, QFormat], ranges: Mapping[str, Ranges]
) -> Iterator[str]:
    """Name the branches of which a word that they share with louder ones keeps less than half."""
    for node in network.nodes:
        if not isinstance(node.layer, Concat):
            continue
        fmt = formats[node.name]
        for name in dict.fromkeys(node.inputs):
            if name not in ranges:
                continue
            low, high = float(ranges[name].low.min()), float(ranges[name].high.max())
            own = _fitting(low, high, fmt)
            kept = fmt.word - (own.frac - fmt.frac)
            if (low or high) and 2 * kept < fmt.word:
                yield (
                    f"{node.name} (Concat): {fmt} keeps {max(kept, 0)} of {fmt.word} bits of "
                    f"{name}, which {own} would hold; branches of equal range would lose less"
                )


def _fitting(low: float, high: float, like: QFormat) -> QFormat:
    """Return the format of the same word for a range, cut at 0 where there is no sign."""
    low, high = (low, high) if like.signed else (max(low, 0.0), max(high, 0.0))
    return fitting(low, high, like.word, like.signed)


def _listed(places: Array | list[str]) -> str:
    more = len(places) - LISTED
    named = ", ".join(map(str, places[:LISTED]))
    return f"{named} and {more} more" if more > 0 else named
