"""Activations, convolution, pooling and softmax of the textbook, against sums done by hand."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from fxpnn.network.graph import Network
from fxpnn.network.layers import Array
from fxpnn.textbook import activations, hand, stress
from fxpnn.textbook.lesson import both, formats

FUNCTIONS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "step": lambda x: float(x >= 0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "leaky-relu": lambda x: x if x >= 0 else 0.01 * x,
    "prelu": lambda x: x if x >= 0 else 0.25 * x,
    "silu": lambda x: x / (1 + math.exp(-x)),
}
"""The activations as the lectures write them."""


def test_every_activation_has_a_formula() -> None:
    """The lesson shows those of the lectures, all of them."""
    assert FUNCTIONS.keys() == activations.ACTIVATIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_on_words(name: str) -> None:
    """Floats are the formula; 16 bits are within what the lesson says, and of one LSB."""
    sides = activations.run(name, activations.words())
    exact = [FUNCTIONS[name](x) for x in activations.words()[:, 0].tolist()]
    # NumPy's exponentials and those of the C library differ in the last bit.
    np.testing.assert_allclose(sides.y[:, 0], exact, rtol=1e-12, atol=1e-15)
    worst = np.abs(sides.y_fixed[:, 0] - exact).max() / sides.integers.formats["a"].lsb
    assert worst <= activations.ACTIVATIONS[name].worst <= 1
    assert sides.disagreements == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slope_of_activation(name: str) -> None:
    """Away from bends the slope is the central difference."""
    x = np.array([-3.0, -1.25, -0.5, 0.25, 1.0, 2.5])[:, None]
    found = activations.slopes(activations.ACTIVATIONS[name].layer, x)[:, 0]
    f, h = FUNCTIONS[name], 1e-5
    expected = [(f(v + h) - f(v - h)) / (2 * h) for v in x[:, 0].tolist()]
    # A difference of rounded values tells a slope to some ten digits at best.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_words_hold_the_published_places() -> None:
    """They are every 16th of the 65,536 words of Q3.12, among them -1, 0 and 1."""
    words = activations.words()[:, 0] * 2**12
    assert words.tolist() == list(range(-(2**15), 2**15, 16))
    assert {-1, 0, 1} <= set(activations.words()[:, 0].tolist())
    assert len(activations.words(1)) == 65536


def slide(maps: list[list[list[int]]], kernels: list[list[list[int]]]) -> list[list[int]]:
    """Sum maps times kernels under every position of a window, in plain integers."""
    height, width = len(kernels[0]), len(kernels[0][0])
    rows, columns = len(maps[0]) - height + 1, len(maps[0][0]) - width + 1
    return [
        [
            sum(
                one[top + i][left + j] * kernel[i][j]
                for one, kernel in zip(maps, kernels, strict=True)
                for i, j in product(range(height), range(width))
            )
            for left in range(columns)
        ]
        for top in range(rows)
    ]


def outputs(network: Network, maps: Array) -> list[list[int]]:
    """Run maps on both sides, which must be equal, and give the one output map."""
    sides = both(network, maps[None], formats("Q7.8"))
    assert sides.y.tolist() == sides.y_fixed.tolist()
    assert (sides.saturations, sides.disagreements) == (0, 0)
    found: list[list[int]] = sides.y[0, 0].astype(int).tolist()
    return found


def test_convolutions_by_hand() -> None:
    """Correlation, true convolution, zero padding and two maps are what the sums say."""
    image, both_maps = hand.MAP.tolist(), hand.MAPS.tolist()
    kernel = hand.KERNEL.tolist()
    assert outputs(hand.correlation(), hand.MAP) == slide(image, [kernel]) == [[19, 25], [37, 43]]
    flipped = [row[::-1] for row in kernel[::-1]]
    assert outputs(hand.true_convolution(), hand.MAP) == slide(image, [flipped])
    padded = [[[0] * 5, *([0, *row, 0] for row in image[0]), [0] * 5]]
    assert outputs(hand.same_size(), hand.MAP) == slide(padded, [[[1] * 3] * 3])
    assert outputs(hand.two_maps(), hand.MAPS) == slide(both_maps, hand.KERNELS.tolist())
    alone = [slide([m], [k]) for m, k in zip(both_maps, hand.KERNELS.tolist(), strict=True)]
    assert np.sum(alone, axis=0).tolist() == [[56, 72], [104, 120]]


def windows() -> list[list[int]]:
    """Give what each 2 x 2 window of the map sees."""
    image = hand.MAP[0].tolist()
    return [
        [image[top + i][left + j] for i, j in product(range(2), repeat=2)]
        for top, left in product(range(2), repeat=2)
    ]


def test_pools_by_hand() -> None:
    """The largest, the mean and the root of the sum of squares of each window."""
    assert np.ravel(outputs(hand.max_pool(), hand.MAP)).tolist() == [max(w) for w in windows()]
    means = [Fraction(sum(w), 4) for w in windows()]
    assert np.ravel(outputs(hand.average_pool(), hand.MAP)).tolist() == means
    sides = both(hand.l2_pool(), hand.MAP[None], formats("Q7.8"))
    for raw, seen in zip(sides.raw["pool"].reshape(-1).tolist(), windows(), strict=True):
        squares = sum(v * v for v in seen) * 256**2  # raw is the nearest integer to its root
        assert abs(raw * raw - squares) <= raw


def true_softmax(logits: list[float]) -> list[float]:
    """Compute shares of e**x from the largest down, so that nothing overflows."""
    powers = [math.exp(v - max(logits)) for v in logits]
    return [p / sum(powers) for p in powers]


def test_softmax_with_the_maximum_is_right() -> None:
    """For every size it is within 2**-15 of the truth, and nothing overflows."""
    sides = stress.run(None)
    for size, p in zip(stress.SIZES.tolist(), sides.y_fixed.tolist(), strict=True):
        truth = true_softmax([size * v for v in stress.DIRECTION.tolist()])
        assert max(abs(a - b) for a, b in zip(p, truth, strict=True)) <= 2.0**-15
    assert sides.saturations == 0


@pytest.mark.parametrize("shift", [0.0, 8.0])
def test_where_a_shifted_softmax_overflows(shift: float) -> None:
    """An exponential saturates just where e**(x - C) leaves Q7.8, and then the error is large."""
    place = stress.first_overflow(shift)
    assert math.exp(place - 2**-10 - shift) * 256 < 32768 * 1.001
    assert math.exp(place - shift) * 256 > 32767 * 0.999
    before, after = (stress.run(shift, np.array([s])) for s in (place - 2**-10, place))
    assert (before.saturations, after.saturations) == (0, 1)
    far = stress.run(shift, np.array([31.0]))
    assert stress.errors(far).item() > 0.5


def test_small_logits_under_a_constant_shift() -> None:
    """Where every exponential rounds to 0 there is no probability at all, and no divide by 0."""
    sides = stress.run(8.0, np.array([0.25]))
    assert sides.raw["p"].tolist() == [[0, 0, 0, 0]]


def test_sizes_fit_the_format() -> None:
    """No logit saturates: what overflows in the lesson is the softmax alone."""
    assert stress.SIZES.max() < 32
    assert (np.diff(stress.SIZES) > 0).all()
    assert (np.mod(np.outer(stress.SIZES, stress.DIRECTION) * 2**10, 1) == 0).all()
