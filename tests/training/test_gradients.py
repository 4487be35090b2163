"""Gradients of every layer and loss equal central differences."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.network import layers
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import Array, Conv2D, Dense, Flatten, Layer, Relu, Sigmoid, Softmax, Tanh
from fxpnn.onnx import from_model
from fxpnn.reference import compute, forward
from fxpnn.training import LOSSES, Loss, backpropagate, parameters, with_parameters
from fxpnn.training.gradients import input_deltas, parameter_gradients
from fxpnn.training.losses import SQUARES, cost
from fxpnn.training.sgd import cost_and_gradients
from tests.reference.test_reference import SEEDS, windows
from tests.support.recurrent_models import recurrent

STEP = 1e-4
"""The step of the five-point difference: its error is of the fourth order, about 1e-16."""


def difference(function: Callable[[], float], values: Array) -> Array:
    """Differentiate by each of ``values``, which are moved in place and put back."""
    slopes = np.zeros(values.shape)
    for index in np.ndindex(*values.shape):
        kept, costs = values[index], []
        for offset in (-2, -1, 1, 2):
            values[index] = kept + offset * STEP
            costs.append(function())
        values[index] = kept
        slopes[index] = (costs[0] - 8 * costs[1] + 8 * costs[2] - costs[3]) / (12 * STEP)
    return slopes


def assert_slopes(found: Array, expected: Array) -> None:
    """Compare with differences of rounded costs, which tell a slope to some ten digits at best."""
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def spread(generator: np.random.Generator, *shape: int) -> Array:
    """Draw values of -4..4, all apart, and none where an activation of these tests bends."""
    size = math.prod(shape)
    return (generator.permutation(size).reshape(shape) - size / 2 + 0.37) * (8 / size)


def assert_gradients(layer: Layer, generator: np.random.Generator, *inputs: Array) -> None:
    """Check the derivative of a random weighting of the outputs, by every input and parameter."""
    weights = generator.normal(size=compute(layer, *inputs).shape)
    thawed = {name: np.array(getattr(layer, name)) for name in layer.arrays()}
    found = input_deltas(layer, weights, compute(layer, *inputs), *inputs)
    assert len(found) == len(inputs)
    for gradient, x in zip(found, inputs, strict=True):
        expected = difference(lambda: float((compute(layer, *inputs) * weights).sum()), x)
        assert_slopes(gradient, expected)
    gradients = parameter_gradients(layer, weights, *inputs)
    assert set(gradients) == set(thawed)
    for name, values in thawed.items():
        expected = difference(
            lambda: float((compute(replace(layer, **thawed), *inputs) * weights).sum()), values
        )
        assert_slopes(gradients[name], expected)


SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=4)
"""Shapes of a batch, the batch's size first."""

POINTWISE: list[Layer] = [
    layers.Relu(),
    layers.LeakyRelu(0.3),
    layers.Clip(-1.0, 2.0),
    layers.Clip(-math.inf, 1.5),
    layers.Sigmoid(),
    layers.Tanh(),
    layers.Silu(),
    layers.Gelu(),
    layers.GeluTanh(),
    layers.Mish(),
    layers.Selu(),
    layers.Softsign(),
    layers.Elu(),
    layers.Softplus(),
    layers.Abs(),
    layers.HardSigmoid(0.2, 0.5),
    layers.HardSwish(),
    layers.Step(0.0),
    layers.Flatten(),
]


