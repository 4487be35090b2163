"""Losses have the gradients of their formulas, descent its steps, and a bias is a weight."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Dense, Layer, Relu, Sigmoid, Softmax, Tanh
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import forward
from fxpnn.textbook import deltas, descent, xor
from fxpnn.textbook.lesson import both, formats
from fxpnn.training import CROSS_ENTROPY, LOSSES, Loss, parameters, with_parameters
from fxpnn.training.losses import LOGISTIC, MEAN_SQUARES
from fxpnn.training.sgd import cost_and_gradients
from tests.training.test_gradients import STEP, difference

LAST: dict[str, list[Layer]] = {
    "cross-entropy": [Softmax(), Sigmoid()],
    "binary-cross-entropy": [Sigmoid(), Softmax()],
    "squares": [Softmax(), Sigmoid(), Tanh(), Relu()],
    "mean-squares": [Softmax(), Sigmoid(), Tanh(), Relu()],
    "logistic": [Softmax(), Sigmoid(), Tanh(), Relu()],
}
"""The activations that may stand before each loss."""


def test_every_loss_is_tried() -> None:
    """No loss is left out below."""
    assert LAST.keys() == LOSSES.keys()


def network_before(last: Layer, shape: tuple[int, ...], generator: np.random.Generator) -> Network:
    """Build two dense layers of random weights before an activation."""
    inputs, hidden, outputs = shape
    layers = {
        "hidden": Dense(generator.normal(size=(hidden, inputs)), generator.normal(size=hidden)),
        "tanh": Tanh(),
        "dense": Dense(generator.normal(size=(outputs, hidden)), np.ones(outputs)),
        "last": last,
    }
    return chain("before", (inputs,), layers)


def targets_of(loss: Loss, generator: np.random.Generator, *shape: int) -> Array:
    """Draw what a loss takes: labels of 1 and -1, shares that add up to 1, or values of 0..1."""
    y = generator.uniform(0.1, 0.9, shape)
    if loss is LOGISTIC:
        return np.where(y < 0.5, -1.0, 1.0)
    return y / y.sum(axis=1, keepdims=True) if loss is CROSS_ENTROPY else y


CASES = [(LOSSES[name], last) for name, lasts in LAST.items() for last in lasts]


@pytest.mark.parametrize(
    ("loss", "last"), CASES, ids=[f"{loss.name}-{type(last).__name__}" for loss, last in CASES]
)
@settings(max_examples=10)
@given(n=st.integers(1, 4), shape=st.tuples(*[st.integers(2, 5)] * 3), seed=st.integers(0, 2**32))
def test_gradient_of_a_loss(
    loss: Loss, last: Layer, n: int, shape: tuple[int, ...], seed: int
) -> None:
    """Behind every activation, for any shape, it is the central difference to 1e-6."""
    generator = np.random.default_rng(seed)
    network = network_before(last, shape, generator)
    x, y = generator.normal(size=(n, shape[0])), targets_of(loss, generator, n, shape[-1])
    sums = forward(network, x, np.float64, keep=["dense"])["dense"]
    if isinstance(last, Relu) and np.abs(sums).min() < 0.01:
        return  # a difference would cross the bend
    thawed = {name: np.array(value) for name, value in parameters(network).items()}
    _, gradients = cost_and_gradients(network, x, y, loss)
    assert gradients.keys() == thawed.keys()
    # An output that is rounded by one part in 2**52 moves the cost by its slope (without a bound
    # for log(1 - a)), and a difference of costs divides that by its step: 1.5 of it were seen.
    a = forward(network, x, np.float64)["last"]
    told = 8 * np.finfo(np.float64).eps / STEP * np.abs(loss.slope(a, y) * a).sum() / n
    for name, values in thawed.items():
        expected = difference(
            lambda: cost_and_gradients(with_parameters(network, thawed), x, y, loss)[0], values
        )
        # A difference of costs is no exact slope: its own curve is the first, ``told`` the other.
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-6, atol=1e-9 + told)


def test_new_losses_are_their_formulas() -> None:
    """The mean squared error and the logistic loss, worked out with ``math``; no overflow."""
    a, y = np.array([[0.5, 2.0], [-1.0, 0.25]]), np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert MEAN_SQUARES.value(a, y).tolist() == [(0.25 + 9) / 2, (0 + 0.5625) / 2]
    expected = [
        -sum(math.log(1 / (1 + math.exp(-t * v))) for t, v in zip(ts, vs, strict=True))
        for ts, vs in zip(y.tolist(), a.tolist(), strict=True)
    ]
    assert LOGISTIC.value(a, y) == pytest.approx(expected, rel=1e-14)
    far = np.array([[1000.0], [-1000.0]])
    assert LOGISTIC.value(far, -np.sign(far)).tolist() == [1000, 1000]
    assert LOGISTIC.slope(far, -np.sign(far)).tolist() == [[1], [-1]]


def test_deltas_of_the_lessons() -> None:
    """Cross-entropy's deltas are a - y; squares shrink them by a (1 - a), most where most wrong."""
    squares, entropy, likelihood = list(deltas.rows())
    a = [1 / (1 + math.exp(-z)) for z in (1.5, 4)]
    assert entropy.floats == pytest.approx(a, rel=1e-14)
    assert squares.floats == pytest.approx([v * v * (1 - v) for v in a], rel=1e-13)
    assert squares.floats[0] > squares.floats[1]
    powers = [math.exp(z) for z in deltas.LOGITS]
    shares = [p / sum(powers) for p in powers]
    assert likelihood.floats == pytest.approx([shares[0] - 1, *shares[1:]], rel=1e-14)
    for row in (squares, entropy, likelihood):
        assert row.fixed == pytest.approx(row.floats, abs=2.0**-14)


