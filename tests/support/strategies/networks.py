"""Strategies for networks: small, valid, of every layer, in formats that overflow."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Layer, Shape, Window, layer_types
from fxpnn.network.tables import table_for
from fxpnn.network.traits import Output
from tests.support.strategies import matmul, norms
from tests.support.strategies.building import Built, Maker, Tensor, Tensors, weight_formats
from tests.support.strategies.numbers import (
    BIAS_LIMIT,
    Draw,
    Raw,
    Wide,
    accumulations,
    accumulator_modes,
    at_scale,
    fitting_bias,
    modes,
    raw_arrays,
    raw_limits,
    raw_values,
    registers,
    tensor_formats,
    words,
)

MAP_KINDS = (layers.Conv2D, layers.MaxPool2D, layers.AvgPool2D, layers.L2Pool2D)
AXES = MappingProxyType({layers.Dense: 1, **dict.fromkeys(MAP_KINDS, 3)})
"""The axes that a layer's input must have, where not any number."""

TABLES = MappingProxyType({kind: table_for(kind) for kind in layer_types().values()})


class NetworkCase(NamedTuple):
    """A valid fixed network, and raw images for it."""

    fixed: FixedNetwork
    raw: Raw


axes = st.sampled_from(
    [
        axis
        for axis in product((1, 2, 3), (1, 2, 3), (1, 2), (0, 1, 2), (0, 1, 2))
        if axis[0] > 1 or axis[2] == 1
    ]
)
"""Kernel, stride, dilation, padding before and after along one axis."""

SHAPES = (
    *((1,), (7,), (2, 3), (1, 1, 1), (2, 3, 3)),
    *((1, 5, 4), (3, 4, 5), (4, 1, 6), (2, 7, 2), (4, 5, 5)),
)
"""Shapes of an input, the simplest first."""


@st.composite
def fixed_networks(
    draw: Draw, kinds: tuple[type[Layer], ...] = (), max_layers: int = 4, max_images: int = 3
) -> NetworkCase:
    """Draw a network of small layers (of ``kinds``, or of all), and images for it.

    Mostly a layer reads the one before it, else any; so there are branches, unread ones too. The
    input has a shape that the first kind can read.
    """
    shapes = [s for s in SHAPES if not kinds or len(s) == AXES.get(kinds[0], len(s))]
    source = Tensor(INPUT, draw(st.sampled_from(shapes)), draw(tensor_formats()))
    tensors, nodes = [source], []
    for index in range(draw(st.integers(1, max_layers))):
        read = draw(st.sampled_from([tensors[-1], tensors[-1], *tensors]))
        built = MAKERS[kind_for(draw, kinds, read)](draw, read, tensors)
        node = node_of(draw, f"n{index}", built, read)
        shape = built.layer.shape(read.shape, *(other.shape for other in built.others))
        tensors.append(Tensor(node.name, shape, node.output_format))
        nodes.append(node)
    raw = draw(raw_arrays(source.format, (draw(st.integers(1, max_images)), *source.shape)))
    return NetworkCase(FixedNetwork("case", source.shape, source.format, tuple(nodes)), raw)


@st.composite
def dense_at_limit(draw: Draw) -> NetworkCase:
    """Draw a dense layer whose sum, on the one image, reaches its accumulator's limit."""
    word, bias, weight, x = draw(accumulations())
    source = Tensor(INPUT, x.shape, QFormat(16, draw(st.integers(-4, 20))))
    weights = QFormat(16, draw(st.integers(-4, 20)))
    fields = {"accumulator": word, "weight_formats": (weights,)}
    built = Built(layers.Dense(weight[None], np.array([bias])), fields)
    node = node_of(draw, "dense", built, source)
    return NetworkCase(FixedNetwork("case", source.shape, source.format, (node,)), x[None])


