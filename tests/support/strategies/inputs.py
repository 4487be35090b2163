"""Strategies for networks of several inputs, each in a format of its own."""

import numpy as np
from hypothesis import strategies as st

from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.inputs import FixedInput, entrance
from fxpnn.network.layers import Layer
from tests.support.strategies.building import Tensor, Tensors
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
    one, other = Tensor("a", shape, first), Tensor("b", shape, second)
    sources = [one, other]
    if draw(st.booleans()):
        sources.insert(draw(st.integers(0, 2)), _more(draw))
    tensors, nodes = [*sources], list[FixedNode]()

    def append(kind: type[Layer], read: Tensor, others: Tensors) -> None:
        built = MAKERS[kind](draw, read, others)
        node = node_of(draw, f"n{len(nodes)}", built, read)
        made = built.layer.shape(read.shape, *(it.shape for it in built.others))
        tensors.append(Tensor(node.name, made, node.output_format))
        nodes.append(node)

    append(draw(st.sampled_from(JOINS)), one, [other])
    for _ in range(draw(st.integers(0, max_layers))):
        read = draw(st.sampled_from([tensors[-1], *tensors]))
        append(kind_for(draw, (), read), read, tensors)
    inputs = [FixedInput(*source) for source in sources]
    images = draw(st.integers(1, 3))
    parts = [draw(raw_arrays(it.format, (images, it.size))) for it in inputs]
    fixed = FixedNetwork(name="several", **entrance(inputs), nodes=tuple(nodes))
    return NetworkCase(fixed, np.concatenate(parts, axis=1))


def _more(draw: Draw) -> Tensor:
    return Tensor("c", draw(st.sampled_from(SHAPES)), draw(tensor_formats()))
