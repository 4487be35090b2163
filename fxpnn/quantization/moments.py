"""The moments of a layer's inputs on calibration data: what an error of its weights costs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from fxpnn.network.layers import Array, Conv2D, Layer
from fxpnn.network.value import Value
from fxpnn.reference.windows import columns

DAMPING = 0.01
"""How much is added to each second moment, in means of all; from 0.0001 to 0.1 the bundled networks
are as accurate."""


class Factor(NamedTuple):
    """The second moments of a group's inputs, damped, as ``triangle @ triangle.T`` in an order."""

    order: Array
    triangle: Array


@dataclass(frozen=True, eq=False, repr=False)
class Moments(Value):
    """Sums over all places of all images of what one output's weights are multiplied with.

    A layer's inputs are ``(groups, K)``, one of them for each weight of a row. ``first`` sums them,
    ``second``, ``(groups, K, K)``, their products, or is ``None`` where only means are asked for.
    """

    count: int
    first: Array
    second: Array | None

    def __post_init__(self) -> None:
        for array in (self.first, self.second):
            if array is not None:
                array.flags.writeable = False

    @classmethod
    def of(cls, layer: Layer, x: Array, second: bool) -> Self:
        """Sum over inputs ``(N, *shape)``, float64, of a dense layer or a convolution."""
        if isinstance(layer, Conv2D):
            places = columns(x, layer.window, layer.groups)
        else:
            places = x[:, None, :, None]
        images, groups, inputs, size = places.shape
        lined = places.transpose(1, 2, 0, 3).reshape(groups, inputs, images * size)
        products = lined @ lined.swapaxes(1, 2) if second else None
        return cls(images * size, lined.sum(2), products)

    def joined(self, other: Self) -> Self:
        """Return the sums over both."""
        second = None
        if self.second is not None and other.second is not None:
            second = self.second + other.second
        return type(self)(self.count + other.count, self.first + other.first, second)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Factor each group's second moments, which are damped so that they are not singular.

        Inputs come in the order of their second moments, the largest first: what is rounded last
        finds nothing to pass its error on to.
        """
        assert self.second is not None
        return tuple(map(_factor, self.second))

    @cached_property
    def made(self) -> dict[object, Any]:
        """Keep what feedback made by these moments: a search asks for the same again and again."""
        return {}


def products(layer: Layer) -> int:
    """Count the second moments of a layer's inputs."""
    weight = getattr(layer, str(layer.traits.weight))
    return int(getattr(layer, "groups", 1) * (weight.size // len(weight)) ** 2)


def _factor(second: Array) -> Factor:
    sizes = np.diag(second)
    order = np.argsort(-sizes, kind="stable")
    scale = float(sizes.mean()) or 1.0
    damped = second[np.ix_(order, order)] / scale + DAMPING * np.eye(len(order))
    # From the last row up, so that the factor is upper triangular.
    return Factor(order, np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1])
