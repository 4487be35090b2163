"""What a network may cost, counted before any of it is taken.

A file of some bytes can describe maps of gigabytes, and windows that would run for days. What is
allowed grows with the parameters, which a file must hold: networks that people train need less.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fxpnn.errors import ModelError
from fxpnn.network.layers import Shape, products
from fxpnn.network.shapes import AXES as AXES

if TYPE_CHECKING:
    from fxpnn.network.graph import Node

NODES = 1 << 12
"""The most layers of a network; the largest published ones have some thousands."""
LIVE = 1 << 24
"""The most values of one image, padding and all, that are needed at the same time."""
LIVE_EACH = 32
"""So many more for each parameter."""
VALUES = 1 << 25
"""The most values of all tensors of one image: words, which comparisons keep, and their places."""
VALUES_EACH = 1 << 10
"""So many more for each parameter: a convolution's is used at each place of a map."""
WORK = 1 << 32
"""The most products and comparisons that one image may need."""
WORK_EACH = 1 << 17
"""So many more for each parameter."""
TAP = 8
"""A value that a pool sees takes as long as so many products."""


def check(nodes: Sequence["Node"], shapes: Mapping[str, Shape]) -> None:
    """Raise ``ModelError`` if one image needs more values or work than a network may."""
    parameters = held(nodes)
    for what, needed, most in (
        (
            "tensors must hold at most {:,} values of an image at a time",
            live(nodes, shapes),
            LIVE + LIVE_EACH * parameters,
        ),
        (
            "tensors must hold at most {:,} values of an image in all",
            sum(map(math.prod, shapes.values())),
            VALUES + VALUES_EACH * parameters,
        ),
        (
            "layers must need at most {:,} products of an image in all",
            sum(_work(node, shapes[node.name], shapes[node.inputs[0]]) for node in nodes),
            WORK + WORK_EACH * parameters,
        ),
    ):
        if needed > most:
            allowed = what.format(most)
            raise ModelError(f"its {allowed}, not {needed:,}; smaller images need less")


def held(nodes: Sequence["Node"]) -> int:
    """Count the parameters that nodes hold, those of an array that several share once."""
    arrays = (getattr(node.layer, name) for node in nodes for name in node.layer.arrays())
    return sum({id(array): array.size for array in arrays}.values())


def live(nodes: Sequence["Node"], shapes: Mapping[str, Shape]) -> int:
    """Count the values that are needed at a time: until the last layer that reads them."""
    last = {name: node.name for node in nodes for name in node.inputs}
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    most = live = sum(sizes.values()) - sum(sizes[node.name] for node in nodes)  # the input's
    for node in nodes:
        live += sizes[node.name]
        most = max(most, live + _padding(node, shapes[node.inputs[0]]))
        live -= sum(sizes[name] for name in {*node.inputs} if last[name] == node.name)
    return most


def _padding(node: "Node", shape: Shape) -> int:
    """Count the places beside a map that a window sees."""
    window = getattr(node.layer, "window", None)
    if window is None:
        return 0
    channels, height, width = shape
    top, left, bottom, right = window.reach(height, width)
    return int(channels * ((top + height + bottom) * (left + width + right) - height * width))


def _work(node: "Node", shape: Shape, source: Shape) -> int:
    """Count products, or what a pool's windows see."""
    window = getattr(node.layer, "window", None)
    taps = 0 if window is None else TAP * math.prod(shape) * math.prod(window.kernel)
    return products(node.layer, shape, source) or taps
