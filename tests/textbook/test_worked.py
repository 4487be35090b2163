"""The worked passes equal what 50 decimal digits give, in every z, a, delta and new weight."""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
import pytest

from fxpnn.network.layers import Array
from fxpnn.textbook import worked
from fxpnn.textbook.trace import Trace, step
from fxpnn.training import parameters

Vector = list[Decimal]
Matrix = list[Vector]


class Exact(NamedTuple):
    """One step of a sigmoid network in decimals; lists start at the first layer."""

    z: list[Vector]
    a: list[Vector]
    deltas: list[Vector]
    weights: list[Matrix]
    cost: Decimal


def decimals(rows: Array) -> Matrix:
    """Turn floats into the decimals that they are."""
    return [[Decimal(value) for value in row] for row in rows.tolist()]


def exact_step(weights: list[Matrix], x: Vector, y: Vector, rate: Decimal) -> Exact:
    """Work a step through as on paper: C = sum((y - a)**2) / 2, w -= rate * delta * a."""
    with localcontext() as context:
        context.prec = 50
        z: list[Vector] = []
        a = [x]
        for matrix in weights:
            z.append(
                [
                    sum((w * v for w, v in zip(row, a[-1], strict=True)), Decimal(0))
                    for row in matrix
                ]
            )
            a.append([1 / (1 + (-value).exp()) for value in z[-1]])
        cost = sum(((t - v) ** 2 for t, v in zip(y, a[-1], strict=True)), Decimal(0)) / 2
        slopes = [v - t for t, v in zip(y, a[-1], strict=True)]
        deltas: list[Vector] = []
        for matrix, outputs in zip(reversed(weights), reversed(a), strict=False):
            delta = [s * v * (1 - v) for s, v in zip(slopes, outputs, strict=True)]
            deltas.insert(0, delta)
            columns = zip(*matrix, strict=True)
            slopes = [
                sum((w * d for w, d in zip(col, delta, strict=True)), Decimal(0)) for col in columns
            ]
        moved = [
            [
                [w - rate * d * v for w, v in zip(row, inputs, strict=True)]
                for row, d in zip(matrix, delta, strict=True)
            ]
            for matrix, inputs, delta in zip(weights, a, deltas, strict=False)
        ]
        return Exact(z, a[1:], deltas, moved, cost)


def exact(name: str) -> tuple[Trace, Exact]:
    """Take the step of an example in floats and in decimals."""
    example = worked.EXAMPLES[name]
    found = [values for key, values in parameters(example.network).items() if "weight" in key]
    x, y = decimals(np.array([example.x, np.resize(example.y, 2)]))
    y = y[: len(example.y)]
    return step(example), exact_step([decimals(w) for w in found], x, y, Decimal("0.01"))


def assert_close(found: Array, expected: Sequence[Decimal]) -> None:
    """Compare float64 results with exact decimals, of which they keep some 15 digits."""
    np.testing.assert_allclose(found.reshape(-1), [float(v) for v in expected], rtol=1e-12)


@pytest.mark.parametrize("name", worked.EXAMPLES)
def test_every_number_of_a_step(name: str) -> None:
    """Every z, a, delta and new weight, and the cost, is the exact one."""
    done, expected = exact(name)
    for i, (z, a, delta, weight) in enumerate(
        zip(expected.z, expected.a, expected.deltas, expected.weights, strict=True), 1
    ):
        assert_close(done.sides.floats[f"z{i}"], z)
        assert_close(done.sides.floats[f"a{i}"], a)
        assert_close(done.gradients.deltas[f"z{i}"], delta)
        after = parameters(done.after)
        assert_close(after[f"z{i}.weight"], [w for row in weight for w in row])
        assert not after[f"z{i}.bias"].any()
    assert_close(np.array(done.cost), [expected.cost])


@pytest.mark.parametrize("name", worked.EXAMPLES)
def test_sixteen_bits_of_a_step(name: str) -> None:
    """The first sums are exact integers; each sigmoid is within 2 LSB of the exact one."""
    done, expected = exact(name)
    sides = done.sides
    assert sides.fixed["z1"].tolist() == sides.floats["z1"].tolist()
    for i, a in enumerate(expected.a, 1):
        difference = sides.fixed[f"a{i}"][0] - [float(v) for v in a]
        assert np.abs(difference).max() <= 2 * 2.0**-15
    assert (sides.saturations, sides.disagreements) == (0, 0)


@pytest.mark.parametrize("name", worked.EXAMPLES)
def test_a_step_lowers_the_cost(name: str) -> None:
    """The network after the step costs less, by about rate times the gradient's square."""
    done = step(worked.EXAMPLES[name])
    square = sum(
        float(np.square(done.gradients.parameters[key]).sum()) for key in done.example.learns
    )
    assert done.cost - done.cost_after == pytest.approx(0.01 * square, rel=0.02)


def test_networks_are_those_of_the_lectures() -> None:
    """The weights are the lectures', in their shapes, and there are no biases."""
    weights = [w.tolist() for w in parameters(worked.two_three_one()).values() if w.any()]
    assert weights == [[[1, 2], [3, 4], [5, 6]], [[7, 8, 9]]]
    weights = [w.tolist() for w in parameters(worked.two_four_one_two()).values() if w.any()]
    assert weights == [[[1, 2], [3, 4], [5, 6], [7, 8]], [[9, 10, 11, 12]], [[13], [14]]]


def test_softmax_table() -> None:
    """The shares of (2, 1, -1) are e**2, e and 1/e over their sum, in 16 bits to one LSB."""
    powers = [Decimal(v).exp() for v in worked.LOGITS]
    shares = [float(p / sum(powers)) for p in powers]
    row = next(row for row in worked.rows() if row.name.startswith("softmax"))
    assert row.floats == pytest.approx(shares, rel=1e-14)
    assert row.fixed == pytest.approx(shares, abs=2.0**-15)


def test_graph() -> None:
    """At (-2, 5, -4) the graph gives -12; each slope is the change for a step of 1, exactly."""

    def f(x: int, y: int, z: int) -> int:
        return (x + y) * z

    x, y, z = map(int, worked.GRAPH_AT)
    changes = [f(*at) - f(x, y, z) for at in ((x + 1, y, z), (x, y + 1, z), (x, y, z + 1))]
    assert [f(x, y, z), *changes] == [-12, -4, -4, 3]
    row = next(row for row in worked.rows() if row.name.startswith("f ="))
    assert row.floats == row.fixed == (-12, -4, -4, 3)
