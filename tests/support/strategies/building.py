"""What strategies for networks draw: a layer with its parameters, and what the next can read."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from hypothesis import strategies as st

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layers import Layer, Shape
from tests.support.strategies.numbers import Draw, words


class Tensor(NamedTuple):
    """What a next layer can read."""

    name: str
    shape: Shape
    format: QFormat


class Built(NamedTuple):
    """A layer with raw parameters, the fields of its node that go with them, its other inputs."""

    layer: Layer
    fields: Mapping[str, Any] = MappingProxyType({})
    others: tuple[Tensor, ...] = ()


Tensors: TypeAlias = list[Tensor]
Maker: TypeAlias = Callable[[Draw, Tensor, Tensors], Built]
"""Draws a layer that can read the given tensor, and may read the others."""


@st.composite
def weight_formats(draw: Draw, channels: int = 1) -> tuple[QFormat, ...]:
    """Draw one format, or one per channel, of one word."""
    (word, signed), frac = draw(words), draw(st.integers(-4, 20))
    extra = draw(
        st.binary(min_size=1, max_size=1) | st.binary(min_size=channels, max_size=channels)
    )
    return tuple(QFormat(word, frac + more % 7, signed) for more in extra)
