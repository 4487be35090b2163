"""Networks are checked graphs: what cannot be is refused with the name of the layer."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest

from fxpnn.errors import ModelError
from fxpnn.network.graph import INPUT, Network, Node, Scaling, chain
from fxpnn.network.layers import (
    Add,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    HardSigmoid,
    Layer,
    LeakyRelu,
    MaxPool2D,
    Pad,
    PRelu,
    Relu,
    Reshape,
    Softmax,
    Step,
    Window,
)

SQUARE = Window((3, 3), padding=(1, 1, 1, 1))


def dense(out: int, inputs: int) -> Dense:
    """Build a dense layer of zeros."""
    return Dense(np.zeros((out, inputs)), np.zeros(out))


def conv(out: int, inputs: int) -> Conv2D:
    """Build a convolution of zeros that keeps the size of maps."""
    return Conv2D(np.zeros((out, inputs, 3, 3)), np.zeros(out), SQUARE)


def test_a_chain_reads_what_is_before() -> None:
    """Each layer reads the one before; shapes, output and trained values follow."""
    layers = {"flat": Flatten(), "hidden": dense(5, 12), "relu": Relu(), "classes": Softmax()}
    network = chain("mlp", (1, 3, 4), layers)
    assert [node.inputs[0] for node in network.nodes] == ["input", "flat", "hidden", "relu"]
    assert [node.op for node in network.nodes] == ["Flatten", "Dense", "Relu", "Softmax"]
    assert dict(network.shapes) == {
        "input": (1, 3, 4),
        "flat": (12,),
        "hidden": (5,),
        "relu": (5,),
        "classes": (5,),
    }
    assert network.outputs == ("classes",)
    assert network.parameters == 5 * 12 + 5
    assert network.scaling == Scaling(1 / 256, (0.0,), (1.0,))


def residual() -> Network:
    """Build two branches that meet twice."""
    nodes = (
        Node("left", conv(2, 2), (INPUT,)),
        Node("right", Relu(), (INPUT,)),
        Node("sum", Add(), ("left", "right")),
        Node("both", Concat(), ("sum", "right", "sum")),
        Node("pool", MaxPool2D(Window((2, 2), (2, 2))), ("both",)),
        Node("slopes", PRelu(np.zeros(6)), ("pool",)),
    )
    return Network("residual", (2, 4, 6), nodes, ("slopes", "sum"))


def test_branches_join() -> None:
    """A tensor may be read more than once, also by one layer; several may be results."""
    network = residual()
    assert network.shapes["both"] == (6, 4, 6)
    assert network.shapes["slopes"] == (6, 2, 3)
    assert network.outputs == ("slopes", "sum")
    assert network.parameters == 2 * 2 * 9 + 2 + 6


def test_a_layer_is_found_by_its_name() -> None:
    """The input is no layer, and an unknown name is a mistake in the code that asks."""
    network = residual()
    assert network["pool"] is network.nodes[4]
    for name in ("input", "pole"):
        with pytest.raises(KeyError, match=rf"^'{name}'$"):
            network[name]


def test_shapes_cannot_be_changed() -> None:
    """They are a view that takes no assignment."""
    assert "__setitem__" not in dir(residual().shapes)


RELU = Node("relu", Relu(), (INPUT,))
WRONG_GRAPHS: list[tuple[Sequence[Node], str]] = [
    ([], "a network must have one or more layers, not none"),
    ([RELU, RELU], "layer relu (Relu): names must be unique and not empty"),
    ([Node("", Relu(), (INPUT,))], "layer  (Relu): names must be unique and not empty"),
    ([Node(INPUT, Relu(), (INPUT,))], "layer input (Relu): names must be unique and not empty"),
    (
        [Node("sum", Add(), ("relu", "rely")), RELU],
        "layer sum (Add): inputs must be earlier layers, not relu, rely",
    ),
    (
        [Node("self", Relu(), ("self",))],
        "layer self (Relu): inputs must be earlier layers, not self",
    ),
    ([Node("sum", Add(), (INPUT,))], "layer sum (Add): must have 2 inputs, not 1"),
    ([Node("sum", Add(), (INPUT,) * 3)], "layer sum (Add): must have 2 inputs, not 3"),
    ([Node("relu", Relu(), (INPUT, INPUT))], "layer relu (Relu): must have 1 inputs, not 2"),
    ([Node("relu", Relu(), ())], "layer relu (Relu): must have 1 inputs, not 0"),
    ([Node("cat", Concat(), (INPUT,))], "layer cat (Concat): must have 2 or more inputs, not 1"),
    (
        [RELU, Node("hidden", dense(3, 5), ("relu",))],
        "layer hidden (Dense): input must be (5), not (2, 1, 1)",
    ),
    (
        [Node("wide", Pad(((0, 2**16), (0, 2**16), (0, 0))), (INPUT,))],
        "layer wide (Pad): output must hold 1 to 2**27 values, not (65538, 65537, 1)",
    ),
]


@pytest.mark.parametrize(("nodes", "message"), WRONG_GRAPHS)
def test_what_is_no_graph_is_refused(nodes: Sequence[Node], message: str) -> None:
    """Names, inputs and shapes must fit; the first layer that does not is named."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        Network("wrong", (2, 1, 1), tuple(nodes))


