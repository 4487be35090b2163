"""Universal approximation: K shifted ReLUs join the points of any function by lines."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from fxpnn.errors import DataError
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Dense, Relu
from fxpnn.quantization.calibration import fitting
from fxpnn.reference import forward
from fxpnn.textbook.formula import Curve, expression
from fxpnn.textbook.lesson import Row, Sides, both, check

NEURONS = tuple(sorted({2**n for n in range(10)} | {3 * 2**n for n in range(8)}))
"""1, 2, 3, 4, 6, 8, 12, ... 512."""
SHOWN = (4, 16, 64, 256)
SAMPLES = 2048
"""Inputs on which an error is measured: 16-bit words, evenly spread over the interval."""

SINE = Curve("sin(x)", np.sin, 0.0, 2 * math.pi)
RUNGE = expression("1 / (1 + 25 * x**2)", -1.0, 1.0)
PUBLISHED: Mapping[Curve, int] = MappingProxyType({SINE: 128, RUNGE: 384})
"""How many neurons help in 16 bits."""


@dataclass(frozen=True)
class Error:
    """The largest absolute error with ``neurons`` ReLUs, in floats and in 16 bits."""

    neurons: int
    floats: float
    fixed: float


def network(curve: Curve, neurons: int, name: str = "approximation") -> Network:
    """Build the sum of ReLUs that equals the curve at ``neurons + 1`` points, lines between.

    ``f(a) + sum(c[k] * relu(x - a - k h))`` with h = (b - a) / K; ``c[0]`` is the first line's
    slope, and every further c what the slope changes by.
    """
    knots = np.linspace(curve.low, curve.high, neurons + 1)
    values = curve(knots)
    slopes = np.diff(values) / np.diff(knots)
    hidden = Dense(np.ones((neurons, 1)), -knots[:-1])
    output = Dense(np.diff(slopes, prepend=0)[None], values[:1])
    layers = {"hidden": hidden, "relu": Relu(), "output": output}
    return chain(f"{name}-{neurons}", (1,), layers)


def sine() -> Network:
    """Build the sum of 16 ReLUs for a period of the sine."""
    return network(SINE, 16, "sine")


def inputs(curve: Curve) -> Array:
    """Spread ``SAMPLES`` words of the interval's own 16-bit format evenly over it.

    Raises:
        DataError: the interval holds fewer than two.
    """
    fmt = fitting(curve.low, curve.high, 16)
    first, last = math.ceil(curve.low / fmt.lsb), math.floor(curve.high / fmt.lsb)
    if first >= last:
        raise DataError(
            f"an interval must hold two or more words of its format {fmt}, not go from "
            f"{curve.low!r} to {curve.high!r}"
        )
    return np.ldexp(np.rint(np.linspace(first, last, SAMPLES)), -fmt.frac)


def run(curve: Curve, neurons: int) -> tuple[Sides, Error]:
    """Run so many ReLUs on inputs that are words, and measure how far off both sides are."""
    x = inputs(curve)
    sides = both(network(curve, neurons), x[:, None], golden_inputs=2)
    expected = curve(x)[:, None]
    floats, fixed = (float(np.abs(y - expected).max()) for y in (sides.y, sides.y_fixed))
    return sides, Error(neurons, floats, fixed)


def errors(curve: Curve) -> tuple[Error, ...]:
    """Measure for more and more neurons."""
    return tuple(run(curve, neurons)[1] for neurons in NEURONS)


def most_that_help(found: Sequence[Error]) -> int:
    """Find the K after which rounding is the larger part of the error in 16 bits.

    The more ReLUs, the smaller their weights become, and the more of their roundings add up.
    """
    for last, it in pairwise(found):
        if it.fixed > 2 * it.floats:
            return last.neurons
    return found[-1].neurons


def rows(curves: Iterable[Curve] = (SINE, RUNGE)) -> Iterator[Row]:
    """Show the error of some K, and the K from which more neurons stop helping."""
    for curve in curves:
        for neurons in SHOWN:
            yield _error_row(curve, neurons)
        yield _limit_row(curve)


def _error_row(curve: Curve, neurons: int) -> Row:
    sides, error = run(curve, neurons)
    knots = np.linspace(curve.low, curve.high, neurons + 1)
    joined = forward(sides.network, knots[:, None], np.float64)["output"]
    expected = [check("it meets the curve in K + 1 points", curve(knots), joined, digits=9)]
    if curve is SINE:  # max |f''| h**2 / 8
        bound = (2 * math.pi / neurons) ** 2 / 8
        expected.append(check("error is below h**2 / 8", 1, error.floats <= bound))
    return sides.row(f"{curve.name}, K = {neurons}: error", expected, error.floats, error.fixed)


def _limit_row(curve: Curve) -> Row:
    limit = most_that_help(errors(curve))
    published = PUBLISHED.get(curve)
    expected = [] if published is None else [check("most neurons that help", published, limit)]
    return run(curve, limit)[0].row(f"{curve.name}, most K that help", expected, NEURONS[-1], limit)