@st.composite
def repeated_factors(draw: Draw) -> NetworkCase:
    """Draw maps, turned, times their maxima along some axes, in formats of their own."""
    nodes: list[FixedNode] = []

    def append(built: Built, read: Tensor) -> Tensor:
        nodes.append(node := node_of(draw, f"n{len(nodes)}", built, read))
        return Tensor(
            node.name,
            built.layer.shape(read.shape, *[read.shape] * len(built.others)),
            node.output_format,
        )

    shape = draw(st.sampled_from([s for s in SHAPES if len(s) == 3]))
    source = Tensor(INPUT, shape, draw(tensor_formats()))
    turned = append(_transpose(draw, source, []), source)
    height, width = (draw(st.sampled_from([1, size])) for size in turned.shape[1:])
    window = Window((height, width), (height, width))
    factor = append(Built(layers.Quantize()), append(Built(layers.MaxPool2D(window)), turned))
    append(Built(layers.Mul(), others=(factor,)), turned)
    raw = draw(raw_arrays(source.format, (draw(st.integers(1, 3)), *shape)))
    return NetworkCase(FixedNetwork("case", shape, source.format, tuple(nodes)), raw)


def node_of(draw: Draw, name: str, built: Built, read: Tensor) -> FixedNode:
    """Draw the node of a layer: its output's format and its modes."""
    rounding, overflow = draw(modes)
    return FixedNode(
        name,
        built.layer,
        (read.name, *(other.name for other in built.others)),
        draw(_output_formats(built, read.format)),
        rounding=rounding,
        overflow=overflow,
        table=TABLES.get(type(built.layer)),
        **built.fields,
    )


def _output_formats(built: Built, source: QFormat) -> st.SearchStrategy[QFormat]:
    traits = built.layer.traits
    if traits.format is not None:
        return st.just(traits.format)
    if traits.output is Output.KEPT:
        return st.just(source)
    if traits.output is Output.INHERITED:
        return st.just(source) | tensor_formats(source).filter(
            lambda fmt: built.layer.exact(2**15, max(fmt.frac - source.frac, 0)) < 2**62
        )
    if traits.sums:
        weights = (*built.fields.get("weight_formats", ()), *(it.format for it in built.others))[0]
        return tensor_formats(QFormat(source.word + weights.word, source.frac + weights.frac))
    if isinstance(built.layer, layers.LayerNorm):
        return norms.output_formats(built.fields["weight_formats"])
    return tensor_formats(source if traits.integer is None else QFormat(16, 15))


def kind_for(draw: Draw, kinds: tuple[type[Layer], ...], read: Tensor) -> type[Layer]:
    """Draw a kind that can read the tensor; where none can, one that may make it readable."""
    able = [kind for kind in kinds or KINDS if _able(kind, read)]
    return draw(st.sampled_from(able)) if able else layers.Reshape


def _able(kind: type[Layer], read: Tensor) -> bool:
    low, high = kind.traits.input_fracs or (-1000, 1000)
    return len(read.shape) == AXES.get(kind, len(read.shape)) and low <= read.format.frac <= high


