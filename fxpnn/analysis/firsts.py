"""Where a layer overflowed first: the image, by running fewer and fewer, and the element."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fxpnn import golden
from fxpnn.analysis.explanation import FirstLoss
from fxpnn.engine.inference import Engine, prepared
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.inputs import split
from fxpnn.network.layers import Array, products
from fxpnn.reference import scale

LARGEST = 1 << 21
"""The most products, or values, of a layer that plain Python looks through for the element."""
KINDS = ("accumulator_overflows", "saturations")


def first_losses(
    fixed: FixedNetwork, x: Array, counts: Mapping[str, Counts]
) -> tuple[FirstLoss, ...]:
    """Find the first image and element of each kind of overflow of each layer.

    ``counts`` are those of the whole run.
    """
    return tuple(
        FirstLoss(name, kind, *_first(fixed, x, name, kind))
        for name, found in counts.items()
        for kind in KINDS
        if getattr(found, kind)
    )


def _first(
    fixed: FixedNetwork, x: Array, name: str, kind: str
) -> tuple[int, tuple[int, ...] | None]:
    engine = prepared(fixed)
    low, high = 0, 1
    while not getattr(engine.run(x[low:high]).layers[name], kind):
        low, high = high, min(2 * high, len(x))
    while high - low > 1:
        middle = (low + high) // 2
        if getattr(engine.run(x[low:middle]).layers[name], kind):
            high = middle
        else:
            low = middle
    return low, _element(fixed, x[low : low + 1], name, kind)


@dataclass
class _Watch(golden.Unit):
    """An arithmetic unit that remembers before which cast each kind of count was 0."""

    casts: int = 0
    at: dict[str, int] = field(default_factory=dict)

    def cast(self, value: int, frac: int, source: QFormat | None = None, count: int = 1) -> int:
        """Cast, and look at the counts: the accumulator's belong to this element already."""
        raw = super().cast(value, frac, source, count)
        if self.overflows:
            self.at.setdefault("accumulator_overflows", self.casts)
        if self.saturations:
            self.at.setdefault("saturations", self.casts)
        self.casts += 1
        return raw


def _element(fixed: FixedNetwork, image: Array, name: str, kind: str) -> tuple[int, ...] | None:
    """Return the index of the first element of an image's output that overflows."""
    node, shape = fixed.node(name), fixed.shapes[name]
    if node is None:
        return _input_element(fixed, image, name)
    size = int(np.prod(shape))
    if max(products(node.layer, shape, fixed.shapes[node.inputs[0]]), size) > LARGEST:
        return None
    tensors = Engine(fixed).run(image, 1, fixed.shapes).tensors
    watch = _Watch(node, tuple(fixed.formats[n] for n in node.inputs), name in fixed.rectified)
    golden.compute(node.layer, watch, *(tensors[n][0].astype(object) for n in node.inputs))
    place = watch.at.get(kind)
    if place is None or watch.casts != size:  # a layer that casts otherwise than once a value
        return None
    return tuple(int(i) for i in np.unravel_index(place, shape))


def _input_element(fixed: FixedNetwork, image: Array, name: str) -> tuple[int, ...] | None:
    """Return the index of the first value of an image that an input's format does not hold."""
    values = scale(image, fixed.scaling, np.float64)
    if fixed.normalisation is not None:
        values = fixed.normalisation.apply(values, np.float64)
    values = split(fixed.inputs, values)[name]
    beyond = np.argwhere(Shift(fixed.formats[name]).counted(values[0])[1])
    return tuple(int(i) for i in beyond[0]) if len(beyond) else None
