"""Strategies for products of two tensors: matrices that fill no vector, in any order in memory."""

import math

from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import Accumulator
from fxpnn.network import layers
from fxpnn.network.layers import Shape
from tests.support.strategies.building import Built, Tensor, Tensors
from tests.support.strategies.numbers import Draw, accumulator_modes, registers

SIZES = (1, 2, 3, 5, 8, 9, 16, 17, 33)
"""Rows, columns and terms: below, at and above a vector's lanes, a tile's rows and a pair."""


def fits(one: Shape, other: Shape) -> bool:
    """Say whether matrices of the shapes can be multiplied."""
    if len(one) < 2 or len(one) != len(other) or one[-1] != other[-2]:
        return False
    return all(m == n or 1 in (m, n) for m, n in zip(one[:-2], other[:-2], strict=True))


def matmul(draw: Draw, read: Tensor, tensors: Tensors) -> Built:
    """Draw what a tensor is multiplied by; where there is none, what makes it one's factor."""
    able = [tensor for tensor in tensors if fits(read.shape, tensor.shape)]
    rank = len(read.shape)
    if not able and rank > 1:
        return Built(layers.Transpose((*range(rank - 2), rank - 1, rank - 2)))
    if not able:
        return Built(layers.Reshape((1, *read.shape)))
    return multiplied(draw, read, draw(st.sampled_from(able)))


def multiplied(draw: Draw, read: Tensor, other: Tensor) -> Built:
    """Draw the accumulator of a product, often too narrow by a few bits."""
    reach = (max(-tensor.format.min, tensor.format.max) for tensor in (read, other))
    bits = (read.shape[-1] * math.prod(reach)).bit_length() + 1
    close = min(max(8, bits + draw(st.integers(-4, 1))), 62)
    word = draw(st.sampled_from([48, close, close, 62]))
    accumulator = Accumulator(word, draw(accumulator_modes))
    if draw(st.integers(0, 3)) == 0:
        accumulator = draw(registers(read.format.frac + other.format.frac, bits))
    return Built(layers.MatMul(), {"accumulator": accumulator}, (other,))