@pytest.mark.parametrize("batch", [4, 2, 1])
def test_batches_share_an_epoch(batch: int) -> None:
    """An epoch of four points takes 4 / batch steps, and every size learns y = 2x + 1."""
    steps = list(descent.learn_line(batch, epochs=100))
    assert len(steps) == 100 * 4 // batch
    weight, bias = parameters(steps[-1].network).values()
    assert (weight.item(), bias.item()) == pytest.approx((2, 1), abs=1e-9)


def test_step_of_a_batch_is_the_mean_of_its_examples() -> None:
    """From zeros one step with all points is rate * mean(x y) and rate * mean(y), exactly."""
    x, y = ([Fraction(v) for v in a.reshape(-1).tolist()] for a in (descent.LINE_X, descent.LINE_Y))
    moved = (
        sum((a * b for a, b in zip(x, y, strict=True)), Fraction(0)) / 4 / 4,
        sum(y, Fraction(0)) / 4 / 4,
    )
    weight, bias = parameters(next(descent.learn_line(4)).network).values()
    assert (weight.item(), bias.item()) == moved == (Fraction(5, 8), Fraction(1, 4))


@pytest.mark.parametrize("word", [10, 14, 48])
@pytest.mark.parametrize("overflow", [Overflow.SATURATE, Overflow.WRAP])
@settings(max_examples=20)
@given(data=st.data())
def test_a_bias_is_the_weight_of_a_constant_one(
    word: int, overflow: Overflow, data: st.DataObject
) -> None:
    """The same raw words and counts come out, also where accumulators overflow on the way."""
    raw = st.integers(-128, 127)
    out, inputs = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    weight = [[data.draw(raw) / 16 for _ in range(inputs)] for _ in range(out)]
    bias = [data.draw(raw) / 16 for _ in range(out)]
    network = chain("net", (inputs,), {"y": Dense(np.array(weight), np.array(bias))})
    x = np.array([[data.draw(raw) / 16 for _ in range(inputs)] for _ in range(3)])
    fmt = QFormat(8, 4)
    plan = Plan(Settings(accumulator=Accumulator(word, overflow), weight=fmt, output=fmt))
    augmented = descent.without_biases(network)
    ones = np.column_stack([np.ones(3), x])
    runs = [infer(quantize(net, plan=plan), at) for net, at in ((network, x), (augmented, ones))]
    assert runs[0].raw.tolist() == runs[1].raw.tolist()
    assert runs[0].layers["y"] == runs[1].layers["y"]


def test_augmented_network_passes_its_one_on() -> None:
    """Hidden layers hand the constant on, so that deeper biases are weights too."""
    network, plan = xor.learned(), formats("Q3.12")
    augmented = descent.without_biases(network)
    assert not any(value.any() for key, value in parameters(augmented).items() if "bias" in key)
    ones = np.column_stack([np.ones(4), xor.X])
    sides = both(augmented, ones, plan)
    assert sides.raw["relu"][:, 0].tolist() == [2**12] * 4
    assert sides.raw["output"].tolist() == both(network, xor.X, plan).raw["output"].tolist()


@pytest.mark.parametrize("rate", [0.125, 0.5])
def test_steepest_descent(rate: float) -> None:
    """Each step multiplies u by 1 - rate and v by 1 - 6 rate; the long one leaves 16 bits."""
    sides = descent.quadratic(rate)
    u = v = Fraction(1)
    for step in range(1, descent.STEPS + 1):
        u, v = u * (1 - Fraction(rate)), v * (1 - 6 * Fraction(rate))
        assert sides.floats[f"step{step}"].tolist() == [[u, v]]
    assert (abs(v) > 1) == (rate == 0.5)
    assert sides.saturations == (rate == 0.5)
    if rate == 0.5:
        assert sides.raw["step8"].tolist() == [[1, 2**15 - 1]]
