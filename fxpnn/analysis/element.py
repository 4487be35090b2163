"""How one value of a layer comes about: what it reads, its products, their sum, and the cast.

Each kind of layer says what one of its outputs reads; the golden model then computes a layer of
that one output, and what it does is written down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import chain
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from fxpnn.fixedpoint.integers import accumulation
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.golden import Unit, compute
from fxpnn.golden.sums import repeated, seen_by
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNode, RawArray, raw_bias, raw_weights
from fxpnn.network.layers import Array, Layer, Shape, Window

Index: TypeAlias = tuple[int, ...]


class Read(msgspec.Struct, frozen=True):
    """A value that an output is made of: of which tensor, and where; nowhere is padding.

    Where products are summed, ``accumulator`` is what the register holds once ``product`` is added.
    """

    tensor: str
    index: tuple[int, ...] | None
    raw: int
    weight: int | None = None
    product: int | None = None
    accumulator: int | None = None


class Cast(msgspec.Struct, frozen=True):
    """The cast of the exact ``value / count``, in counts of ``2**-frac``, to a format's word."""

    value: int
    count: int
    frac: int
    format: str
    rounding: str
    overflow: str
    overflowed: bool


class Element(msgspec.Struct, frozen=True):
    """How the raw value at ``index`` comes about; ``start`` is the register with the bias alone."""

    index: tuple[int, ...]
    raw: int
    reads: tuple[Read, ...]
    bias: int | None
    start: int | None
    cast: Cast | None


class Part(NamedTuple):
    """A layer of one output, or of few, and what it reads.

    ``reads`` holds the number of an input and a place in its values, ``None`` for padding; what is
    of one input is one vector. ``channel`` is whose weight format it has (``None``: all), ``at``
    which output is meant.
    """

    layer: Layer
    reads: tuple[tuple[int, int | None], ...]
    padding: int = 0
    channel: int | None = 0
    at: int = 0


@dataclass
class Recorder(Unit):
    """The arithmetic of a node that remembers its last sum, and its casts."""

    steps: tuple[int, ...] = ()
    made: tuple[Cast, ...] = ()

    def accumulate(self, bias: int, products: Iterable[int], frac: int) -> int:
        """Remember what the register holds after every step."""
        register, listed = self.node.accumulator or Accumulator(), list(products)
        dropped = frac - (frac if register.frac is None else register.frac)
        self.steps = tuple(it.held for it in accumulation(register, bias, listed, dropped))
        return super().accumulate(bias, listed, frac)

    def cast(self, value: int, frac: int, source: QFormat | None = None, count: int = 1) -> int:
        """Remember the exact value."""
        before, node = self.saturations + self.below_zero, self.node
        raw = super().cast(value, frac, source, count)
        over = self.saturations + self.below_zero > before
        modes = node.rounding.value, node.overflow.value
        made = Cast(value, count, frac, str(node.output_format), *modes, over)
        self.made = (*self.made, made)
        return raw


def element(
    node: FixedNode, formats: Sequence[QFormat], inputs: Sequence[RawArray], index: Index
) -> Element:
    """Compute one output of a node, and tell how.

    Args:
        node: the node.
        formats: the format of each of its inputs.
        inputs: their raw values, each of its shape.
        index: which output, in the shape that the node has.
    """
    part = part_of(node.layer, index, formats, *(x.shape for x in inputs))
    weights = node.weight_formats
    if len(weights) > 1 and part.channel is not None:
        weights = weights[part.channel : part.channel + 1]
    reads = [_read(node, inputs, number, place, part.padding) for number, place in part.reads]
    vectors: dict[int, list[int]] = {}
    for (number, _), read in zip(part.reads, reads, strict=True):
        vectors.setdefault(number, []).append(read.raw)
    one = replace(node, layer=part.layer, weight_formats=weights)
    unit = Recorder(one, tuple(formats[number] for number in vectors))
    made = compute(part.layer, unit, *_shaped(part.layer, vectors))
    bias = None
    if unit.steps:
        words, bias = raw_weights(part.layer), int(raw_bias(part.layer)[0])
        factors = vectors[1] if words is None else words[0].tolist()
        reads, beside = reads[: len(factors)], reads[len(factors) :]
        steps = zip(reads, factors, unit.steps[1:], strict=True)
        reads = [
            msgspec.structs.replace(read, weight=w, product=w * read.raw, accumulator=held)
            for read, w, held in steps
        ] + beside
    return Element(
        index=index,
        raw=int(made.reshape(-1)[part.at]),
        reads=tuple(reads),
        bias=bias,
        start=unit.steps[0] if unit.steps else None,
        cast=unit.made[part.at] if unit.made else None,
    )


def _read(
    node: FixedNode, inputs: Sequence[RawArray], number: int, place: int | None, padding: int
) -> Read:
    x, name = inputs[number], node.inputs[number]
    if place is None:
        return Read(name, None, padding)
    index = tuple(int(i) for i in np.unravel_index(place, x.shape))
    return Read(name, index, int(x[index]))


def _shaped(layer: Layer, vectors: dict[int, list[int]]) -> Iterable[Array]:
    """Give the vectors as a layer takes them: a pool's window is a map of one row."""
    pooled = isinstance(getattr(layer, "window", None), Window)
    for number, values in vectors.items():
        vector = np.array(values, object)
        if isinstance(layer, layers.MatMul):
            vector = vector.reshape((1, -1) if number == 0 else (-1, 1))
        yield vector.reshape(1, 1, -1) if pooled else vector


