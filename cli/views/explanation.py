"""Draw an explanation: what is lost, the ranking, what each layer does, and what was tried."""

from math import isfinite
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from fxpnn.analysis.attribution import Repair
from fxpnn.analysis.explanation import (
    Effect,
    Explanation,
    FirstLoss,
    FlippedImage,
    LayerExplanation,
    Ranked,
    Tried,
)
from fxpnn.analysis.report import Accuracy
from fxpnn.analysis.tables import measured, sqnr_text, table
from fxpnn.errors import one_line

from ..console.tables import ResultConsole
from ..console.terminal import path_text
from ..sources import DataSource, ModelSource

FLIPS_SHOWN = 10
LAYER_COLUMNS = (
    "with all ideal but this layer (alone) or those up to it, and as given but for this layer, or "
    "a part of it, repaired"
)
KINDS = {"accumulator_overflows": "accumulator", "saturations": "output"}


class Fixed(msgspec.Struct, frozen=True):
    """What ``--fix`` applied, layer by layer, what that reaches, and the file of its formats."""

    steps: tuple[tuple[str, Tried], ...]
    effect: Effect
    loss: float | None
    reached: bool
    path: str


class ExplainReport(msgspec.Struct, frozen=True):
    """An explanation, schema 1."""

    schema: Literal[1]
    model: ModelSource
    data: DataSource
    accuracy: Accuracy
    given: Effect
    ideal: Effect
    ranking: tuple[Ranked, ...]
    tried: tuple[Tried, ...]
    layers: tuple[LayerExplanation, ...]
    first_losses: tuple[FirstLoss, ...]
    flipped: tuple[FlippedImage, ...]
    fixed: Fixed | None = None


def explain_report(
    found: Explanation,
    model: ModelSource,
    data: DataSource,
    done: Repair | None = None,
    path: Path | None = None,
) -> ExplainReport:
    """Join an explanation with the files that it is about."""
    given, real = found.given, found.reference_accuracy
    return ExplainReport(
        1,
        model,
        data,
        Accuracy(given.accuracy, real, found.loss, given.flips),
        given,
        found.ideal,
        found.ranking,
        found.tried,
        found.layers,
        found.first_losses,
        found.flipped,
        None if done is None or path is None else _fixed(done, path),
    )


def _fixed(done: Repair, path: Path) -> Fixed:
    loss = done.effect.loss(done.explanation.images)
    steps = tuple((step.name, step.change) for step in done.steps)
    return Fixed(steps, done.effect, loss, done.reached, path_text(path))


def print_explanation(found: ExplainReport) -> None:
    """Draw an explanation, the verdict first."""
    console = ResultConsole()
    console.print_title(found.model.name, f"on {found.data.name}")
    console.print(_indented(f"{_effect_text(found.given)}; {_ideal_text(found)}", ""))
    console.print(_indented(_verdict(found), "bold"))
    if found.ranking:
        console.print(_ranking(found))
        console.print(_tried(found))
    console.print(_layers(found))
    for line in _details(found):
        console.print(_indented(line, "yellow"))
    if found.flipped:
        console.print(_flips(found))
    if found.fixed is not None:
        console.print(_indented(_fixed_text(found.fixed), "bold"))
    console.print()


def _indented(text: str, style: str) -> Padding:
    """Indent every line of a text, however many the terminal makes of it."""
    return Padding(Text(text, style), (0, 1, 0, 1), expand=False)


def _effect_text(effect: Effect) -> str:
    told = [] if effect.accuracy is None else [f"accuracy {effect.accuracy:.4f}"]
    told += [] if effect.flips is None else [f"{effect.flips:,} flips"]
    return ", ".join([*told, f"SQNR {measured(effect.sqnr_db)}"])


def _ideal_text(found: ExplainReport) -> str:
    real = found.accuracy.reference
    told = f"ideal at 16 bits: {_effect_text(found.ideal)}"
    return told if real is None else f"float: accuracy {real:.4f}; {told}"


def _verdict(found: ExplainReport) -> str:
    if not found.ranking:
        return "nothing is lost that a repair of a layer would bring back"
    first = found.ranking[0]
    bought = [] if first.flips_removed is None else [f"removes {first.flips_removed:,} flips"]
    bought.append(_gained(first.sqnr_db_gained))
    told = (
        f"{one_line(first.name)} loses most, by its {first.part}: its repair {' and '.join(bought)}"
    )
    return told if first.proposal is None else f"{told}; {change_text(first.proposal)}"


def _gained(decibels: float | None) -> str:
    """Say what a repair does to the SQNR, which grows beyond all numbers where nothing is lost."""
    finite = decibels is not None and isfinite(decibels)
    return f"gains {decibels:.1f} dB of SQNR" if finite else "makes the outputs exact"


