"""Sums of ReLUs meet any function in K + 1 points; in 16 bits more of them stop helping."""

import contextlib
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import DataError
from fxpnn.quantization.calibration import fitting
from fxpnn.reference import forward
from fxpnn.textbook import approximation
from fxpnn.textbook.approximation import RUNGE, SINE, Error, most_that_help, network
from fxpnn.textbook.formula import FUNCTIONS, Curve, expression, table


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=30),
    st.floats(-5, 5),
    st.floats(0.5, 9),
    st.integers(0, 1000),
)
def test_network_joins_the_points(
    heights: list[float], low: float, length: float, place: int
) -> None:
    """At every x of the interval the sum is the straight line between its neighbours."""
    knots = np.linspace(low, low + length, len(heights))
    curve = Curve("heights", lambda x: np.interp(x, knots, heights), low, low + length)
    x = np.array([low, low + length * place / 1000, low + length])
    y = forward(network(curve, len(heights) - 1), x[:, None], np.float64)["output"][:, 0]
    # A sum of bends and a line between two points round differently.
    np.testing.assert_allclose(y, np.interp(x, knots, heights), atol=1e-9)


def test_error_of_the_sine() -> None:
    """It is at most h**2 / 8, and near that where K is large: halving h quarters it."""
    found = {k: approximation.run(SINE, k)[1].floats for k in (16, 32, 64)}
    for k, error in found.items():
        bound = (2 * math.pi / k) ** 2 / 8
        assert 0.95 * bound < error <= bound


def test_inputs_are_words() -> None:
    """No input is rounded: each is a word of the interval's format, inside it."""
    for curve in (SINE, RUNGE):
        x, frac = approximation.inputs(curve), fitting(curve.low, curve.high, 16).frac
        assert (np.mod(x * 2.0**frac, 1) == 0).all()
        assert curve.low <= x.min() < x.max() <= curve.high
        sides, _ = approximation.run(curve, 4)
        assert sides.fixed["input"][:, 0].tolist() == x.tolist()


def test_more_neurons_stop_helping() -> None:
    """In floats the error goes on falling; in 16 bits rounding takes over where it was found."""
    found = approximation.errors(SINE)
    assert [it.neurons for it in found] == list(approximation.NEURONS)
    limit = most_that_help(found)
    assert limit == 128
    before = [it for it in found if it.neurons <= limit]
    after = [it for it in found if it.neurons > limit]
    assert all(it.fixed <= 2 * it.floats for it in before)
    assert after[0].fixed > max(2 * after[0].floats, before[-1].fixed)
    assert found[-1].floats < before[-1].floats / 10


def test_most_that_help() -> None:
    """It is the last number before rounding is the larger part, or the last of all."""
    falling = [Error(1, 0.4, 0.4), Error(2, 0.1, 0.2), Error(4, 0.02, 0.041), Error(8, 0.01, 0.3)]
    assert most_that_help(falling) == 2
    assert most_that_help(falling[:2]) == 2


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("x", 3, 3),
        ("-x", 3, -3),
        ("2 * x**2 - 1 / 4", 3, 17.75),
        ("sin(pi * x)", 0.5, 1),
        ("exp(-x) * e", 1, 1),
        ("sqrt(abs(-4)) + tanh(0) - cos(0)", 0, 1),
        (" (1 + 2) ", 7, 3),
    ],
)
def test_expression(text: str, x: float, y: float) -> None:
    """Expressions mean what they say."""
    found = expression(text, -10, 10)(np.array([x]))
    assert found.tolist() == [pytest.approx(y)]
    assert expression(text, -10, 10).name == text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("y", "y"),
        ("x.real", "x.real"),
        ("__import__('os')", "__import__('os')"),
        ("open", "open"),
        ("sin(x, x)", "sin(x, x)"),
        ("sin(x=x)", "sin(x=x)"),
        ("(lambda: x)()", "(lambda: x)()"),
        ("[x for x in x]", "[x for x in x]"),
        ("x < 1", "x < 1"),
        ("True", "True"),
        ("'x'", "'x'"),
        ("1j", "1j"),
        ("x @ x", "x @ x"),
        ("x if x else x", "x if x else x"),
        ("sin", "sin"),
    ],
)
def test_expression_of_something_else(text: str, part: str) -> None:
    """Whatever is no arithmetic on x is refused by its own text."""
    line = (
        f"an expression must be made of numbers, x, pi, e, + - * / ** and {', '.join(FUNCTIONS)}, "
        f"not have {part!r}"
    )
    with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
        expression(text, 0, 1)