@singledispatch
def part_of(layer: Layer, index: Index, formats: Sequence[QFormat], *shapes: Shape) -> Part:
    """Say what an output reads: by default the value in its place of each input."""
    places = []
    for number, shape in enumerate(shapes):  # a second factor may repeat along axes of size 1
        here = tuple(i % size for i, size in zip(index, shape, strict=True))
        places.append((number, _place(here, shape)))
    return Part(layer, tuple(places))


def _place(index: Index, shape: Shape) -> int:
    return int(np.ravel_multi_index(index, shape))


def _numbers(shape: Shape) -> RawArray:
    """Give each value its place as an integer."""
    return np.arange(np.prod(shape), dtype=np.int64).reshape(shape)


def _of(places: Iterable[int]) -> tuple[tuple[int, int | None], ...]:
    """Read places of the first input; negative ones are padding."""
    return tuple((0, None if place < 0 else int(place)) for place in places)


@part_of.register
def _dense(layer: layers.Dense, index: Index, formats: Sequence[QFormat], shape: Shape) -> Part:
    (o,) = index
    one = layers.Dense(layer.weight[o : o + 1], layer.bias[o : o + 1])
    return Part(one, _of(range(*shape)), channel=o)


@part_of.register
def _conv2d(layer: layers.Conv2D, index: Index, formats: Sequence[QFormat], shape: Shape) -> Part:
    o, *at = index
    outputs, maps = layer.weight.shape[:2]
    first = o * layer.groups // outputs * maps
    planes = _numbers(shape)[first : first + maps]
    seen = chain(*(seen_by(layer.window, plane, (at[0], at[1]), -1) for plane in planes))
    one = layers.Dense(layer.weight[o].reshape(1, -1), layer.bias[o : o + 1])
    return Part(one, _of(seen), channel=o)


@part_of.register
def _prelu(layer: layers.PRelu, index: Index, formats: Sequence[QFormat], shape: Shape) -> Part:
    channel = index[0]
    one = layers.PRelu(layer.slope[channel : channel + 1])
    return Part(one, _of([_place(index, shape)]), channel=channel)


@part_of.register
def _pool(
    layer: layers.MaxPool2D | layers.AvgPool2D | layers.L2Pool2D,
    index: Index,
    formats: Sequence[QFormat],
    shape: Shape,
) -> Part:
    channel, *at = index
    largest = isinstance(layer, layers.MaxPool2D)
    counts = isinstance(layer, layers.AvgPool2D) and layer.count_padding
    seen = seen_by(
        layer.window, _numbers(shape)[channel], (at[0], at[1]), -1 if largest or counts else None
    )
    places = seen or [-1]  # a window that sees nothing gives what one 0 gives
    one = replace(layer, window=Window((1, len(places))))
    return Part(one, _of(places), padding=formats[0].min if largest else 0)


@part_of.register
def _softmax(layer: layers.Softmax, index: Index, formats: Sequence[QFormat], shape: Shape) -> Part:
    where: list[int | slice] = list(index)
    where[layer.axis] = slice(None)
    vectors = np.delete(shape, layer.axis)
    vector = _numbers(tuple(vectors))[tuple(np.delete(index, layer.axis))]
    span = [*layer.spans_of(shape)][vector]
    reads = _of(_numbers(shape)[tuple(where)])
    return Part(layers.MaskedSoftmax(-1, (span,)), reads, at=index[layer.axis])


@part_of.register
def _layer_norm(
    layer: layers.LayerNorm, index: Index, formats: Sequence[QFormat], shape: Shape
) -> Part:
    return Part(layer, _of(_numbers(shape)[index[:-1]]), channel=None, at=index[-1])


@part_of.register
def _matmul(
    layer: layers.MatMul, index: Index, formats: Sequence[QFormat], one: Shape, other: Shape
) -> Part:
    """Read the row, then the column, of which each is one vector."""
    *lead, m, n = index
    a, b = (_numbers(shape)[repeated(tuple(lead), shape)] for shape in (one, other))
    places = [(0, int(place)) for place in a[m]] + [(1, int(place)) for place in b[:, n]]
    return Part(layer, tuple(places), channel=None)


@part_of.register
def _concat(layer: layers.Concat, index: Index, formats: Sequence[QFormat], *shapes: Shape) -> Part:
    here = list(index)
    starts = np.cumsum([0, *(shape[layer.axis] for shape in shapes)])
    number = int(np.searchsorted(starts, here[layer.axis], "right")) - 1
    here[layer.axis] -= int(starts[number])
    return Part(layers.Concat(), ((number, _place(tuple(here), shapes[number])),))


@part_of.register
def _moved(
    layer: layers.Flatten | layers.Reshape | layers.Transpose | layers.Slice | layers.Take,
    index: Index,
    formats: Sequence[QFormat],
    shape: Shape,
) -> Part:
    return Part(layers.Flatten(), _of([_source(layer, index, shape)]))


@part_of.register
def _padded(layer: layers.Pad, index: Index, formats: Sequence[QFormat], shape: Shape) -> Part:
    place = _source(replace(layer, value=-1), index, shape)
    return Part(layers.Flatten(), _of([place]), padding=int(layer.value))


def _source(layer: Layer, index: Index, shape: Shape) -> int:
    """Give the place from which a layer that only moves values takes one."""
    return int(compute(layer, None, _numbers(shape))[index])  # type: ignore[arg-type] # it only moves
