"""Layers know the shape they make, refuse what they cannot take, and never change."""

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from fxpnn.errors import ModelError
from fxpnn.network import layers
from fxpnn.network.layers import Array, Conv2D, Dense, Layer, Shape, Window, layer_types

ONES = np.ones
PAIR = Window((2, 2), (2, 2))
MOST = 2**31 - 1
"""The largest count of a window."""


def conv(*weight: int, padding: int = 0, groups: int = 1, dilation: int = 1) -> Conv2D:
    """Build a convolution with zeros of a shape, padded alike on all sides."""
    window = Window((weight[2], weight[3]), (1, 1), (padding,) * 4, (dilation, dilation))
    return Conv2D(np.zeros(weight), np.zeros(weight[0]), window, groups)


SHAPES: list[tuple[Layer, list[Shape], Shape]] = [
    (Dense(ONES((3, 5)), ONES(3)), [(5,)], (3,)),
    (conv(4, 3, 5, 2), [(3, 9, 9)], (4, 5, 8)),
    (conv(4, 3, 3, 3, padding=1), [(3, 9, 7)], (4, 9, 7)),
    (conv(4, 3, 3, 3, dilation=2), [(3, 9, 7)], (4, 5, 3)),
    (conv(6, 1, 1, 1, groups=3), [(3, 2, 2)], (6, 2, 2)),
    (layers.MaxPool2D(PAIR), [(6, 24, 25)], (6, 12, 12)),
    (layers.MaxPool2D(Window((2, 2), (2, 2), ceil_mode=True)), [(6, 24, 25)], (6, 12, 13)),
    (layers.MaxPool2D(Window((1, 3), (1, 2), (0, 0, 0, 1))), [(2, 2**20, 63)], (2, 2**20, 31)),
    (layers.AvgPool2D(Window((3, 1), (2, 1), (1, 0, 1, 0))), [(2, 8, 8)], (2, 4, 8)),
    (layers.L2Pool2D(Window((2, 3), dilation=(3, 2))), [(1, 4, 6)], (1, 1, 2)),
    (layers.Relu(), [(2, 3)], (2, 3)),
    (layers.LeakyRelu(), [(2, 3)], (2, 3)),
    (layers.PRelu(ONES(2)), [(2, 3, 4)], (2, 3, 4)),
    (layers.Clip(0, 6), [(7,)], (7,)),
    (layers.Sigmoid(), [(7,)], (7,)),
    (layers.Tanh(), [(7,)], (7,)),
    (layers.Silu(), [(7,)], (7,)),
    (layers.Elu(), [(7,)], (7,)),
    (layers.Softplus(), [(7,)], (7,)),
    (layers.Gelu(), [(7,)], (7,)),
    (layers.GeluTanh(), [(7,)], (7,)),
    (layers.Mish(), [(7,)], (7,)),
    (layers.Selu(), [(7,)], (7,)),
    (layers.Softsign(), [(7,)], (7,)),
    (layers.Abs(), [(7,)], (7,)),
    (layers.HardSigmoid(), [(7,)], (7,)),
    (layers.HardSwish(), [(7,)], (7,)),
    (layers.Step(), [(7,)], (7,)),
    (layers.Softmax(), [(10,)], (10,)),
    (layers.Softmax(0), [(10, 3, 3)], (10, 3, 3)),
    (layers.MaskedSoftmax(-1, ((0, 1), (0, 2))), [(2, 2)], (2, 2)),
    (layers.Add(), [(2, 3), (2, 3)], (2, 3)),
    (layers.Mul(), [(2, 3), (2, 3)], (2, 3)),
    (layers.Mul(), [(2, 3, 4), (2, 1, 1)], (2, 3, 4)),
    (layers.MatMul(), [(2, 3), (3, 5)], (2, 5)),
    (layers.MatMul(), [(4, 1, 2, 3), (1, 6, 3, 5)], (4, 6, 2, 5)),
    (layers.Concat(), [(2, 3), (5, 3), (1, 3)], (8, 3)),
    (layers.Concat(-1), [(2, 3), (2, 1)], (2, 4)),
    (layers.Quantize(), [(2, 3)], (2, 3)),
    (layers.Pad(((0, 0), (1, 2), (3, 0))), [(1, 2, 3)], (1, 5, 6)),
    (layers.Slice(0, 1, 2), [(2, 3, 4)], (1, 3, 4)),
    (layers.Slice(-1, 0, 4, 3), [(2, 3, 4)], (2, 3, 2)),
    (layers.Take(1, (2, 2, 0, 1)), [(2, 3, 4)], (2, 4, 4)),
    (layers.Take(-1, (3,)), [(2, 3, 4)], (2, 3, 1)),
    (layers.Flatten(), [(2, 3, 4)], (24,)),
    (layers.Reshape((4, 6)), [(2, 3, 4)], (4, 6)),
    (layers.Transpose((2, 0, 1)), [(2, 3, 4)], (4, 2, 3)),
    (layers.LayerNorm(ONES(4), ONES(4)), [(2, 3, 4)], (2, 3, 4)),
]


