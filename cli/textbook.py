"""``fxpnn demo --textbook``: the lessons as a table, judged by what was published."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fxpnn.errors import DataError, FormatError

from . import options, params
from .console.terminal import GateError, print_json
from .options import Function

if TYPE_CHECKING:
    from fxpnn.textbook.formula import Curve

LESSONS = (
    "perceptron",
    "xor",
    "passes",
    "losses",
    "descent",
    "logistic",
    "classifier",
    "approximation",
    "activations",
    "convolution",
    "softmax",
)
"""The lessons in their order, here so that help imports none."""

OWN = ("textbook", "lessons", "function", "interval", "plots")
SHARED = ("as_json", "quiet")


def or_textbook(command: Function) -> Function:
    """Add --textbook and its options: with it the lessons run instead of the command."""

    @functools.wraps(command)
    def chosen(
        textbook: bool,
        lessons: tuple[str, ...],
        function: str | None,
        interval: tuple[float, float] | None,
        plots: Path | None,
        **others: Any,
    ) -> None:
        _check_company(textbook)
        if not textbook:
            command(**others)
            return
        curve = _curve(function, interval)
        if curve is not None and "approximation" not in (lessons or LESSONS):
            raise click.UsageError("--function must stand with the lesson approximation")
        _teach(lessons or LESSONS, curve, plots, others["as_json"], others["quiet"])

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return chosen


def _check_company(textbook: bool) -> None:
    """Refuse the textbook's options without it, and the other options with it."""
    given = options.given()
    for name, spelled in given.items():
        if textbook and name not in OWN + SHARED:
            raise click.UsageError(f"{spelled} must stand without --textbook")
        if not textbook and name in OWN:
            raise click.UsageError(f"{spelled} must stand with --textbook")


def _curve(text: str | None, interval: tuple[float, float] | None) -> "Curve | None":
    if text is None:
        if interval is not None:
            raise click.UsageError("--interval must stand with --function")
        return None
    from fxpnn.textbook import formula  # imports the engine with its package

    if text.endswith(".csv"):
        if interval is not None:
            raise click.UsageError("--interval must stand with an expression, not with a table")
        return formula.table(Path(text))
    try:
        return formula.expression(text, *(interval or (-1.0, 1.0)))
    except DataError as error:
        raise click.UsageError(f"--function: {error}") from None


def _teach(
    lessons: tuple[str, ...],
    curve: "Curve | None",
    plots: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from .views import lessons as view

    book = view.read(lessons, curve, plots, quiet)
    if as_json:
        print_json(book)
    else:
        view.print_book(book)
    if wrong := view.wrong(book):
        raise GateError(f"{wrong[0]}; {len(wrong)} of {book.published} published results are wrong")


def _interval(text: str) -> tuple[float, ...]:
    ends = params.numbers(text)
    if len(ends) != 2:
        raise FormatError(f"must be two numbers, as -1,1, not {text!r}")
    return ends


_OPTIONS = (
    click.option(
        "--textbook",
        is_flag=True,
        help="Run the networks of the lectures instead, in floats and 16 bits, and exit with 1 "
        "unless every published number holds.",
    ),
    click.option(
        "--lesson",
        "lessons",
        type=params.one_of(LESSONS),
        multiple=True,
        metavar="NAME",
        help=f"With --textbook, only this lesson: {', '.join(LESSONS)}.",
    ),
    click.option(
        "--function",
        metavar="EXPRESSION|FILE.csv",
        help="With --textbook, approximate this function of x too, as 'sin(3 * x) / x', or the "
        "points x,y of a table.",
    ),
    click.option(
        "--interval",
        type=params.Parsed(_interval),
        metavar="A,B",
        help="Where to approximate the expression.  [default: -1,1]",
    ),
    click.option(
        "--plots",
        type=params.FILE,
        metavar="DIR",
        help="With --textbook, draw its plots into this folder (needs the extra plot).",
    ),
)