def value_text(value: str | tuple[str, ...]) -> str:
    """Spell a format, or count those of channels."""
    if isinstance(value, str):
        return value
    return f"{len(value)} formats, one for each channel"


def change_text(tried: Tried) -> str:
    """Say what a change costs, and what is reached with it."""
    cost = f"{tried.bits:+,} bits" if tried.bits else "no bit more"
    spelled = f"{tried.setting} = {value_text(tried.value)}"
    return f"with {spelled} ({cost}) it reaches {_effect_text(tried.effect)}"


def _ranking(found: ExplainReport) -> object:
    drawn = table(
        "layer",
        "part",
        "flips removed",
        "dB gained",
        "proposal",
        "bits",
        "flips left",
        right=("flips removed", "dB gained", "bits", "flips left"),
        folded=("layer",),
    )
    for one in found.ranking:
        proposal = one.proposal
        drawn.add_row(
            one_line(one.name),
            one.part,
            "" if one.flips_removed is None else f"{one.flips_removed:,}",
            sqnr_text(one.sqnr_db_gained),
            "" if proposal is None else f"{proposal.setting} = {value_text(proposal.value)}",
            "" if proposal is None else f"{proposal.bits:+,}",
            ""
            if proposal is None or proposal.effect.flips is None
            else f"{proposal.effect.flips:,}",
        )
    return drawn


def _tried(found: ExplainReport) -> object:
    name = one_line(found.ranking[0].name)
    drawn = table(
        f"tried for {name}",
        "bits",
        "accuracy",
        "flips",
        "SQNR dB",
        right=("bits", "accuracy", "flips", "SQNR dB"),
    )
    for one in found.tried:
        drawn.add_row(
            f"{one.setting} = {value_text(one.value)}", f"{one.bits:+,}", *_cells(one.effect)
        )
    return drawn


def _cells(effect: Effect | None) -> tuple[str, str, str]:
    if effect is None:
        return "", "", ""
    right = "" if effect.accuracy is None else f"{effect.accuracy:.4f}"
    flips = "" if effect.flips is None else f"{effect.flips:,}"
    return right, flips, sqnr_text(effect.sqnr_db).plain


def _short(effect: Effect | None) -> str:
    """Print the flips that are left, or the SQNR where there are no classes."""
    if effect is None:
        return ""
    return sqnr_text(effect.sqnr_db).plain if effect.flips is None else f"{effect.flips:,}"


def _layers(found: ExplainReport) -> object:
    heads = (
        "alone",
        "up to it",
        "repaired",
        "weights",
        "output",
        "accumulator",
        "own SQNR",
        "clipped",
        "saturated",
        "overflows",
    )
    drawn = table("layer", "kind", *heads, right=heads, folded=("layer",))
    for layer in found.layers:
        parts = layer.parts
        effects = (
            layer.alone,
            layer.prefix,
            layer.repaired,
            parts.weights,
            parts.output,
            parts.accumulator,
        )
        counts = (layer.clipped_weights, layer.saturations, layer.accumulator_overflows)
        drawn.add_row(
            one_line(layer.name),
            Text(layer.op, "dim"),
            *map(_short, effects),
            sqnr_text(layer.own_sqnr_db),
            *(Text(f"{count:,}", "bold yellow" if count else "dim") for count in counts),
        )
    unit = "SQNR in dB" if found.given.flips is None else "flips"
    return Group(drawn, _indented(f"{unit} {LAYER_COLUMNS}", "dim"))


def _details(found: ExplainReport) -> list[str]:
    told = []
    for one in found.first_losses:
        place = "" if one.element is None else f", element {list(one.element)}"
        told.append(
            f"{one_line(one.name)}: its {KINDS[one.kind]} overflows first in image "
            f"{one.image:,}{place}"
        )
    return told


def _flips(found: ExplainReport) -> object:
    drawn = table(
        "image",
        "label",
        "float",
        "fixed",
        "float margin",
        "fixed margin",
        right=("image", "float margin", "fixed margin"),
    )
    for flip in found.flipped[:FLIPS_SHOWN]:
        drawn.add_row(
            f"{flip.index:,}",
            "" if flip.label is None else str(flip.label),
            str(flip.reference),
            str(flip.fixed),
            f"{flip.reference_margin:.4g}",
            f"{flip.fixed_margin:.4g}",
        )
    if (more := len(found.flipped) - FLIPS_SHOWN) > 0:
        drawn.caption = f" and {more:,} more, of larger margins"
        drawn.caption_justify = "left"
    return drawn


def _fixed_text(fixed: Fixed) -> str:
    if not fixed.steps:
        return f"nothing was changed; {fixed.path} has the formats as they are"
    changes = ", ".join(
        f"{one_line(name)}: {change.setting} = {value_text(change.value)}"
        for name, change in fixed.steps
    )
    return f"{changes}: {_effect_text(fixed.effect)}; written to {fixed.path}"
