"""The page of a report: one file of HTML that needs nothing else."""

import math
import re
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fxpnn.analysis.explanation import Effect, Tried
from fxpnn.analysis.float_values import FloatValues
from fxpnn.analysis.full_report import FullReport
from fxpnn.analysis.losses import parameter_losses
from fxpnn.analysis.modes import normalisation_text, scaling_text
from fxpnn.analysis.overflow import first_overflow
from fxpnn.analysis.report import LayerReport
from fxpnn.analysis.tables import FULL_DB, sqnr_text
from fxpnn.errors import one_line
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.layers import Array

from . import figures
from .explanation import KINDS, change_text, value_text
from .report import Document, signed, standing, verdict

TEMPLATE = "page.html.j2"


def render(told: Document, pictures: Mapping[int, Array]) -> bytes:
    """Make the page of a report, the same bytes for the same values.

    ``pictures`` are the images of the flips that it tells, ``(C, H, W)``, by their index.
    """
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(lambda name: (files(__package__) / name).read_text("utf-8")),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= FILTERS
    report = told.report
    page = environment.get_template(TEMPLATE).render(
        told=told,
        report=report,
        at=partial(at, told),
        verdict=verdict(report),
        standing=standing(report),
        findings=_findings(report),
        settings=_settings(report),
        histograms=_histograms(report),
        front=_front(told),
        pictures={i: figures.picture(image) for i, image in pictures.items()},
        data=_data(told),
    )
    return page.encode()


def at(told: Document, *path: str | int) -> Any:
    """Return a value of the document by the keys and places that lead to it in its JSON."""
    value: Any = told
    for step in path:
        if isinstance(value, msgspec.Struct):
            names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
            value = getattr(value, dict(names)[str(step)])
        else:
            value = value[step]
    return value


def _data(told: Document) -> Markup:
    """Spell the document as JSON that ends no element and no string of a page."""
    text = msgspec.json.encode(told).decode()
    return Markup(re.sub(r"[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text))


def _findings(report: FullReport) -> list[str]:
    """Say what parameters lost, which layer overflowed first, and where anything did."""
    told = [*parameter_losses(report.layers)]
    told += [text for text in [first_overflow(report.layers, report.images)] if text]
    for one in report.first_losses:
        place = "" if one.element is None else f", element {list(one.element)}"
        told.append(
            f"{one.name}: its {KINDS[one.kind]} overflows first in image {one.image:,}{place}"
        )
    return list(map(one_line, told))


def _settings(report: FullReport) -> dict[str, list[str]]:
    """List the layers of each accumulator, of each pair of modes, and of each softmax."""
    found: dict[str, list[str]] = {}
    for layer in report.layers:
        told = (
            layer.rounding and f"casts {layer.rounding} and {layer.overflow}",
            layer.accumulator and f"accumulator {layer.accumulator}",
            layer.softmax and f"softmax minus {layer.softmax}",
        )
        for text in filter(None, told):
            found.setdefault(text, []).append(one_line(layer.name))
    return found


def _decibels(value: float | None) -> str:
    """Print an SQNR, or a dash where none is known."""
    return sqnr_text(value).plain or "\N{EN DASH}"


def _bar(value: float | None) -> float:
    """Return which percentage of a bar an SQNR fills."""
    return 0.0 if value is None or math.isnan(value) else 100 * min(max(value / FULL_DB, 0), 1)


def _register(accumulator: str) -> int:
    return Accumulator.parse(accumulator).word


def _count(value: int | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,}".replace("-", "\N{MINUS SIGN}")


def _effect(effect: Effect) -> str:
    """Print the flips that are left, or the SQNR where there are no classes."""
    return _decibels(effect.sqnr_db) if effect.flips is None else f"{effect.flips:,}"


def _change(tried: Tried) -> str:
    return f"{tried.setting} = {value_text(tried.value)}"


class _Histogram(NamedTuple):
    """A figure, the layers that it is of, their format, and what is said below."""

    names: list[str]
    format: str
    figure: Markup
    told: str


def _histograms(report: FullReport) -> list[_Histogram]:
    """Draw the float values of layers; those that hand on what they read share a figure."""
    drawn: list[_Histogram] = []
    last = None
    with figures.style():
        for layer, values in zip(report.layers, report.values, strict=True):
            fmt, same = layer.output_format, msgspec.structs.replace(values, sum_bits=None)
            if (fmt, same) == last:
                drawn[-1].names.append(one_line(layer.name))
                continue
            last = fmt, same
            title = f"Float values of {one_line(layer.name)} over the range of {fmt}"
            figure = figures.histogram(values, QFormat.parse(fmt), title, f"f{len(drawn)}")
            drawn.append(_Histogram([one_line(layer.name)], fmt, figure, _room(layer, values)))
    return drawn


def _front(told: Document) -> Markup | None:
    """Draw the points of a search, where there are any."""
    if not told.points:
        return None
    with figures.style():
        return figures.front(
            told.points, "Wrong predictions against cost, of all points of a search", "p"
        )


def _room(layer: LayerReport, values: FloatValues) -> str:
    """Say how the float values of a layer fill the range of its format."""
    beyond, fmt = values.below + values.above, QFormat.parse(layer.output_format)
    if values.least is None or values.most is None:
        return "values that are not finite"
    ends = (0.0 if abs(end) < fmt.lsb / 2 else end for end in (values.least, values.most))
    told = [" to ".join(f"{end:.4g}" for end in ends).replace("-", "\N{MINUS SIGN}")]
    if beyond:
        share = beyond / (beyond + sum(values.counts))
        told.append(f"{beyond:,} beyond the range, {100 * share:.2g} %")
    elif layer.fitting_format is not None:
        wasted = fmt.integer - QFormat.parse(layer.fitting_format).integer
        if wasted > 0:
            told.append(f"{wasted} integer bit{'s' * (wasted > 1)} never used")
    if fmt.signed and values.least >= 0:
        told.append("half the range never used")
    return "; ".join(told)


FILTERS = {
    "accuracy": lambda value: "\N{EN DASH}" if value is None else f"{value:.4f}",
    "bar": _bar,
    "change": _change,
    "change_text": change_text,
    "count": _count,
    "decibels": _decibels,
    "effect": _effect,
    "line": one_line,
    "normalisation": normalisation_text,
    "register": _register,
    "scaling": scaling_text,
    "share": lambda value: f"{value:.3f}",
    "signed": signed,
}
"""How the template spells values."""