@pytest.mark.parametrize(("layer", "inputs", "output"), SHAPES)
def test_a_layer_knows_its_shape(layer: Layer, inputs: list[Shape], output: Shape) -> None:
    """The output's shape follows from the inputs', the batch left out."""
    assert layer.shape(*inputs) == output
    assert len(inputs) == (layer.inputs or len(inputs))


def test_every_layer_has_a_shape_above() -> None:
    """The cases leave no kind out; a file spells a kind by its class's name."""
    kinds = layer_types()
    assert {type(layer) for layer, _, _ in SHAPES} == set(kinds.values())
    assert all(kind.__name__ == name and not name.startswith("_") for name, kind in kinds.items())


PLACES = "start, stop and step must be places in order, inside 3, and 1 or more"

MATRICES = "branches must be (..., m, k) and (..., k, n), not "

WRONG_SHAPES: list[tuple[Layer, list[Shape], str]] = [
    (layers.MatMul(), [(3,), (3,)], f"{MATRICES}(3) and (3)"),
    (layers.MatMul(), [(2, 3), (2, 3)], f"{MATRICES}(2, 3) and (2, 3)"),
    (layers.MatMul(), [(4, 2, 3), (3, 2)], f"{MATRICES}(4, 2, 3) and (3, 2)"),
    (
        layers.MatMul(),
        [(4, 2, 3), (2, 3, 2)],
        "leading axes of branches must be the same, or 1, not (4, 2, 3) and (2, 3, 2)",
    ),
    (Dense(ONES((3, 5)), ONES(3)), [(4,)], "input must be (5), not (4)"),
    (Dense(ONES((3, 5)), ONES(3)), [(1, 5)], "input must be (5), not (1, 5)"),
    (layers.LayerNorm(ONES(4), ONES(4)), [(4, 3)], "last axis must be as gamma's 4, not (4, 3)"),
    (conv(4, 3, 1, 1), [(3, 9)], "input must be (channels, height, width), not (3, 9)"),
    (conv(4, 3, 1, 1), [(2, 9, 9)], "input must have 3 maps (3 x 1 groups), not 2"),
    (conv(4, 3, 1, 1, groups=2), [(3, 9, 9)], "input must have 6 maps (3 x 2 groups), not 3"),
    (
        conv(4, 3, 5, 5, padding=1),
        [(3, 2, 9)],
        "kernel must fit its padded input: height 5 is over 4",
    ),
    (
        conv(4, 3, 5, 5, dilation=2),
        [(3, 9, 8)],
        "kernel must fit its padded input: width 9 is over 8",
    ),
    (layers.MaxPool2D(PAIR), [(9,)], "input must be (channels, height, width), not (9)"),
    (
        layers.MaxPool2D(PAIR),
        [(1, 1, 9)],
        "kernel must fit its padded input: height 2 is over 1",
    ),
    (
        layers.AvgPool2D(Window((2, 3), padding=(0, 0, 2, 0))),
        [(1, 9, 9)],
        "padding must be smaller than the window 2 x 3, not (0, 0, 2, 0)",
    ),
    (
        layers.L2Pool2D(Window((2, 2), padding=(0, 3, 0, 0), dilation=(1, 2))),
        [(1, 9, 9)],
        "padding must be smaller than the window 2 x 3, not (0, 3, 0, 0)",
    ),
    (
        Conv2D(ONES((1, 1, 1, 1)), ONES(1), Window((1, 1), (MOST,) * 2, (0, 0, MOST, MOST))),
        [(1, 1, 1)],
        f"padded input must hold at most 2**27 values, not be (1, {MOST + 1}, {MOST + 1})",
    ),
    (
        layers.MaxPool2D(Window((1, 3), (1, 2), (0, 0, 0, 1), ceil_mode=True)),
        [(2, 2**20, 63)],
        "padded input must hold at most 2**27 values, not be (2, 1048576, 65)",
    ),
    (layers.PRelu(ONES(3)), [(2, 3)], "slope must be (2), not (3)"),
    (layers.PRelu(ONES((2, 1))), [(2, 3)], "slope must be (2), not (2, 1)"),
    (layers.Softmax(1), [(10,)], "axis must be inside the 1 axes of (10), not 1"),
    (layers.Softmax(-3), [(2, 5)], "axis must be inside the 2 axes of (2, 5), not -3"),
    (layers.Add(), [(2, 3), (3, 2)], "branches must have one shape, not (2, 3) and (3, 2)"),
    (layers.Add(), [(2, 3), (2, 3, 1)], "branches must have one shape, not (2, 3) and (2, 3, 1)"),
    (
        layers.Mul(),
        [(2, 1, 1), (2, 3, 4)],
        "second branch must be (2, 1, 1), or 1 along axes, not (2, 3, 4)",
    ),
    (layers.Mul(), [(2, 3), (2,)], "second branch must be (2, 3), or 1 along axes, not (2)"),
    (
        layers.Concat(),
        [(2, 3), (2, 3), (2, 4)],
        "branches must agree but for axis 0, not (2, 3), (2, 3), (2, 4)",
    ),
    (layers.Concat(1), [(2, 3), (2,)], "branches must agree but for axis 1, not (2, 3), (2)"),
    (layers.Concat(2), [(2, 3), (2, 3)], "axis must be inside the 2 axes of (2, 3), not 2"),
    (
        layers.Pad(((1, 1),)),
        [(2, 3)],
        "pads must be 2 pairs of counts of 0 or more, not ((1, 1),)",
    ),
    (
        layers.Pad(((0, 0), (1, -1))),
        [(2, 3)],
        "pads must be 2 pairs of counts of 0 or more, not ((0, 0), (1, -1))",
    ),
    (layers.Slice(1, -1, 2), [(2, 3)], f"{PLACES}, not -1, 2 and 1"),
    (layers.Slice(1, 2, 2), [(2, 3)], f"{PLACES}, not 2, 2 and 1"),
    (layers.Slice(1, 0, 4), [(2, 3)], f"{PLACES}, not 0, 4 and 1"),
    (layers.Slice(1, 0, 2, 0), [(2, 3)], f"{PLACES}, not 0, 2 and 0"),
    (layers.Slice(1, 0, 2, -1), [(2, 3)], f"{PLACES}, not 0, 2 and -1"),
    (layers.Slice(2, 0, 1), [(2, 3)], "axis must be inside the 2 axes of (2, 3), not 2"),
    (layers.Reshape((4, 5)), [(2, 3, 4)], "shape must hold 24 values, not (4, 5)"),
    (layers.Reshape((2**62,) * 10**6), [(24,)], "shape must have at most 32 axes, not 1000000"),
    (layers.Reshape((-4, -6)), [(2, 3, 4)], "shape must hold 24 values, not (-4, -6)"),
    (layers.Transpose((0, 1)), [(2, 3, 4)], "order must permute 3 axes, not be (0, 1)"),
    (layers.Transpose((0, 1, 1)), [(2, 3, 4)], "order must permute 3 axes, not be (0, 1, 1)"),
]


