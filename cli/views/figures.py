"""Figures of a page: SVG by matplotlib, PNG pictures, both the same bytes for the same values."""

import base64
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave

from fxpnn.analysis.float_values import FloatValues
from fxpnn.analysis.points import Point
from fxpnn.analysis.points import front as best_of
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layers import Array

from .search import places

COLOURS = {
    "#010101": "currentColor",
    "#020202": "var(--float)",
    "#030303": "var(--bad)",
    "#040404": "var(--range)",
    "#050505": "var(--line)",
}
"""What matplotlib is told, and what the page makes of it, light or dark."""
INK, BARS, BEYOND, RANGE, LINE = COLOURS
UNUSED = re.compile(
    r"\s*<defs>\s*<style.*?</style>\s*</defs>|font-family: [^;\"]*; |\n(?=[Lz])", re.S
)
"""What the page says itself: a style that would be that of all, fonts; and breaks in paths."""
STYLE: Any = {
    "svg.hashsalt": "fxpnn",
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.labelcolor": INK,
    "font.size": 9.5,
}
MARGIN = 0.06
"""The width of the bar beside a range that counts what lies beyond it, as a share of the range."""
SIZE = (4.6, 1.5)
"""Inches of a histogram."""
WIDE = (9.2, 3.4)
"""Inches of a figure of its own."""
SIDE = 128
"""The most pixels on a side of a picture."""
COUNTS = {1: "1", 1e3: "1k", 1e6: "1M", 1e9: "1G"}


@contextmanager
def style() -> Iterator[None]:
    """Let matplotlib draw as this page wants, whatever the user's own settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def histogram(values: FloatValues, fmt: QFormat, title: str, prefix: str) -> Markup:
    """Draw the values of a tensor over the range of its format, shaded; in red what is beyond.

    ``prefix`` begins the ids, of which no two on a page may be equal.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    heights = np.array(values.counts, np.float64)
    edges = np.linspace(0, 1, len(heights) + 1)
    axes.axvspan(0, 1, color=RANGE, linewidth=0)
    axes.stairs(heights, edges, baseline=0.5, fill=True, color=BARS)
    for count, place in ((values.below, -MARGIN), (values.above, 1 + MARGIN / 4)):
        if count:
            axes.bar(place, count, 0.75 * MARGIN, align="edge", color=BEYOND, bottom=0.5)
    axes.set(yscale="log", xlim=(-MARGIN, 1 + MARGIN))
    most = max(*values.counts, values.below, values.above, 1)
    axes.set_ylim(0.5, 2 * most)
    axes.set_yticks([c for c in COUNTS if c <= most], [t for c, t in COUNTS.items() if c <= most])
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    _ticks(axes, fmt)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return _svg(figure, title, prefix)


def _ticks(axes: Axes, fmt: QFormat) -> None:
    """Label the ends of a format's range, its middle and its quarters."""
    words = sorted({fmt.min + (fmt.max - fmt.min + 1) * i // 4 for i in range(5)})
    places = [(word - fmt.min) / (fmt.max - fmt.min + 1) for word in words]
    axes.set_xticks(
        places, [f"{word * fmt.lsb:.4g}".replace("-", "\N{MINUS SIGN}") for word in words]
    )


def front(points: Sequence[Point], title: str, prefix: str) -> Markup:
    """Draw errors against cost of the points of a search, and the front that none beats."""
    figure = Figure(figsize=WIDE, layout="constrained")
    axes = figure.subplots()
    axes.scatter(*places(points), s=14, color=LINE)
    axes.step(*places(best_of(points)), where="post", color=BARS)
    axes.set(xlabel="cost in bits", ylabel="share of wrong predictions", xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.9g}"))
        axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return _svg(figure, title, prefix)


def _svg(figure: Figure, title: str, prefix: str) -> Markup:
    """Return a figure to stand in a page: only ids that something refers to, the page's colours."""
    content = io.StringIO()
    nothing: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(content, format="svg", metadata=nothing, transparent=True)
    text = content.getvalue()
    text = text[text.index("<svg") :]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(
        r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text
    )
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r"(\.\d\d)\d+", r"\1", UNUSED.sub("", text))  # hundredths of a point
    for told, meant in COLOURS.items():
        text = text.replace(told, meant)
    head, _, rest = text.partition(">")
    head = re.sub(r' (?:width|height|xmlns(?::xlink)?|version)="[^"]*"', "", head)
    label = escape(title)
    return Markup(f'{head} role="img" aria-label="{label}"><title>{label}</title>{rest}')


def picture(image: Array) -> str | None:
    """Return an image of one channel or three, ``(C, H, W)``, as a PNG in a URL; else ``None``.

    Floats are shown from their smallest, black, to their largest, white. Of an image that has more
    than ``SIDE`` pixels on a side, only every second row and column is kept, or fewer.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        return None
    step = math.ceil(max(image.shape) / SIDE)
    pixels = image[:, ::step, ::step].astype(np.float64)
    low, high = (0, 255) if image.dtype == np.uint8 else (pixels.min(), pixels.max())
    pixels = np.moveaxis((pixels - low) / max(high - low, 1e-300), 0, -1)
    if len(image) == 1:
        pixels = np.repeat(pixels, 3, -1)
    content, nothing = io.BytesIO(), cast(Any, {"Software": None})
    imsave(content, np.rint(255 * pixels).astype(np.uint8), metadata=nothing, format="png")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
