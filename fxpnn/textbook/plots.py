"""Plots of the textbook as PNG files, drawn by matplotlib, which is the extra ``plot``."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fxpnn import files
from fxpnn.errors import DataError
from fxpnn.network.layers import Array
from fxpnn.textbook import activations, approximation, descent, logistic, shallow, stress
from fxpnn.textbook.formula import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawing: TypeAlias = "Callable[[Figure], None]"

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"
"""Colours of Okabe and Ito's palette, which colour-blind readers can tell apart."""

DPI = 120


def draw(folder: Path, curve: Curve | None = None) -> list[Path]:
    """Draw every plot into a folder, which is made where it is missing; return the files.

    ``curve`` is a function of the user's, approximated in the place of the second one.

    Raises:
        DataError: matplotlib is not installed, the curve is not finite, or a file cannot be
            written.
    """
    curves = (approximation.SINE, curve or approximation.RUNGE)
    drawings = dict(DRAWINGS)
    drawings["approximation"] = partial(_approximation, curves=curves)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror or error}") from None
    return [_save(folder / f"{name}.png", drawing) for name, drawing in drawings.items()]


def _save(path: Path, drawing: Drawing) -> Path:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError(f"{path}: plots need matplotlib: pip install 'fxpnn[plot]'") from None
    figure = Figure(dpi=DPI, layout="constrained")
    drawing(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    files.write(path, content.getvalue())
    return path


def _decision_surface(figure: "Figure") -> None:
    figure.set_size_inches(14, 4.4)
    figure.suptitle("Four sigmoid neurons enclose a disc, in floats and in 16 bits")
    sides, panels = shallow.surface(), figure.subplots(1, 3)
    side = round(len(sides.y) ** 0.5)
    for axes, title, p in zip(
        panels, ("float64", "16 bits"), (sides.y, sides.y_fixed), strict=False
    ):
        _map(axes, p.reshape(side, side), "RdBu_r", 0, 1, "probability of label 1")
        axes.contour(p.reshape(side, side), [0.5], extent=EXTENT, colors="black")
        _points(axes, *shallow.examples(), 0)
        axes.set_title(f"{title}; black line: probability 0.5")
    fmt = sides.integers.formats[sides.output]
    difference = ((sides.y_fixed - sides.y) / fmt.lsb).reshape(side, side)
    most = float(np.abs(difference).max())
    _map(panels[2], difference, "PuOr", -most, most, f"LSB of {fmt}")
    panels[2].set_title("16 bits minus float64")


EXTENT = (-shallow.EDGE, shallow.EDGE, -shallow.EDGE, shallow.EDGE)


def _map(axes: "Axes", values: Array, colours: str, low: float, high: float, unit: str) -> None:
    image = axes.imshow(values, extent=EXTENT, origin="lower", cmap=colours, vmin=low, vmax=high)
    axes.figure.colorbar(image, ax=axes, label=unit, shrink=0.8)
    axes.set(xlabel="x$_1$", ylabel="x$_2$")


def _points(axes: "Axes", x: Array, y: Array, other: float) -> None:
    """Scatter points of label 1 and of the ``other`` label."""
    for label, marker, colour in ((1, "o", ORANGE), (other, "s", BLUE)):
        here = x[y.reshape(-1) == label]
        axes.scatter(
            here[:, 0],
            here[:, 1],
            s=16,
            c=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.6,
            label=f"label {label:g}",
        )
    axes.legend(loc="upper right", fontsize="small")


def _logistic(figure: "Figure") -> None:
    figure.set_size_inches(11, 4.4)
    figure.suptitle("Logistic regression by gradient descent, rate 0.1")
    x, y = logistic.points()
    left, right = figure.subplots(1, 2)
    _points(left, x, y, -1)
    across = np.array([x[:, 0].min(), x[:, 0].max()])
    learned = list(logistic.descend(x, y, logistic.LOSSES))
    for (w, b), after, style in zip(learned[1:], list(logistic.LOSSES)[1:], LINES, strict=True):
        left.plot(across, -(w[0] * across + b) / w[1], style, color="black", label=f"{after} steps")
    left.set(title="the line w . x + b = 0", xlabel="x$_1$", ylabel="x$_2$")
    left.set_ylim(x[:, 1].min() - 0.3, x[:, 1].max() + 0.3)
    left.legend(loc="lower left", fontsize="small")
    steps = np.unique(np.geomspace(1, 10000, 60).astype(int))
    losses = [logistic.loss(w, b, x, y) for w, b in logistic.descend(x, y, steps.tolist())]
    right.semilogx(steps, losses, color=BLUE)
    right.set(title="the loss, 100 log 2 = 69.3 before the first step", xlabel="steps")
    right.set_ylabel("-sum(log(sigmoid(y (w . x + b))))")
    right.grid(alpha=0.3)


LINES = (":", "-.", "--", "-")


def _descent(figure: "Figure") -> None:
    figure.set_size_inches(11, 4.4)
    figure.suptitle("Steepest descent on (u$^2$ + 6 v$^2$) / 2 from (1, 1)")
    left, right = figure.subplots(1, 2)
    u, v = np.meshgrid(np.linspace(-0.15, 1.15, 99), np.linspace(-2.4, 1.6, 99))
    left.contour(u, v, (u**2 + 6 * v**2) / 2, 14, colors=GREY, linewidths=0.5)
    for rate, colour, shown in ((0.125, BLUE, None), (0.5, ORANGE, 2)):
        sides = descent.quadratic(rate)
        path = np.concatenate(list(sides.floats.values()))
        left.plot(*path[:shown].T, "o-", color=colour, markersize=4, label=f"rate {rate}")
        steps = np.arange(len(path))
        right.plot(
            steps, path[:, 1], "o-", color=colour, markersize=4, label=f"rate {rate}, float64"
        )
        fixed = np.concatenate(list(sides.fixed.values()))[:, 1]
        right.plot(steps, fixed, "x", color="black", markersize=7, label=f"rate {rate}, 16 bits")
    left.set(title="one step too long crosses the valley", xlabel="u", ylabel="v")
    right.set(title="v: 16 bits saturate at 128", xlabel="step", ylabel="v", yscale="symlog")
    right.grid(alpha=0.3)
    for axes in (left, right):
        axes.legend(fontsize="small")


def _approximation(figure: "Figure", curves: Sequence[Curve]) -> None:
    figure.set_size_inches(12, 8)
    figure.suptitle("Sums of K shifted ReLUs: what they draw, and how far off they are")
    for (above, below), curve in zip(figure.subplots(2, 2).T, curves, strict=True):
        _curve(above, curve)
        _errors(below, curve)


def _curve(axes: "Axes", curve: Curve) -> None:
    x = approximation.inputs(curve)
    axes.plot(x, curve(x), color="black", linewidth=2.5, label=curve.name)
    for neurons, colour in ((4, ORANGE), (16, BLUE)):
        y = approximation.run(curve, neurons)[0].y_fixed
        axes.plot(x, y, color=colour, linewidth=1.2, label=f"K = {neurons}, 16 bits")
    axes.set(title=curve.name, xlabel="x", ylabel="y")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _errors(axes: "Axes", curve: Curve) -> None:
    found = approximation.errors(curve)
    neurons = [it.neurons for it in found]
    axes.loglog(
        neurons, [it.floats for it in found], "o-", color=BLUE, label="float64", markersize=4
    )
    axes.loglog(
        neurons, [it.fixed for it in found], "s-", color=ORANGE, label="16 bits", markersize=4
    )
    limit = approximation.most_that_help(found)
    axes.axvline(limit, color=GREY, linestyle="--", label=f"K = {limit}: rounding takes over")
    axes.set(title=f"{curve.name}: error", xlabel="K, neurons", ylabel="largest absolute error")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3, which="both")