@pytest.mark.parametrize(("layer", "inputs", "message"), WRONG_SHAPES)
def test_a_layer_refuses_other_shapes(layer: Layer, inputs: list[Shape], message: str) -> None:
    """What a layer cannot take is named beside what it can."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        layer.shape(*inputs)


IMPOSSIBLE: list[tuple[Callable[[], object], str]] = [
    (lambda: Dense(ONES(3), ONES(3)), "weight must be (out, in), not (3)"),
    (lambda: Dense(ONES((3, 0)), ONES(3)), "weight must be (out, in), not (3, 0)"),
    (lambda: Dense(ONES((3, 5)), ONES(5)), "bias must be (3), not (5)"),
    (lambda: Dense(ONES((3, 5)), ONES((3, 1))), "bias must be (3), not (3, 1)"),
    (
        lambda: Conv2D(ONES((4, 3)), ONES(4), Window((1, 1))),
        "weight must be (out, in / groups, height, width), not (4, 3)",
    ),
    (
        lambda: Conv2D(ONES((4, 0, 1, 1)), ONES(4), Window((1, 1))),
        "weight must be (out, in / groups, height, width), not (4, 0, 1, 1)",
    ),
    (lambda: Conv2D(ONES((4, 3, 1, 1)), ONES(3), Window((1, 1))), "bias must be (4), not (3)"),
    (
        lambda: Conv2D(ONES((4, 3, 2, 1)), ONES(4), Window((1, 2))),
        "kernel must be as the weight's (2, 1), not (1, 2)",
    ),
    (
        lambda: Conv2D(ONES((4, 3, 1, 1)), ONES(4), Window((1, 1), ceil_mode=True)),
        "a convolution must not have ceil_mode",
    ),
    (lambda: conv(4, 3, 1, 1, groups=3), "groups must divide the 4 output maps, not 3"),
    (lambda: conv(4, 3, 1, 1, groups=0), "groups must divide the 4 output maps, not 0"),
    (lambda: conv(4, 3, 1, 1, groups=-2), "groups must divide the 4 output maps, not -2"),
    (lambda: layers.Clip(1, 0), "low must be at most high, not 1 and 0"),
    (lambda: layers.Clip(float("nan"), 0), "low must be at most high, not nan and 0"),
]


@pytest.mark.parametrize(("build", "message"), IMPOSSIBLE)
def test_a_layer_that_cannot_be_cannot_be_built(build: Callable[[], object], message: str) -> None:
    """Parameters that do not fit one another are refused before anything runs."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        build()


def test_arrays_are_frozen_copies() -> None:
    """A layer keeps what it was given, in C order, though its maker changes it afterwards."""
    weight, bias = np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.zeros(2)
    layer = Dense(weight, bias)
    weight[:] = bias[:] = 7
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert layer.bias.tolist() == [0, 0]
    assert layer.weight.flags.c_contiguous
    with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
        layer.weight[0, 0] = 1
    assert layer.arrays() == ("weight", "bias")
    for name in layer.arrays():
        with pytest.raises(FrozenInstanceError, match=rf"^cannot assign to field '{name}'$"):
            setattr(layer, name, weight)


def test_frozen_arrays_are_shared() -> None:
    """What nobody can write needs no copy: a model's weights lie in memory once."""
    weight: Array = np.ones((2, 3))
    weight.setflags(write=False)
    assert Dense(weight, np.zeros(2)).weight is weight
