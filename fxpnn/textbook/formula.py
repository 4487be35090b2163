"""Functions that a user writes down: an expression in x, or a table of points."""

import ast
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from fxpnn import files
from fxpnn.errors import DataError
from fxpnn.network.layers import Array

Function: TypeAlias = Callable[[Array], Array]

LONGEST = 200
"""Characters of an expression."""
MAX_TABLE = 1 << 20
"""Bytes of a table."""

FUNCTIONS: Mapping[str, Function] = {
    name: getattr(np, name)
    for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh", "sinh", "cosh", "arctan")
}
CONSTANTS = {"pi": math.pi, "e": math.e}
OPERATORS: Mapping[type[ast.operator], Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


@dataclass(frozen=True, eq=False)
class Curve:
    """A function to approximate on ``low..high``; ``name`` is how the user wrote it."""

    name: str
    f: Function
    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise DataError(
                f"an interval must rise between finite ends, not go from {self.low:g} to "
                f"{self.high:g}"
            )

    def __call__(self, x: Array) -> Array:
        """Evaluate at ``x`` in float64.

        Raises:
            DataError: the function is not finite there.
        """
        x = np.asarray(x, np.float64)
        with np.errstate(all="ignore"):
            y = np.broadcast_to(self.f(x), x.shape)
        if not np.isfinite(y).all():
            where = x[~np.isfinite(y)][0]
            raise DataError(
                f"{self.name} must be finite from {self.low:g} to {self.high:g}, "
                f"not {y[~np.isfinite(y)][0]} at {where:g}"
            )
        return y


def expression(text: str, low: float, high: float) -> Curve:
    """Read an expression: numbers, x, pi, e, + - * / **, parentheses and ``FUNCTIONS``.

    >>> float(expression("2 * x**2 - 1", 0, 1)(np.array(0.5)))
    -0.5

    Raises:
        DataError: it is none, or names something else.
    """
    if len(text) > LONGEST:
        raise DataError(f"an expression must be at most {LONGEST} characters, not {len(text)}")
    try:
        with warnings.catch_warnings(action="ignore"):  # 2or x is odd, but is refused anyway
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise DataError(f"an expression must look like sin(2 * x) / 3, not {text!r}") from None
    return Curve(text, _compiled(tree.body, text), low, high)


def _compiled(node: ast.expr, text: str) -> Function:
    match node:
        case ast.Name("x"):
            return lambda x: x
        case ast.Name(str(name)) if name in CONSTANTS:
            return _constant(CONSTANTS[name])
        case ast.Constant(int() | float() as value) if not isinstance(value, bool):
            return _constant(value)
        case ast.UnaryOp(ast.USub(), operand):
            inner = _compiled(operand, text)
            return lambda x: -inner(x)
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
            combine = OPERATORS[type(operator)]
            a, b = _compiled(left, text), _compiled(right, text)
            return lambda x: combine(a(x), b(x))
        case ast.Call(ast.Name(str(name)), [argument], []) if name in FUNCTIONS:
            outer, inner = FUNCTIONS[name], _compiled(argument, text)
            return lambda x: outer(inner(x))
    known = ", ".join(FUNCTIONS)
    raise DataError(
        f"an expression must be made of numbers, x, pi, e, + - * / ** and {known}, "
        f"not have {ast.unparse(node)!r}"
    )


def _constant(value: float) -> Function:
    return lambda x: np.full_like(x, value)


def table(path: Path) -> Curve:
    """Read lines of x,y with x ascending, and join the points by straight lines.

    Raises:
        DataError: the file cannot be read, or holds no such table.
    """
    text = files.read(path, MAX_TABLE, DataError).decode("utf-8", "replace")
    lines = enumerate(text.splitlines(), 1)
    points = np.array([_point(line, number, path) for number, line in lines if line.strip()])
    if len(points) < 2 or not (np.diff(points[:, 0]) > 0).all():
        raise DataError(f"{path}: must hold two or more points with x ascending")
    x, y = points.T
    return Curve(path.name, lambda at: np.interp(at, x, y), float(x[0]), float(x[-1]))


def _point(line: str, number: int, path: Path) -> tuple[float, float]:
    try:
        x, y = map(float, line.split(","))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise DataError(f"{path}: line {number} must be two finite numbers, as 0.5,1.25")
    return x, y