@pytest.mark.parametrize("layer", POINTWISE, ids=lambda layer: type(layer).__name__)
@settings(max_examples=15, deadline=None)
@given(shape=SHAPES, seed=SEEDS)
def test_gradient_of_activation(layer: Layer, shape: list[int], seed: int) -> None:
    """The derivative of every activation equals the central difference."""
    generator = np.random.default_rng(seed)
    assert_gradients(layer, generator, spread(generator, *shape))


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_gradient_of_layers_that_move_data(
    shape: list[int], seed: int, data: st.DataObject
) -> None:
    """So it does for softmax, slopes per channel, and layers that pair, move or keep values."""
    generator, axes = np.random.default_rng(seed), len(shape) - 1
    axis = data.draw(st.integers(-axes, axes - 1))
    order = tuple(data.draw(st.permutations(range(axes))))
    pads = tuple(data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in range(axes))
    x, y = spread(generator, *shape), spread(generator, *shape)
    joined = np.concatenate([x, y], axis=axis % axes + 1)
    assert_gradients(Softmax(axis), generator, x)
    assert_gradients(layers.MaskedSoftmax(axis, ((0, x.shape[1:][axis]),)), generator, x)
    gamma, beta = generator.normal(size=(2, shape[-1]))
    assert_gradients(layers.LayerNorm(gamma, beta, 0.1), generator, x)
    assert_gradients(layers.PRelu(generator.normal(size=shape[1])), generator, x)
    assert_gradients(layers.Add(), generator, x, y)
    repeated = [shape[0], *(n if data.draw(st.booleans()) else 1 for n in shape[1:])]
    assert_gradients(layers.Mul(), generator, x, spread(generator, *repeated))
    matrices = spread(generator, *repeated[:-1], 3), spread(generator, *shape[:-2], 3, 2)
    if axes > 1:
        assert_gradients(layers.MatMul(), generator, *matrices)
    assert_gradients(layers.Concat(axis=axis), generator, x, y, joined)
    assert_gradients(layers.Quantize(), generator, x)
    assert_gradients(layers.Pad(pads, 1.0), generator, x)
    assert_gradients(layers.Slice(axis, 0, x.shape[axis % axes + 1], 2), generator, x)
    places = data.draw(
        st.lists(st.integers(0, x.shape[axis % axes + 1] - 1), min_size=1, max_size=5)
    )
    assert_gradients(layers.Take(axis, tuple(places)), generator, x)
    assert_gradients(layers.Reshape((1, math.prod(shape[1:]))), generator, x)
    assert_gradients(layers.Transpose(order), generator, x)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 4), inputs=st.integers(1, 5), outputs=st.integers(1, 5), seed=SEEDS)
def test_gradient_of_dense(n: int, inputs: int, outputs: int, seed: int) -> None:
    """So it does for a dense layer, by its input, weight and bias."""
    generator = np.random.default_rng(seed)
    layer = Dense(generator.normal(size=(outputs, inputs)), generator.normal(size=outputs))
    assert_gradients(layer, generator, spread(generator, n, inputs))


@settings(max_examples=40, deadline=None)
@given(
    case=windows(ceil_mode=False),
    groups=st.integers(1, 2),
    maps=st.integers(1, 2),
    outs=st.integers(1, 3),
    seed=SEEDS,
)
def test_gradient_of_convolution(
    case: tuple[layers.Window, int, int], groups: int, maps: int, outs: int, seed: int
) -> None:
    """So it does for a convolution of any stride, padding, dilation and groups."""
    window, height, width = case
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(groups * outs, maps, *window.kernel))
    layer = Conv2D(weight, generator.normal(size=groups * outs), window, groups)
    assert_gradients(layer, generator, spread(generator, 2, groups * maps, height, width))


@pytest.mark.parametrize("kind", [layers.MaxPool2D, layers.AvgPool2D, layers.L2Pool2D])
@settings(max_examples=30, deadline=None)
@given(case=windows(), seed=SEEDS)
def test_gradient_of_pool(
    kind: Callable[[layers.Window], Layer], case: tuple[layers.Window, int, int], seed: int
) -> None:
    """So it does for every pool, its windows overlapping, padded or hanging over."""
    window, height, width = case
    generator = np.random.default_rng(seed)
    x = spread(generator, 2, 2, height, width)
    layer = kind(window)
    if np.isfinite(compute(layer, x)).all():  # a window may see padding only, and has no maximum
        assert_gradients(layer, generator, x)


def test_every_layer_has_a_gradient() -> None:
    """No layer of the vocabulary is left out."""
    default = input_deltas.dispatch(Layer)
    unknown = {n for n, k in layers.layer_types().items() if input_deltas.dispatch(k) is default}
    assert not unknown
    with pytest.raises(NotImplementedError, match=r"^Layer$"):
        input_deltas(Layer(), np.zeros(1), np.zeros(1), np.zeros(1))


def test_equal_maxima_share_no_gradient() -> None:
    """Of equal values in a window the first alone gets the delta: nothing counts twice."""
    layer = layers.MaxPool2D(layers.Window((2, 2)))
    (delta,) = input_deltas(
        layer, np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), np.ones((1, 1, 2, 2))
    )
    assert delta.tolist() == [[[[1, 0], [0, 0]]]]


def test_l2_pool_of_zeros_has_no_gradient() -> None:
    """Where all of a window is 0 the root has no slope; 0 is given, not a division by 0."""
    layer, x = layers.L2Pool2D(layers.Window((2, 2))), np.zeros((1, 1, 2, 2))
    (delta,) = input_deltas(layer, np.ones((1, 1, 1, 1)), compute(layer, x), x)
    assert not delta.any()


