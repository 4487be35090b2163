"""Strategies for networks of several inputs, each in a format of its own."""

import numpy as np
from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.inputs import FixedInput, entrance
from tests.support.strategies.building import Tensor
from tests.support.strategies.networks import (
    MAKERS,
    SHAPES,
    NetworkCase,
    kind_for,
    node_of,
)
from tests.support.strategies.numbers import Draw, raw_arrays, tensor_formats

JOINS = (layers.Add, layers.Mul, layers.Concat)


@st.composite
def of_several_inputs(draw: Draw, max_layers: int = 3) -> NetworkCase:
    """Draw inputs of one shape that a layer joins, then layers, and raw rows of them all.

    One input more, of any shape, may be read by any layer or by none.
    """
    shape = draw(st.sampled_from(SHAPES))
    first = draw(tensor_formats())
    near = tensor_formats(first) | st.just(first)
    second = draw(
        near.filter(lambda fmt: abs(fmt.frac - first.frac) <= (layers.Add.traits.apart or 0))
    )
    sources = [Tensor("a", shape, first), Tensor("b", shape, second)]
    if draw(st.booleans()):
        sources.insert(draw(st.integers(0, 2)), _other(draw))
    reads = {source.name: source for source in sources}
    tensors, nodes = [reads["b"]], []
    kinds = [draw(st.sampled_from(JOINS)), *[None] * draw(st.integers(0, max_layers))]
    for index, kind in enumerate(kinds):
        read = reads["a"] if kind else draw(st.sampled_from([tensors[-1], *tensors]))
        built = MAKERS[kind or kind_for(draw, (), read)](draw, read, tensors)
        node = node_of(draw, f"n{index}", built, read)
        made = built.layer.shape(read.shape, *(other.shape for other in built.others))
        if index == 0:
            tensors = [*sources]
        tensors.append(Tensor(node.name, made, node.output_format))
        nodes.append(node)
    inputs = [FixedInput(*source) for source in sources]
    images = draw(st.integers(1, 3))
    parts = [draw(raw_arrays(it.format, (images, it.size))) for it in inputs]
    fixed = FixedNetwork(name="several", **entrance(inputs), nodes=tuple(nodes))
    return NetworkCase(fixed, np.concatenate(parts, axis=1))


def _other(draw: Draw) -> Tensor:
    fmt: QFormat = draw(tensor_formats())
    return Tensor("c", draw(st.sampled_from(SHAPES)), fmt)