def _activations(figure: "Figure") -> None:
    figure.set_size_inches(14, 9)
    figure.suptitle("Activations: float64 and its slope, the integers of 16 bits, and how far off")
    rows = figure.subplots(4, 4, height_ratios=(3, 1.4, 3, 1.4), sharex=True)
    panels = [*zip(rows[0], rows[1], strict=True), *zip(rows[2], rows[3], strict=True)]
    for (above, below), name in zip(panels, activations.ACTIVATIONS, strict=True):
        _activation(above, below, name)


def _activation(above: "Axes", below: "Axes", name: str) -> None:
    it, x = activations.ACTIVATIONS[name], activations.words()
    x = x[(x >= -6) & (x <= 6)][:, None]
    sides = activations.run(name, x)
    fmt = sides.integers.formats[sides.output]
    above.plot(x, activations.slopes(it.layer, x), "--", color=GREEN, linewidth=1, label="slope")
    above.plot(x, sides.y, color=BLUE, linewidth=2, label="float64")
    some = slice(None, None, 96)
    above.plot(
        x[some], sides.y_fixed[some], ".", color=ORANGE, markersize=5, label=f"16 bits, {fmt}"
    )
    above.set_title(name)
    above.legend(fontsize="x-small", loc="upper left")
    below.plot(x, (sides.y_fixed - sides.y) / fmt.lsb, color=ORANGE, linewidth=0.4)
    below.set(ylim=(-1.2, 1.2), xlabel="x", ylabel="LSB")
    for axes in (above, below):
        axes.grid(alpha=0.3)


def _stress(figure: "Figure") -> None:
    figure.set_size_inches(12, 4.6)
    figure.suptitle("Softmax in 16 bits as its logits (1, 0.75, 0.5, 0.25) s grow")
    left, right = figure.subplots(1, 2)
    sizes = stress.SIZES
    for (name, shift), colour in zip(stress.SHIFTS.items(), (ORANGE, GREEN, BLUE), strict=True):
        sides = stress.run(shift)
        left.semilogy(
            sizes, np.maximum(stress.errors(sides), 2.0**-18), ".-", color=colour, label=name
        )
        right.plot(sizes, sides.y_fixed[:, 0], ".-", color=colour, label=name)
        if shift is not None:
            left.axvline(stress.LIMIT + shift, color=colour, linestyle=":")
            left.annotate("overflows", (stress.LIMIT + shift + 0.3, 2.0**-18.7), color=colour)
    right.plot(sizes, stress.run(None).y[:, 0], "--", color="black", label="float64")
    left.axhline(2.0**-15, color=GREY, linestyle="--", label="1 LSB, 2$^{-15}$")
    left.set(title="largest error of a probability", ylabel="absolute error", ylim=(2.0**-19, 2))
    right.set(title="probability of the first class", ylabel="probability")
    for axes in (left, right):
        axes.set_xlabel("s, the largest logit")
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)


DRAWINGS: Mapping[str, Drawing] = MappingProxyType(
    {
        "descent": _descent,
        "logistic": _logistic,
        "decision-surface": _decision_surface,
        "activations": _activations,
        "softmax-stress": _stress,
    }
)
"""The plots that need no curve, by the name of their file."""
