"""Activation functions and their slopes, in floats and for every 16-bit word."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import (
    Array,
    Dense,
    Layer,
    LeakyRelu,
    PRelu,
    Relu,
    Sigmoid,
    Silu,
    Step,
    Tanh,
)
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import compute
from fxpnn.textbook.lesson import Numbers, Row, Sides, both, check
from fxpnn.training.gradients import input_deltas

AT = (-1.0, 0.0, 1.0)
"""Where values and slopes are published."""


@dataclass(frozen=True, eq=False)
class Activation:
    """An activation, its published values and slopes at ``AT`` (4 decimals), and its output.

    ``worst`` is the largest difference in LSB that its integers may have for any word.
    """

    layer: Layer
    values: Numbers
    slopes: Numbers
    output: str = "Q3.12"
    worst: float = 0.5


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "linear": Activation(Dense(np.ones((1, 1)), np.zeros(1)), (-1, 0, 1), (1, 1, 1), worst=0),
        "step": Activation(Step(), (0, 1, 1), (0, 0, 0), "Q1.14", worst=0),
        "sigmoid": Activation(
            Sigmoid(), (0.2689, 0.5, 0.7311), (0.1966, 0.25, 0.1966), "Q0.15", worst=1
        ),
        "tanh": Activation(Tanh(), (-0.7616, 0, 0.7616), (0.42, 1, 0.42), "Q0.15", worst=1),
        "relu": Activation(Relu(), (0, 0, 1), (0, 0, 1), worst=0),
        "leaky-relu": Activation(LeakyRelu(0.01), (-0.01, 0, 1), (0.01, 1, 1)),
        "prelu": Activation(PRelu(np.array([0.25])), (-0.25, 0, 1), (0.25, 1, 1)),
        "silu": Activation(Silu(), (-0.2689, 0, 0.7311), (0.0723, 0.5, 0.9277), worst=1),
    }
)
"""By name; the slope of a bend is that to its right, but 0 for ReLU."""


def activation(name: str) -> Network:
    """Build nothing but the activation."""
    return chain(name, (1,), {"a": ACTIVATIONS[name].layer})


def slopes(layer: Layer, x: Array) -> Array:
    """Return the derivative at each of ``x``, ``(N, 1)``."""
    return input_deltas(layer, np.ones_like(x), compute(layer, x), x)[0]


def words(stride: int = 16) -> Array:
    """Give every 16th word of Q3.12, from -8 to 8, ``(N, 1)``; -1, 0 and 1 are among them."""
    return np.arange(-(2**15), 2**15, stride)[:, None] / 2**12


def run(name: str, x: Array) -> Sides:
    """Run an activation on words of Q3.12; a slope has a 16-bit format of its own."""
    output = Settings(output=QFormat.parse(ACTIVATIONS[name].output))
    plan = Plan(Settings(output=QFormat.parse("Q3.12")), {"a": output})
    return both(activation(name), x, plan)


def rows() -> Iterator[Row]:
    """Show each activation at -1, 0 and 1; differences are the largest of all words."""
    for name, it in ACTIVATIONS.items():
        sides = run(name, words())
        places = [np.flatnonzero(words() == x).item() for x in AT]
        expected = (
            check("values", it.values, sides.y[places], digits=4),
            check("slopes", it.slopes, slopes(it.layer, np.array(AT)[:, None]), digits=4),
            check(f"at most {it.worst:g} LSB off", 1, sides.lsb <= it.worst),
        )
        yield sides.row(f"{name} of -1, 0, 1", expected, sides.y[places], sides.y_fixed[places])