def _dense(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    weight, bias, fields = _summed(draw, read, (draw(st.integers(1, 4)), *read.shape))
    return Built(layers.Dense(weight, bias), fields)


def _conv2d(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    channels = read.shape[0]
    groups = draw(st.sampled_from([g for g in (1, 2, 3, channels) if channels % g == 0]))
    window = _window(draw, read.shape, pool=False)
    outputs = groups * draw(st.integers(1, 2))
    weight, bias, fields = _summed(draw, read, (outputs, channels // groups, *window.kernel))
    return Built(layers.Conv2D(weight, bias, window, groups), fields)


def _summed(draw: Draw, read: Tensor, shape: Shape) -> tuple[Raw, Wide, dict[str, Any]]:
    """Draw weights, biases, and an accumulator that is often too narrow by a few bits."""
    formats = draw(weight_formats(shape[0]))
    weight = draw(raw_arrays(formats[0], shape))
    flat = weight.reshape(shape[0], -1).astype(np.int64)
    most = int(np.abs(flat).sum(axis=1).max()) * max(read.format.max, -read.format.min)
    close = max(8, most.bit_length() + 1 + draw(st.integers(-4, 1)))
    word = draw(st.sampled_from([48, close, close, 62]) | st.integers(8, 62))
    accumulator = Accumulator(word, draw(accumulator_modes))
    frac = read.format.frac + draw(st.sampled_from(formats)).frac
    if draw(st.booleans()):
        accumulator = draw(registers(frac, most.bit_length() + 1))
    return (
        weight,
        _biases(draw, flat, read.format, accumulator, frac),
        {
            "weight_formats": formats,
            "accumulator": accumulator,
        },
    )


def _biases(draw: Draw, weight: Wide, source: QFormat, accumulator: Accumulator, frac: int) -> Wide:
    """Draw no bias, or biases with which an input of extremes reaches a limit after some step."""
    limit = draw(st.sampled_from([0, accumulator.max, accumulator.min])) + draw(st.integers(-2, 2))
    steps, extreme = draw(st.integers(0, weight.shape[1])), draw(raw_limits(source))
    limit = draw(at_scale(limit, 0 if accumulator.frac is None else frac - accumulator.frac))
    aimed = np.array([fitting_bias(limit - int(row[:steps].sum()) * extreme) for row in weight])
    return draw(st.sampled_from([0, 1])) * aimed


def _window(draw: Draw, shape: Shape, *, pool: bool = False) -> Window:
    axes = [_axis(draw, size, pool) for size in shape[1:]]
    (kh, sh, dh, top, bottom), (kw, sw, dw, left, right) = axes
    ceil = pool and draw(st.booleans())
    return Window((kh, kw), (sh, sw), (top, left, bottom, right), (dh, dw), ceil)


def _axis(draw: Draw, size: int, pool: bool) -> tuple[int, int, int, int, int]:
    """Draw kernel, stride, dilation and padding of one axis; a pool's padding is under its span."""
    kernel, stride, dilation, before, after = draw(axes)
    span = dilation * (kernel - 1) + 1
    if pool:
        before, after = min(before, span - 1), min(after, span - 1)
    if span > size + before + after:
        return 1, stride, 1, 0, 0
    return kernel, stride, dilation, before, after


def _pool(kind: Callable[[Window], Layer]) -> Maker:
    return lambda draw, read, tensors: Built(kind(_window(draw, read.shape, pool=True)))


def _avg_pool(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    return Built(layers.AvgPool2D(_window(draw, read.shape, pool=True), draw(st.booleans())))


def _leaky_relu(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    formats = draw(weight_formats())
    slope = draw(raw_values(formats[0]))
    return Built(layers.LeakyRelu(slope), {"weight_formats": formats})


def _prelu(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    formats = draw(weight_formats(read.shape[0]))
    slope = draw(raw_arrays(formats[0], read.shape[:1]))
    return Built(layers.PRelu(slope), {"weight_formats": formats})


def _clip(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    limits = raw_values(read.format)
    low, high = sorted([draw(limits), draw(limits)])
    return Built(layers.Clip(low, high))


def _hard_sigmoid(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    frac = draw(st.integers(*layers.HardSigmoid.traits.product_fracs or ()))
    word, signed = draw(words)
    weights = QFormat(word, frac - read.format.frac, signed)
    alpha = draw(raw_values(weights))
    beta = draw(st.integers(-(2**frac), 2 ** (frac + 1)) | st.just(BIAS_LIMIT))
    return Built(layers.HardSigmoid(alpha, beta), {"weight_formats": (weights,)})


def _step(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    never = st.just(read.format.max + 1)
    return Built(layers.Step(draw(raw_values(read.format) | never)))


def _softmax(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    axis = draw(st.integers(-len(read.shape), len(read.shape) - 1))
    return Built(layers.Softmax(axis), _shift(draw, read))


def _shift(draw: Draw, read: Tensor) -> dict[str, Any]:
    return {"softmax_shift": draw(st.none() | st.just(0) | raw_values(read.format))}


def _masked_softmax(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    """Draw runs of places, as many as there are vectors or a divisor of that."""
    axis = draw(st.integers(-len(read.shape), len(read.shape) - 1))
    size = read.shape[axis]
    vectors = math.prod(read.shape) // size
    count = draw(st.sampled_from([n for n in range(1, min(vectors, 12) + 1) if vectors % n == 0]))
    starts = [draw(st.integers(0, size - 1)) for _ in range(count)]
    spans = tuple((start, draw(st.integers(start + 1, size))) for start in starts)
    return Built(layers.MaskedSoftmax(axis, spans), _shift(draw, read))


def _add(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    frac, shape = read.format.frac, read.shape
    able = [
        t
        for t in tensors
        if t.shape == shape and abs(t.format.frac - frac) <= (layers.Add.traits.apart or 0)
    ]
    return Built(layers.Add(), others=(draw(st.sampled_from(able)),))


def _mul(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    """Draw a factor of the same shape, or of one that repeats, such as an earlier pool's."""
    able = [t for t in tensors if _repeats(t.shape, read.shape)]
    return Built(layers.Mul(), others=(draw(st.sampled_from(able)),))


def _repeats(shape: Shape, over: Shape) -> bool:
    return len(shape) == len(over) and all(n in (1, m) for n, m in zip(shape, over, strict=True))


def _concat(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    axis = draw(st.integers(0, len(read.shape) - 1))

    def rest(shape: Shape) -> tuple[Shape, Shape, int]:
        return shape[:axis], shape[axis + 1 :], len(shape)

    fitting = st.sampled_from([t for t in tensors if rest(t.shape) == rest(read.shape)])
    others = draw(st.lists(fitting, min_size=1, max_size=2))
    return Built(layers.Concat(axis), others=tuple(others))


def _pad(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 1))) for _ in read.shape)
    return Built(layers.Pad(pads, draw(raw_values(read.format))))


def _slice(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    axis = draw(st.integers(-len(read.shape), len(read.shape) - 1))
    start = draw(st.integers(0, read.shape[axis] - 1))
    stop = draw(st.integers(start + 1, read.shape[axis]))
    return Built(layers.Slice(axis, start, stop, draw(st.integers(1, 3))))


def _take(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    axis = draw(st.integers(-len(read.shape), len(read.shape) - 1))
    every = [*range(read.shape[axis])]
    odd = st.lists(st.sampled_from(every), min_size=1, max_size=6)
    places = draw(st.one_of(st.sampled_from([sorted(every * 2), every * 2, every[::-1]]), odd))
    return Built(layers.Take(axis, tuple(places)))


def _reshape(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    size = math.prod(read.shape)
    targets = [(size,), (size, 1, 1), (1, 1, size), (1, size), read.shape[::-1]]
    return Built(layers.Reshape(draw(st.sampled_from(targets))))


def _transpose(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    return Built(layers.Transpose(tuple(draw(st.permutations(range(len(read.shape)))))))


BARE = [kind for kind in layers.layer_types().values() if kind.inputs == 1 and not fields(kind)]
"""The kinds of one input that have no parameters."""

MAKERS: Mapping[type[Layer], Maker] = MappingProxyType(
    {
        **{kind: lambda *_, kind=kind: Built(kind()) for kind in BARE},
        layers.Dense: _dense,
        layers.Conv2D: _conv2d,
        layers.MaxPool2D: _pool(layers.MaxPool2D),
        layers.AvgPool2D: _avg_pool,
        layers.L2Pool2D: _pool(layers.L2Pool2D),
        layers.LeakyRelu: _leaky_relu,
        layers.PRelu: _prelu,
        layers.Clip: _clip,
        layers.HardSigmoid: _hard_sigmoid,
        layers.Step: _step,
        layers.Softmax: _softmax,
        layers.MaskedSoftmax: _masked_softmax,
        layers.LayerNorm: norms.layer_norm,
        layers.Add: _add,
        layers.Mul: _mul,
        layers.MatMul: matmul.matmul,
        layers.Concat: _concat,
        layers.Pad: _pad,
        layers.Slice: _slice,
        layers.Take: _take,
        layers.Reshape: _reshape,
        layers.Transpose: _transpose,
    }
)
"""How to draw each kind of layer."""

KINDS: tuple[type[Layer], ...] = (*MAKERS, *(layers.Dense, layers.Conv2D) * 3)
"""The kinds as often as they are drawn."""
