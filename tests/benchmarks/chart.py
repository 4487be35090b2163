"""Draw images per second on one thread as bars: peers in blocks where that is faster."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from tests.benchmarks.figures import Figure

PART = "networks, one thread"
OURS, OTHERS, INK = "#2f81f7", "#9aa4af", "#768390"
"""Colours that can be read on white and on black."""
ROOM = 1.35
"""How far an axis reaches, in counts of its longest bar: behind that stands its label."""


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Draw a panel of bars for each network; the format is what the file's name says."""
    chosen = [figure for figure in figures if figure.part == PART]
    networks = list(dict.fromkeys(figure.case for figure in chosen))
    names = list(dict.fromkeys(figure.what for figure in chosen))
    style = mpl.RcParams({"svg.fonttype": "none", "svg.hashsalt": "fxpnn", "font.size": 9})
    style |= dict.fromkeys(("text.color", "axes.edgecolor", "ytick.color"), INK)
    with mpl.rc_context(style):
        drawing = Drawing(figsize=(9.6, 0.5 + 0.27 * len(names)), layout="constrained")
        panels = drawing.subplots(1, len(networks), sharey=True, squeeze=False)[0]
        for panel, network in zip(panels, networks, strict=True):
            _panel(panel, network, names, _rates(f for f in chosen if f.case == network))
        date = {"Date": None} if path.suffix == ".svg" else None  # same figures, same file
        drawing.savefig(path, metadata=date, transparent=True)


def _rates(figures: Iterable[Figure]) -> dict[str, float]:
    """Take each candidate's faster way, all images in one call or in blocks."""
    best: dict[str, float] = {}
    for figure in figures:
        best[figure.what] = max(figure.value, best.get(figure.what, 0.0))
    return best


def _panel(panel: Axes, network: str, names: Sequence[str], rates: dict[str, float]) -> None:
    places = [place for place, name in enumerate(names) if name in rates]
    values = [rates[names[place]] for place in places]
    colours = [OURS if names[place] == "fxpnn" else OTHERS for place in places]
    bars = panel.barh(places, values, color=colours, height=0.7)
    panel.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    panel.set_title(f"{network}, images/s", fontsize=9, loc="left")
    panel.set_yticks(range(len(names)), names)
    panel.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, ROOM * max(values)))
    panel.set_xticks([])
    panel.minorticks_off()
    panel.tick_params(length=0)
    panel.spines[["top", "right", "bottom"]].set_visible(False)
