"""Observation: what the tensors of a float network take on for calibration images."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Self, TypeVar

import numpy as np

from fxpnn.errors import DataError, FormatError, ModelError
from fxpnn.network import budget
from fxpnn.network.graph import Network
from fxpnn.network.images import check_images
from fxpnn.network.layers import Array, Concat, Shape
from fxpnn.network.value import Value
from fxpnn.quantization.calibration import Choice, Chosen, choose_shared
from fxpnn.quantization.distribution import Distribution
from fxpnn.quantization.moments import Moments, products
from fxpnn.reference import scale, steps
from fxpnn.reference.blas import one_thread

_Item = TypeVar("_Item")

PRODUCTS = 1 << 27
"""At most so many second moments are summed, in 1 GiB."""
BLOCK, BYTES = 64, 1 << 25
"""At most so many images, and so many bytes of what layers have made and others have yet to read,
are in memory at once, where one image has no more."""


class Ranges(NamedTuple):
    """The least and the largest value of each place on a tensor's first axis, float32."""

    low: Array
    high: Array

    @classmethod
    def of(cls, values: Array) -> Self:
        """Return the ranges of values ``(N, *shape)``."""
        axes = (0, *range(2, values.ndim))
        return cls(values.min(axes), values.max(axes))

    def joined(self, other: Self) -> Self:
        """Return those of both."""
        return type(self)(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


@dataclass(frozen=True, eq=False, repr=False)
class Observation(Value):
    """What calibration images showed of a network, whose tensors have these ``shapes``.

    Any number of networks can be quantized by it. It depends on how values are distributed, not on
    the images' order, nor on how often all are repeated, and does not grow with them. ``floats``
    says that the images were scaled floats, not pixels, ``normalised`` that the input is what the
    network's normalisation gives, which was not folded. ``ranges`` are those of tensors whose parts
    share a word though they may differ: the input, and what a concatenation reads. ``moments`` are
    those of layers' inputs, by the layers' names.
    """

    shapes: Mapping[str, Shape]
    floats: bool
    normalised: bool
    distributions: Mapping[str, Distribution]
    ranges: Mapping[str, Ranges]
    moments: Mapping[str, Moments]

    def __post_init__(self) -> None:
        for name in ("shapes", "distributions", "ranges", "moments"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        for array in (array for pair in self.ranges.values() for array in pair):
            array.flags.writeable = False

    def check(self, network: Network, names: Collection[str], measured: Mapping[str, bool]) -> None:
        """Check that it is of the network, of all tensors and of the layers' moments needed.

        Raises:
            ModelError: it is of a network with other layers.
            FormatError: a tensor or moments were not observed.
        """
        if dict(self.shapes) != dict(network.shapes):
            seen, wanted = set(self.shapes.items()), set(network.shapes.items())
            odd, nested = seen ^ wanted, seen < wanted or wanted < seen
            remedy = ""
            if nested and not self._same_input(network):
                remedy = "; where only one has a layer normalise, observe for this plan"
            raise ModelError(
                f"the observation must be of {network.name}, not of another network; they differ "
                f"in {', '.join(sorted({name for name, _ in odd}))}{remedy}"
            )
        if missing := sorted(set(names) - self.distributions.keys()):
            raise FormatError(
                f"the observation must be of {', '.join(missing)} too; observe for this plan, or "
                "for any"
            )
        for name, second in measured.items():
            found = self.moments.get(name)
            entrance = network.input_name in network[name].inputs and not self._same_input(network)
            if found is None or entrance or (second and found.second is None):
                raise FormatError(
                    f"the observation must have the moments of {name}; observe for this plan"
                )

    def choose(self, choice: Choice) -> Chosen:
        """Choose the format that tensors share."""
        return choose_shared((self.distributions[name] for name in choice.tensors), choice)

    def ranges_of(self, network: Network) -> Mapping[str, Ranges]:
        """Give the ranges; not the input's, if that is another here, normalised or not."""
        same = self._same_input(network)
        return {n: pair for n, pair in self.ranges.items() if same or n != network.input_name}

    def _same_input(self, network: Network) -> bool:
        return self.normalised == (network.normalisation is not None)


def take(
    network: Network, x: Array, names: Iterable[str], measured: Mapping[str, bool]
) -> Observation:
    """Observe the named tensors, and the moments of the inputs of ``measured`` layers.

    These are second ones, too, where it says so. Without either the network does not run.

    Raises:
        DataError: the images are not the network's, or a tensor takes on infinity or NaN.
        FormatError: second moments would take more memory than is allowed.
    """
    check_images(network, x)
    _check_memory(network, measured)
    distributions: dict[str, Distribution] = {}
    ranges: dict[str, Ranges] = {}
    moments: dict[str, Moments] = {}
    wanted = set(names)
    parts = _watched(network) if wanted else set()
    readers: dict[str, list[str]] = {}
    for name in measured:
        readers.setdefault(network[name].inputs[0], []).append(name)
    seen = wanted | parts | readers.keys()
    with one_thread():  # blocks are too small for more to pay
        for tensor, values in blocks(network, x, seen) if seen else ():
            if tensor in wanted:
                known = distributions.get(tensor)
                found = Distribution.of(values, known.dropped if known else 0)
                distributions[tensor] = known.joined(found) if known else found
            if tensor in parts:
                found_range = Ranges.of(values)
                ranges[tensor] = found_range.joined(ranges.get(tensor, found_range))
            for name in readers.get(tensor, ()):
                layer, second = network[name].layer, measured[name]
                summed = Moments.of(layer, values.astype(np.float64), second)
                moments[name] = summed.joined(moments[name]) if name in moments else summed
    return Observation(
        shapes=network.shapes,
        floats=x.dtype != np.uint8,
        normalised=network.normalisation is not None,
        distributions=distributions,
        ranges=ranges,
        moments=moments,
    )


def _check_memory(network: Network, measured: Mapping[str, bool]) -> None:
    sizes = {name: products(network[name].layer) for name, second in measured.items() if second}
    if sum(sizes.values()) > PRODUCTS:
        name = max(sizes, key=lambda name: sizes[name])
        raise FormatError(
            f"second moments must be at most {PRODUCTS} in all layers, not {sum(sizes.values())}; "
            f"round the weights of {name}, which has {sizes[name]}, to nearest"
        )


def _watched(network: Network) -> set[str]:
    """Name the tensors whose parts share a word though they may differ: input and branches."""
    joined = (node for node in network.nodes if isinstance(node.layer, Concat))
    inputs = {it.name for it in network.inputs}
    return inputs.union(name for node in joined for name in node.inputs)


def blocks(network: Network, x: Array, wanted: Collection[str]) -> Iterator[tuple[str, Array]]:
    """Give what each named tensor takes on, float32 ``(N, *shape)``, block by block of images.

    Tensors come one by one, and may be freed before the next is computed. The network runs in
    float64: the order in which a matrix product adds depends on the place of an image in its block,
    and what is rounded to float32 in the end does not show it.
    """
    each = budget.live(network.nodes, network.shapes) * np.dtype(np.float64).itemsize
    step = max(1, min(BLOCK, BYTES // each))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        _check_finite(block, start)
        scaled = scale(block, network.scaling, np.float64)
        for name, values in _quiet(steps(network, scaled, np.float64)):
            if name in wanted:
                yield name, _narrow(name, values)


def _quiet(values: Iterator[_Item]) -> Iterator[_Item]:
    """Compute what is not finite without a warning; the setting does not last between items."""
    while True:
        with np.errstate(over="ignore", invalid="ignore"):
            found = next(values, None)
        if found is None:
            return
        yield found


def _narrow(name: str, values: Array) -> Array:
    """Return values as float32.

    Raises:
        DataError: one is infinite or NaN.
    """
    with np.errstate(over="ignore"):
        floats = values.astype(np.float32)
    if not np.isfinite(floats).all():
        raise DataError(f"{name} must be finite for every calibration image, not overflow")
    return floats


def _check_finite(block: Array, start: int) -> None:
    """Raise ``DataError`` that names the first image and element that is NaN or infinite."""
    if not np.isfinite(block).all():
        image, *element = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
        value = block[(image, *element)]
        raise DataError(
            f"calibration image {start + image}, element {element} must be finite, not {value}"
        )
