"""What float tensors take on, as histograms over the range of their formats; what sums take."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from fxpnn.analysis.blocks import block_images
from fxpnn.analysis.matching import reference_of
from fxpnn.engine.inference import Engine
from fxpnn.engine.threads import spread
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array
from fxpnn.network.rows import Images, as_rows
from fxpnn.proofs.bounds import signed_bits
from fxpnn.reference import compute, forward, scale
from fxpnn.reference.blas import one_thread

BINS = 64
"""How many bins the range of a format is cut into, where it has so many words."""


class FloatValues(msgspec.Struct, frozen=True):
    """How many float values of a tensor fall to which words of its format.

    ``counts`` are those of bins of equal width. They reach from half a count below the smallest
    word, ``low``, to half a count above the largest, ``high``: what a cast to nearest need not
    clamp. ``below`` and ``above`` count what lies outside. ``least`` and ``most`` are the ends of
    all values, ``None`` where these are not finite; what is no number is not counted. ``sum_bits``
    is the narrowest accumulator that holds the last sum of every value of the fixed network,
    ``None`` where there is none; sums on the way to it may take more.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    below: int
    above: int
    least: float | None
    most: float | None
    sum_bits: int | None


def float_values(
    network: Network,
    fixed: FixedNetwork,
    x: Images,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Mapping[str, FloatValues]:
    """Count the float values of the input and of every layer, by its name, over its own format.

    ``network`` is the float network that ``fixed`` came from, ``x`` are images as ``infer`` takes
    them. A layer whose unsigned word is that of the ReLU behind it counts behind that. ``progress``
    is called with the number of images done since the last call.

    Raises:
        DataError: the images do not fit.
        ModelError: the reference has other layers than the fixed network.
    """
    network, x = reference_of(network, fixed), as_rows(fixed, x)
    step, engine = block_images(fixed), Engine(fixed)
    engine.program(fixed.shapes)  # made once, before the threads ask for it

    def work(start: int) -> dict[str, _Counts]:
        images = x[start : start + step]
        floats = forward(network, scale(images, network.scaling), keep=fixed.shapes)
        sums = _sums(fixed, engine.run(images, 1, fixed.shapes).tensors)
        if progress is not None:
            progress(len(images))
        return {
            name: replace(
                _counted(floats[name], fixed.formats[name], name in fixed.rectified),
                sums=sums.get(name),
            )
            for name in fixed.shapes
        }

    with one_thread():  # each of ours multiplies matrices
        parts = spread(work, range(0, len(x), step), threads or os.cpu_count() or 1)
    whole = parts[0]
    for part in parts[1:]:
        whole = {name: counts.joined(part[name]) for name, counts in whole.items()}
    return {name: _values(fixed, name, counts) for name, counts in whole.items()}


@dataclass(frozen=True)
class _Counts:
    """Counts below the range, in each bin and above it; the ends of the values, and of sums."""

    counts: npt.NDArray[np.int64]
    least: float
    most: float
    sums: tuple[float, float] | None = None

    def joined(self, other: "_Counts") -> "_Counts":
        least, most = np.fmin(self.least, other.least), np.fmax(self.most, other.most)
        sums = self.sums
        if sums is not None and other.sums is not None:
            sums = min(sums[0], other.sums[0]), max(sums[1], other.sums[1])
        return _Counts(self.counts + other.counts, float(least), float(most), sums)


def _sums(fixed: FixedNetwork, raw: Mapping[str, Array]) -> dict[str, tuple[float, float]]:
    """Return the ends of each layer's sums of raw values, in counts of its accumulator.

    They are exact below ``2**53``; the accumulator's own overflows are left out.
    """
    found = {}
    for node in fixed.nodes:
        if node.accumulator is not None:
            sums = compute(node.layer, *(raw[name].astype(np.float64) for name in node.inputs))
            ends = [end(sums, (0, *range(2, sums.ndim))) for end in (np.min, np.max)]
            low, high = np.ldexp(ends, -node.dropped(*fixed.sources(node)))
            found[node.name] = float(low.min()), float(high.max())
    return found


def _counted(values: Array, fmt: QFormat, rectified: bool) -> _Counts:
    """Count float32 values ``(N, *shape)``; those of a ``rectified`` layer as if cut at 0."""
    values = values.reshape(-1)
    ends = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isnan(values.sum()):
            values = values[~np.isnan(values)]
    if rectified:
        values = np.maximum(values, 0)
    bins = min(BINS, 1 << fmt.word)
    shrink = bins / (1 << fmt.word)  # a power of two, as is a count: products are exact
    with np.errstate(over="ignore"):
        places = values * np.float32(math.ldexp(shrink, fmt.frac))
        places += np.float32((0.5 - fmt.min) * shrink + 1)
    np.clip(places, 0, bins + 1, out=places)
    counts = np.bincount(places.astype(np.intp), minlength=bins + 2)
    return _Counts(counts.astype(np.int64), *ends)


def _values(fixed: FixedNetwork, name: str, found: _Counts) -> FloatValues:
    fmt, node = fixed.formats[name], fixed.node(name)
    below, *counts, above = found.counts.tolist()
    # 1 itself, which the last word of a softmax or sigmoid stands for
    if node is not None and (node.clips_one or node.layer.traits.format is not None):
        counts[-1], above = counts[-1] + above, 0
    bits = None
    if found.sums is not None:
        bits = signed_bits(math.floor(found.sums[0]), math.ceil(found.sums[1]))
    ends = [found.least, found.most]
    if name in fixed.rectified:
        ends = [max(end, 0.0) for end in ends]
    low, high = (word * fmt.lsb for word in (fmt.min - 0.5, fmt.max + 0.5))
    least, most = (end if math.isfinite(end) else None for end in ends)
    return FloatValues(low, high, tuple(counts), below, above, least, most, bits)
