"""Descent follows its recurrence and repeats itself to the bit; losses are their formulas."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain as chain_of

import numpy as np
import pytest

from fxpnn.errors import DataError, FxpnnError, ModelError
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import Array, Dense, Relu, Softmax, Step
from fxpnn.reference import forward
from fxpnn.training import CROSS_ENTROPY, LOSSES, Loss, Recipe, Schedule, descend, parameters, train
from fxpnn.training.losses import SQUARES, one_hot
from fxpnn.training.sgd import targets


def test_cost_is_the_mean_over_the_batch() -> None:
    """Each example costs what its formula says; an output that underflowed costs no infinity."""
    a, y = np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert LOSSES["cross-entropy"].value(a, y) == pytest.approx([math.log(2), math.log(4 / 3)])
    assert LOSSES["binary-cross-entropy"].value(a, y) == pytest.approx(
        [2 * math.log(2), 2 * math.log(4 / 3)]
    )
    assert SQUARES.value(a, y).tolist() == [0.25, 0.0625]
    assert np.isfinite(CROSS_ENTROPY.value(np.array([[0.0, 1.0]], np.float32), y[:1])).all()


def line(weight: float = 0.0, bias: float = 0.0) -> Network:
    """Build y = weight * x + bias."""
    return chain("line", (1,), {"line": Dense(np.array([[weight]]), np.array([bias]))})


def expected_descent(
    recipe: Recipe, x: Fraction, y: Fraction
) -> Iterator[tuple[Fraction, Fraction]]:
    """Follow one example's descent from a line of zeros in rational numbers."""
    w = b = v_w = v_b = Fraction(0)
    for number in range(recipe.epochs):
        rate = Fraction(recipe.rate) * Fraction(recipe.schedule.factor(number / recipe.epochs))
        error = w * x + b - y
        v_w = Fraction(recipe.momentum) * v_w + error * x + Fraction(recipe.decay) * w
        v_b = Fraction(recipe.momentum) * v_b + error
        w, b = w - rate * v_w, b - rate * v_b
        yield w, b


@pytest.mark.parametrize("schedule", Schedule)
@pytest.mark.parametrize("momentum", [0.0, 0.75])
@pytest.mark.parametrize("decay", [0.0, 0.125])
def test_descent_follows_its_recurrence(schedule: Schedule, momentum: float, decay: float) -> None:
    """Momentum, decay (of weights only) and schedule are the formulas of ``Recipe``."""
    recipe = Recipe(epochs=6, batch=4, rate=0.25, momentum=momentum, decay=decay, schedule=schedule)
    x, y = np.array([[1.5]]), np.array([[-2.0]])
    steps = descend(line(), x, y, recipe, loss=SQUARES, dtype=np.float64)
    expected = expected_descent(recipe, Fraction(3, 2), Fraction(-2))
    for step, (weight, bias) in zip(steps, expected, strict=True):
        layer = step.network["line"].layer
        assert isinstance(layer, Dense)
        assert layer.weight.item() == pytest.approx(float(weight), rel=1e-12)
        assert layer.bias.item() == pytest.approx(float(bias), rel=1e-12)


def test_schedules_end_at_nothing() -> None:
    """Linear and cosine go from 1 to 0 through a half; constant stays."""
    factors = {s: [round(s.factor(t), 12) for t in (0, 0.5, 1)] for s in Schedule}
    assert factors[Schedule.CONSTANT] == [1, 1, 1]
    assert factors[Schedule.LINEAR] == factors[Schedule.COSINE] == [1, 0.5, 0]


def test_an_epoch_visits_every_example_once() -> None:
    """Batches partition the examples, the last one smaller, in another order each epoch."""
    seen: list[list[float]] = []

    def watch(a: Array, y: Array) -> Array:
        seen.append(y.ravel().tolist())
        return SQUARES.value(a, y)

    loss = Loss("watch", watch, SQUARES.slope)
    x = np.zeros((7, 1))
    y = np.arange(7.0)[:, None]
    steps = list(descend(line(), x, y, Recipe(epochs=2, batch=3), loss=loss))
    assert [len(batch) for batch in seen] == [3, 3, 1, 3, 3, 1]
    first, second = [*chain_of(*seen[:3])], [*chain_of(*seen[3:])]
    assert sorted(first) == sorted(second) == y.ravel().tolist()
    assert first != second
    assert [(s.number, s.total, s.epoch) for s in steps] == [
        (1, 6, 1), (2, 6, 1), (3, 6, 1), (4, 6, 2), (5, 6, 2), (6, 6, 2),
    ]  # fmt: skip


def blobs(count: int = 200) -> tuple[Array, Array]:
    """Draw two clouds of points, and which one each belongs to."""
    generator = np.random.default_rng(5)
    y = generator.integers(0, 2, count)
    return generator.normal(size=(count, 2)) + 6 * y[:, None] - 3, y


def classifier(seed: int = 6) -> Network:
    """Build a small classifier of points."""
    generator = np.random.default_rng(seed)
    hidden = Dense(generator.normal(size=(4, 2)).astype(np.float32), np.zeros(4, np.float32))
    output = Dense(generator.normal(size=(2, 4)).astype(np.float32), np.zeros(2, np.float32))
    return chain(
        "points", (2,), {"hidden": hidden, "relu": Relu(), "output": output, "softmax": Softmax()}
    )


def bits(network: Network) -> bytes:
    """Give all parameters as bytes."""
    return b"".join(value.tobytes() for value in parameters(network).values())