@pytest.mark.parametrize(
    "text", ["", "x +", "2 x", "x = 1", "import os", "(" * 150, "x\0", "\ud800"]
)
def test_text_that_is_no_expression(text: str) -> None:
    """What Python cannot parse is one line."""
    line = f"an expression must look like sin(2 * x) / 3, not {text!r}"
    with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
        expression(text, 0, 1)


def test_expression_of_any_length() -> None:
    """Long texts are refused, deep and huge ones harmless, odd ones raise no warning."""
    line = "an expression must be at most 200 characters, not 201"
    with pytest.raises(DataError, match=rf"^{line}$"):
        expression("x" * 201, 0, 1)
    x = np.array([1.0])
    assert expression("-" * 198 + "x", 0, 1)(x).tolist() == [1]
    with pytest.raises(
        DataError, match=r"^9\*\*9\*\*9\*\*9 must be finite from 0 to 1, not inf at 1$"
    ):
        expression("9**9**9**9", 0, 1)(x)
    with warnings.catch_warnings(action="error"), pytest.raises(DataError, match=r"^an expr"):
        expression("2or x", 0, 1)


@given(st.text(alphabet="x12.+-*/()e spinco", max_size=40))
def test_any_text_is_finite_or_refused(text: str) -> None:
    """Every text is an expression or refused in one line, and no value is infinite or NaN."""
    with contextlib.suppress(DataError):
        y = expression(text, 0.5, 1)(np.array([0.5, 1.0]))
        assert np.isfinite(y).all()
        assert y.shape == (2,)


def test_interval_that_does_not_rise() -> None:
    """An interval's ends are finite and in order."""
    for low, high in ((1, 1), (2, 1), (0, math.inf), (math.nan, 1)):
        line = f"an interval must rise between finite ends, not go from {low:g} to {high:g}"
        with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
            Curve("x", lambda x: x, low, high)


def test_interval_of_no_words() -> None:
    """An interval narrower than the words of its format has no inputs."""
    line = "an interval must hold two or more words of its format Q1.14, not go from 1.0 to 1.00001"
    with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
        approximation.inputs(expression("x", 1.0, 1.00001))


def test_table(tmp_path: Path) -> None:
    """A table's points are joined by lines; its ends are the interval."""
    path = tmp_path / "curve.csv"
    path.write_text("0, 1\n\n1,3\r\n4,-3\n")
    curve = table(path)
    assert (curve.name, curve.low, curve.high) == ("curve.csv", 0, 4)
    assert curve(np.array([0, 0.5, 1, 2.5, 4])).tolist() == [1, 2, 3, 0, -3]
    _, error = approximation.run(curve, 8)
    assert error.floats == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0,1\n", "must hold two or more points with x ascending"),
        ("0,1\n0,2\n", "must hold two or more points with x ascending"),
        ("\n\n", "must hold two or more points with x ascending"),
        ("x,y\n0,1\n", "line 1 must be two finite numbers, as 0.5,1.25"),
        ("0,1\n1\n", "line 2 must be two finite numbers, as 0.5,1.25"),
        ("0,1\n1,2,3\n", "line 2 must be two finite numbers, as 0.5,1.25"),
        ("0,1\n1,nan\n", "line 2 must be two finite numbers, as 0.5,1.25"),
        ("0,1\n1,inf\n", "line 2 must be two finite numbers, as 0.5,1.25"),
        ("0,1\n1," + "1" * 200_000, "line 2 must be two finite numbers, as 0.5,1.25"),
    ],
)
def test_table_that_is_none(text: str, line: str, tmp_path: Path) -> None:
    """A file without points is one line that names it."""
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {line}')}$"):
        table(path)


def test_table_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and one that is too large are refused before they are read."""
    missing = tmp_path / "none.csv"
    with pytest.raises(DataError, match=rf"^{re.escape(str(missing))}: cannot be read: No such"):
        table(missing)
    large = tmp_path / "large.csv"
    large.write_bytes(b"0,1\n" * (1 << 18) + b"\n")
    with pytest.raises(DataError, match=r": must be at most 1048576 bytes, not 1048577$"):
        table(large)