def test_no_tensor_is_without_axes() -> None:
    """A single value may be relabelled as a vector of one, not as nothing."""
    message = "layer scalar (Reshape): output must hold 1 to 2**27 values, not ()"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        chain("scalar", (1,), {"scalar": Reshape(())})


@pytest.mark.parametrize("shape", [(), (0,), (3, -1), (2**16, 2**15, 2), (10**30,)])
def test_the_input_must_be_countable(shape: tuple[int, ...]) -> None:
    """No axis, an empty axis or more values than a tensor may hold."""
    message = f"the input must hold 1 to 2**27 values on its axes, not {shape}"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        chain("wrong", shape, {"relu": Relu()})


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (("rely",), "outputs must be names of layers, not 'rely'"),
        (("relu", "input"), "outputs must be names of layers, not 'input'"),
        (("relu", "relu"), "outputs must be unique, not relu, relu"),
    ],
)
def test_outputs_are_layers(outputs: tuple[str, ...], message: str) -> None:
    """A result is a layer's, and given once."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        Network("wrong", (2, 1, 1), (RELU,), outputs)


def holed(shape: tuple[int, ...], index: int, value: float) -> np.ndarray:
    """Return zeros with one other value."""
    array = np.zeros(shape, np.float32)
    array.flat[index] = value
    return array


ENDLESS: list[tuple[Layer, str]] = [
    (
        Dense(holed((1, 2), 1, math.nan), np.zeros(1)),
        "(Dense): weight[0, 1] must be finite, not nan",
    ),
    (Dense(np.zeros((3, 2)), holed((3,), 2, math.inf)), "(Dense): bias[2] must be finite, not inf"),
    (PRelu(holed((2,), 0, -math.inf)), "(PRelu): slope[0] must be finite, not -inf"),
    (LeakyRelu(math.nan), "(LeakyRelu): slope must be finite, not nan"),
    (Step(math.inf), "(Step): threshold must be finite, not inf"),
    (HardSigmoid(0.2, -math.inf), "(HardSigmoid): beta must be finite, not -inf"),
]


@pytest.mark.parametrize(("layer", "message"), ENDLESS)
def test_parameters_are_finite(layer: Layer, message: str) -> None:
    """NaN and infinity are refused with the layer, the parameter and the first place in it."""
    with pytest.raises(ModelError, match=rf"^{re.escape(f'layer odd {message}')}$"):
        chain("odd", (2,), {"relu": Relu(), "odd": layer})


def test_the_first_infinite_weight_is_located() -> None:
    """It is counted in the order in which weights are stored."""
    weight = holed((2, 1, 3, 3), 13, math.inf)
    weight[1, 0, 2, 0] = math.nan
    odd = Conv2D(weight, np.zeros(2), SQUARE)
    message = "layer odd (Conv2D): weight[1, 0, 1, 1] must be finite, not inf"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        chain("odd", (1, 3, 3), {"odd": odd})


def test_a_clip_may_be_open() -> None:
    """Of a clip, and of nothing else, a side may be infinite."""
    network = chain("open", (2,), {"clip": Clip(-math.inf, 6.0), "also": Clip(0.0, math.inf)})
    assert network.shapes["also"] == (2,)


@pytest.mark.parametrize(
    ("scale", "mean", "std"),
    [
        (0.0, 0.0, 1.0),
        (math.inf, 0.0, 1.0),
        (1.0, math.nan, 1.0),
        (1.0, 0.0, 0.0),
        (1.0, 0.0, -math.inf),
    ],
)
def test_scaling_is_finite(scale: float, mean: float, std: float) -> None:
    """Nothing is divided by 0 and nothing is multiplied away."""
    shown = f"Scaling(scale={scale}, mean=({mean}, 0.0), std=(1.0, {std}), assumed=False)"
    message = f"scale, mean and std must be finite, scale and std not 0: {shown}"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        Scaling(scale, (mean, 0.0), (1.0, std))


@pytest.mark.parametrize(("mean", "std"), [((), (1.0,)), ((0.0,), ())])
def test_scaling_has_values(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """One for all channels or one for each, but not none."""
    message = r"^mean and std must hold one value or one per channel, not none$"
    with pytest.raises(ModelError, match=message):
        Scaling(1.0, mean, std)


def test_scaling_fits_the_channels() -> None:
    """A mean or deviation per channel needs as many as the input has."""
    three = (1.0, 2.0, 3.0)
    assert chain("rgb", (3, 1, 1), {"r": Relu()}, Scaling(1.0, three, (2.0,))).scaling.mean == three
    for name, scaling in (("mean", Scaling(1.0, three)), ("std", Scaling(1.0, std=three))):
        with pytest.raises(ModelError, match=rf"^{name} must hold 1 or 2 values, not 3$"):
            chain("two", (2, 1, 1), {"r": Relu()}, scaling)