def test_training_separates_two_clouds() -> None:
    """Descent makes the cost small, and leaves the network it started from as it was."""
    x, y = blobs()
    start, before = classifier(), bits(classifier())
    costs: list[float] = []
    trained = train(
        start, x, y, Recipe(epochs=5, momentum=0.9), progress=lambda step: costs.append(step.cost)
    )
    predicted = forward(trained, x)["softmax"].argmax(axis=1)
    assert (predicted == y).mean() > 0.99
    assert costs[-1] < 0.1 < costs[0]
    assert bits(start) == before


def test_the_seed_decides_every_bit() -> None:
    """The same seed gives the same parameters to the bit, another seed others."""
    x, y = blobs()
    recipe = Recipe(epochs=2, batch=7, momentum=0.5, decay=0.01)
    runs = [bits(train(classifier(), x, y, recipe, seed=seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_masked_parameters_keep_their_bits() -> None:
    """Where a mask is 0 nothing changes, not by momentum or decay either; elsewhere all does."""
    x, y = blobs()
    mask = np.array([[1], [0], [1], [0]])
    masks = {"hidden.weight": mask, "output.bias": np.zeros(1)}
    recipe = Recipe(epochs=1, momentum=0.9, decay=0.1)
    trained = parameters(train(classifier(), x, y, recipe, masks=masks))
    changed = {name: trained[name] != value for name, value in parameters(classifier()).items()}
    assert changed["hidden.weight"].tolist() == np.broadcast_to(mask == 1, (4, 2)).tolist()
    assert not changed["output.bias"].any()
    assert changed["output.weight"].all()


def test_a_loss_of_ones_own() -> None:
    """The perceptron's rule is a loss that fuses with a step: one update of (1, -1, -1)."""
    rule = Loss("perceptron", lambda a, y: np.abs(a - y)[:, 0], lambda a, y: a - y, fuses=Step)
    neuron = Dense(np.array([[1.0, -1.0, -1.0]]), np.zeros(1))
    network = chain("perceptron", (3,), {"z": neuron, "a": Step()})
    x, y = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0]])
    masks = {"z.bias": np.zeros(1)}
    recipe = Recipe(epochs=1, rate=0.01)
    trained = train(network, x, y, recipe, loss=rule, masks=masks, dtype=np.float64)
    assert parameters(trained)["z.weight"].tolist() == [[0.99, -1.0, -1.0]]


def test_a_parameter_behind_the_loss_stays() -> None:
    """A layer that the output does not read is neither needed nor changed."""
    unread = Node("unread", Dense(np.ones((1, 1)), np.ones(1)), (INPUT,))
    network = replace(line(), nodes=(unread, *line().nodes))
    trained = train(network, np.ones((1, 1)), np.ones((1, 1)), Recipe(epochs=1), loss=SQUARES)
    assert parameters(trained)["unread.weight"].tolist() == [[1.0]]
    assert parameters(trained)["line.weight"].tolist() != [[0.0]]


def test_training_that_diverges_is_one_error() -> None:
    """Weights that run away end with the epoch, the layer and the remedy, without a warning."""
    recipe = Recipe(epochs=100, rate=1e9)
    message = (
        r"^training diverged in epoch \d+, lower the rate: "
        r"layer line \(Dense\): weight\[0, 0\] must be finite, not (nan|-?inf)$"
    )
    with pytest.raises(ModelError, match=message):
        train(line(1.0), np.full((4, 1), 9.0), np.ones((4, 1)), recipe, loss=SQUARES)


def two_outputs() -> Network:
    """Build a network that cannot be trained as it is."""
    return replace(
        line(), nodes=(*line().nodes, Node("b", Relu(), ("line",))), outputs=("line", "b")
    )


REFUSED: list[tuple[Callable[[], object], type[FxpnnError], str]] = [
    (lambda: Recipe(epochs=0), DataError, "epochs must be 1 or more, not 0"),
    (lambda: Recipe(batch=-1), DataError, "batch must be 1 or more, not -1"),
    (lambda: Recipe(rate=0.0), DataError, "rate must be more than 0 and finite, not 0.0"),
    (lambda: Recipe(rate=math.nan), DataError, "rate must be more than 0 and finite, not nan"),
    (lambda: Recipe(momentum=1.0), DataError, "momentum must be 0 to less than 1, not 1.0"),
    (lambda: Recipe(decay=-0.1), DataError, "decay must be 0 to less than 1, not -0.1"),
    (lambda: one_hot(np.array([0, 3]), 3), DataError, "labels must be 0 to 2, not reach 0..3"),
    (lambda: one_hot(np.array([-1]), 3), DataError, "labels must be 0 to 2, not reach -1..-1"),
    (
        lambda: targets(classifier(), np.zeros(3, np.uint8), 4),
        DataError,
        "labels must be as many as the 4 images, not 3",
    ),
    (
        lambda: targets(classifier(), np.zeros((4, 3)), 4),
        DataError,
        "targets must have the output's shape (2,), not (3,)",
    ),
    (
        lambda: train(two_outputs(), np.ones((1, 1)), np.ones((1, 1)), Recipe()),
        ModelError,
        "training must have one output, not line, b",
    ),
    (
        lambda: train(line(), np.ones((1, 2)), np.ones((1, 1)), Recipe()),
        DataError,
        "images must be (N, 1) with N of 1 or more, not (1, 2)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED, ids=[m for _, _, m in REFUSED])
def test_what_cannot_be_trained_is_refused(
    call: Callable[[], object], kind: type[FxpnnError], message: str
) -> None:
    """Each error says what must be and what is."""
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()
