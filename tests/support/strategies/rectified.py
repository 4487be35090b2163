"""Strategies for networks whose first layer casts to an unsigned word in front of ReLUs."""

from dataclasses import replace

from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.traits import Output
from tests.support.strategies import networks
from tests.support.strategies.building import Tensor
from tests.support.strategies.networks import (
    AXES,
    KINDS,
    MAKERS,
    SHAPES,
    NetworkCase,
)
from tests.support.strategies.numbers import Draw, raw_arrays, tensor_formats

CASTING = tuple(
    kind
    for kind in KINDS
    if kind.traits.casts and kind.traits.output is not Output.KEPT and kind.traits.format is None
)
MOVING = (layers.MaxPool2D, layers.Flatten, layers.Reshape, layers.Transpose)


@st.composite
def unsigned_before_relus(draw: Draw, max_images: int = 3) -> NetworkCase:
    """Draw a cast to an unsigned word, layers that move values, and a ReLU or a clip behind them.

    At times further layers read some of them, or some are outputs.
    """
    kind = draw(st.sampled_from(CASTING))
    shapes = [s for s in SHAPES if len(s) == AXES.get(kind, len(s))]
    source = Tensor(INPUT, draw(st.sampled_from(shapes)), draw(tensor_formats()))
    moves = draw(st.lists(st.sampled_from(MOVING), max_size=2))
    kinds = [kind, *moves, draw(st.sampled_from([layers.Relu, layers.Relu, layers.Clip]))]
    kinds += draw(st.lists(st.sampled_from([layers.Relu, *MOVING, *KINDS]), max_size=1))
    tensors, nodes = [source], list[FixedNode]()
    for index, wanted in enumerate(kinds):
        read = tensors[-1] if index <= len(moves) + 1 else draw(st.sampled_from(tensors))
        built = MAKERS[networks.kind_for(draw, (wanted,), read)](draw, read, tensors)
        node = networks.node_of(draw, f"n{index}", built, read)
        if not nodes and built.layer.traits.output is not Output.KEPT:
            fmt = node.output_format
            node = replace(node, output_format=QFormat(min(fmt.word, 15), fmt.frac, signed=False))
        shape = built.layer.shape(read.shape, *(other.shape for other in built.others))
        tensors.append(Tensor(node.name, shape, node.output_format))
        nodes.append(node)
    names = [node.name for node in nodes]
    outputs = draw(st.just([names[-1]]) | st.lists(st.sampled_from(names), min_size=1, unique=True))
    raw = draw(raw_arrays(source.format, (draw(st.integers(1, max_images)), *source.shape)))
    fixed = FixedNetwork("case", source.shape, source.format, tuple(nodes), tuple(outputs))
    return NetworkCase(fixed, raw)
