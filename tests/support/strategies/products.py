"""Strategies for networks that multiply two tensors, in any formats and any order in memory."""

import math

from hypothesis import strategies as st

from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from tests.support.strategies import matmul
from tests.support.strategies.building import Built, Tensor
from tests.support.strategies.networks import NetworkCase, node_of
from tests.support.strategies.numbers import Draw, raw_arrays, tensor_formats

LEADING = ((1, 1), (2, 2), (3, 1), (1, 2))
"""Sizes of a leading axis on both sides."""


@st.composite
def matrix_products(draw: Draw, most: int = 33) -> NetworkCase:
    """Draw two tensors in formats of their own, parts of the input, and their product."""
    nodes: list[FixedNode] = []

    def append(built: Built, read: Tensor) -> Tensor:
        nodes.append(node := node_of(draw, f"n{len(nodes)}", built, read))
        shape = built.layer.shape(read.shape, *(other.shape for other in built.others))
        return Tensor(node.name, shape, node.output_format)

    sizes = st.sampled_from([size for size in matmul.SIZES if size <= most])
    rows, terms, columns = draw(sizes), draw(sizes), draw(sizes)
    leading = draw(st.lists(st.sampled_from(LEADING), max_size=2))
    shapes = [
        (*(pair[side] for pair in leading), *matrix)
        for side, matrix in enumerate(((rows, terms), (terms, columns)))
    ]
    source = Tensor(INPUT, (sum(map(math.prod, shapes)),), draw(tensor_formats()))
    start, sides = 0, []
    for shape in shapes:
        size, order = math.prod(shape), draw(st.permutations(range(len(shape))))
        read = append(Built(layers.Slice(0, start, start + size)), source)
        read = append(Built(layers.Quantize()), read) if draw(st.booleans()) else read
        read = append(Built(layers.Reshape(tuple(shape[axis] for axis in order))), read)
        back = tuple(order.index(axis) for axis in range(len(order)))
        sides.append(append(Built(layers.Transpose(back)), read))
        start += size
    y = append(matmul.multiplied(draw, *sides), sides[0])
    if draw(st.booleans()):
        append(Built(layers.Relu()), y)
    raw = draw(raw_arrays(source.format, (draw(st.integers(1, 2)), *source.shape)))
    return NetworkCase(FixedNetwork("case", source.shape, source.format, tuple(nodes)), raw)