def residual(last: Layer, generator: np.random.Generator) -> Network:
    """Build a network with a convolution, two branches that meet, and ``last`` as its output."""
    weight = generator.normal(size=(2, 1, 2, 2))
    window = layers.Window((2, 2), padding=(0, 0, 1, 1))
    dense = Dense(generator.normal(size=(3, 12)), generator.normal(size=3))
    nodes = (
        Node("conv", Conv2D(weight, generator.normal(size=2), window), (INPUT,)),
        Node("tanh", Tanh(), ("conv",)),
        Node("sum", layers.Add(), ("conv", "tanh")),
        Node("both", layers.Concat(), ("sum", INPUT)),
        Node("flatten", Flatten(), ("both",)),
        Node("dense", dense, ("flatten",)),
        Node("last", last, ("dense",)),
    )
    return Network("residual", (1, 2, 2), nodes)


LAST: list[tuple[Loss, Layer]] = [
    *product(LOSSES.values(), (Softmax(), Sigmoid())),
    (SQUARES, Tanh()),  # the others take the logarithm of an output of 0..1
]


@pytest.mark.parametrize(
    ("loss", "last"), LAST, ids=[f"{loss.name}-{type(last).__name__}" for loss, last in LAST]
)
def test_gradient_of_every_loss(loss: Loss, last: Layer) -> None:
    """A network's gradients equal central differences under every loss, fused or not."""
    generator = np.random.default_rng(3)
    network = residual(last, generator)
    x, y = generator.normal(size=(4, 1, 2, 2)), np.eye(3)[[0, 2, 1, 1]]
    thawed = {name: np.array(value) for name, value in parameters(network).items()}
    _, gradients = cost_and_gradients(network, x, y, loss)
    assert list(gradients) == ["dense.weight", "dense.bias", "conv.weight", "conv.bias"]
    for name, values in thawed.items():
        expected = difference(
            lambda: cost_and_gradients(with_parameters(network, thawed), x, y, loss)[0], values
        )
        assert_slopes(gradients[name], expected)


def test_deltas_of_the_lecture() -> None:
    """Delta is a - y for softmax or sigmoid with cross-entropy, (a - y) a (1 - a) with squares."""
    generator = np.random.default_rng(4)
    x, y = generator.normal(size=(5, 3)), np.eye(3)[[0, 1, 2, 0, 1]]
    for last, loss in ((Softmax(), "cross-entropy"), (Sigmoid(), "binary-cross-entropy")):
        network = chain("one", (3,), {"z": Relu(), "a": last})
        values = forward(network, x, np.float64, keep=network.shapes)
        assert (
            cost(LOSSES[loss], network, values, y).deltas["z"].tolist()
            == ((values["a"] - y) / 5).tolist()
        )
    network = chain("one", (3,), {"z": Dense(np.eye(3), np.zeros(3)), "a": Sigmoid()})
    values = forward(network, x, np.float64, keep=network.shapes)
    deltas = cost(SQUARES, network, values, y).deltas
    a = values["a"]
    np.testing.assert_allclose(  # another order of the same factors rounds otherwise
        backpropagate(network, values, deltas).deltas["z"], (a - y) * a * (1 - a) / 5, rtol=1e-14
    )


def test_only_what_depends_on_parameters_gets_a_delta() -> None:
    """The input's delta is computed only when asked for."""
    network = chain("one", (2,), {"first": Relu(), "dense": Dense(np.eye(2), np.zeros(2))})
    values = forward(network, np.ones((1, 2)), keep=network.shapes)
    deltas = {"dense": np.array([[1.0, 2.0]])}
    assert list(backpropagate(network, values, deltas).deltas) == ["dense"]
    found = backpropagate(network, values, deltas, to_input=True).deltas
    assert found[INPUT].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_steps_of_a_loop_learn_as_one(kind: str) -> None:
    """Weights that all steps share are one parameter; its gradient is the sum over the steps."""
    network = from_model(recurrent(kind, steps=3, hidden=3, outputs="y_last"))
    values = {name: value.astype(np.float64) for name, value in parameters(network).items()}
    states = [name for name in values if ".state" in name and name.endswith("weight")]
    assert len(states) == (2 if kind == "GRU" else 1)
    x = np.random.default_rng(5).normal(size=(2, *network.input_shape))
    (output,) = network.outputs

    def kept() -> dict[str, Array]:
        return forward(with_parameters(network, values), x, np.float64, network.shapes)

    weights = np.random.default_rng(6).normal(size=(2, *network.shapes[output]))
    known = with_parameters(network, values)
    found = backpropagate(known, kept(), {output: weights}).parameters
    assert found.keys() == values.keys()
    for name in states:
        slopes = difference(lambda: float((kept()[output] * weights).sum()), values[name])
        assert_slopes(found[name], slopes)
    held = {id(node.layer) for node in known.nodes if node.unrolled.startswith("loop.state")}
    assert len(held) == len(states)
