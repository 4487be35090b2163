"""Draw how hardware compares with the engine, step by step."""

from pathlib import Path
from typing import Literal

import msgspec
from rich.table import Table
from rich.text import Text

from fxpnn.analysis.tables import table
from fxpnn.errors import one_line
from fxpnn.network.fixed import Counts
from fxpnn.targets.lowering import Step
from fxpnn.targets.simulation.cosim import Core, Cosimulation, Simulator
from fxpnn.targets.simulation.result import Difference

from ..console.tables import ResultConsole
from ..console.terminal import path_text
from ..sources import DataSource, ModelSource

NAMES = {
    Simulator.C: "C",
    Simulator.CORTEX_M: "C on a Cortex-M4",
    Simulator.VERILATOR: "Verilog in Verilator",
    Simulator.IVERILOG: "Verilog in Icarus",
}


class Overflows(msgspec.Struct, frozen=True):
    """What overflowed in a step, for all images together."""

    clamps: int
    saturations: int
    below_zero: int


class StepAgreement(msgspec.Struct, frozen=True):
    """A step: how many of its words were to be compared, and agree; what overflowed; its cycles.

    ``counts`` and ``cycles`` are null where the simulation did not get so far, or has none;
    ``counts_wanted`` and ``cycles_predicted`` are what they ought to be.
    """

    name: str
    op: str
    words: int
    agreed: int
    counts: Overflows | None
    counts_wanted: Overflows
    cycles: int | None
    cycles_predicted: int | None


class WordDifference(msgspec.Struct, frozen=True):
    """The first word that differs: ``element`` counts those of the layer, last axis fastest."""

    image: int
    layer: str
    element: int
    got: int
    wanted: int


class Cosimulated(msgspec.Struct, frozen=True, kw_only=True):
    """A co-simulation, schema 1: all ``agrees``, or ``verdict`` says what first does not.

    ``data`` is null where words were drawn; ``macs`` and ``stall`` where no Verilog was run, or no
    stream stalled. ``instructions`` are those of a simulated processor for all images: they are no
    cycles. ``seconds`` are those of the run; ``folder`` is where all is kept, null where it is not.
    """

    schema: Literal[1]
    model: ModelSource
    data: DataSource | None
    simulator: str
    macs: int | None
    stall: int | None
    images: int
    agrees: bool
    verdict: str | None
    differs: WordDifference | None
    steps: tuple[StepAgreement, ...]
    cycles: int | None
    cycles_predicted: int | None
    instructions: int | None
    seconds: float
    folder: str | None


def cosimulated(
    done: Cosimulation,
    simulator: Simulator,
    core: Core | None,
    model: ModelSource,
    data: DataSource | None,
    folder: Path | None,
) -> Cosimulated:
    """Join what was found with the files that it is about."""
    first = done.found.differs
    return Cosimulated(
        schema=1,
        model=model,
        data=data,
        simulator=simulator.value,
        macs=core.macs if core else None,
        stall=core.stall if core else None,
        images=done.wanted.images,
        agrees=done.verdict() is None,
        verdict=done.verdict(),
        differs=_difference(first) if first else None,
        steps=tuple(_step(done, step) for step in done.lowering.steps),
        cycles=done.found.image_cycles,
        cycles_predicted=done.image_predicted,
        instructions=done.found.instructions,
        seconds=done.found.seconds,
        folder=path_text(folder) if folder else None,
    )


def _difference(of: Difference) -> WordDifference:
    return WordDifference(of.image, of.step, of.element, of.got, of.wanted)


def _step(done: Cosimulation, step: Step) -> StepAgreement:
    found, wanted = done.found.counts.get(step.name), done.wanted.counts[step.name]
    return StepAgreement(
        name=step.name,
        op=step.node.op,
        words=done.wanted.images * step.size,
        agreed=done.agreed(step),
        counts=_overflows(found) if found else None,
        counts_wanted=_overflows(wanted),
        cycles=done.found.cycles.get(step.name),
        cycles_predicted=done.predicted.get(step.name),
    )


def _overflows(counts: Counts) -> Overflows:
    return Overflows(counts.accumulator_overflows, counts.saturations, counts.below_zero)


def print_cosimulated(done: Cosimulated) -> None:
    """Draw how each step compares, and how fast all was."""
    console = ResultConsole()
    simulator = NAMES[Simulator(done.simulator)]
    units = f" with {done.macs} units" if done.macs else ""
    source = f" of {done.data.name}" if done.data else ", drawn"
    images = _images(done)
    console.print_title(done.model.name, f"as {simulator}{units} on {images}{source}")
    console.print_widest([_steps(done, heads) for heads in _layouts(done)])
    if done.verdict:
        console.print(Text(f" {done.verdict}", "yellow"))
    else:
        words = sum(step.agreed for step in done.steps)
        told = f"all {words:,} words of {len(done.steps)} steps agree, and what overflows"
        console.print(Text(f" {told}", "green"))
        console.print(Text(f" {_speed(done)}"))
    if done.folder:
        console.print(Text(f" kept in {one_line(done.folder)}"))
    console.print()


def _layouts(done: Cosimulated) -> list[tuple[str, ...]]:
    """Choose columns for screens of less and less width; cycles where there are any."""
    cycles = ("cycles", "predicted") if done.cycles_predicted is not None else ()
    return [
        ("layer", "kind", "words", "agree", "clamps", "saturations", "below zero", *cycles),
        ("layer", "words", "agree", *cycles),
    ]


def _steps(done: Cosimulated, heads: tuple[str, ...]) -> Table:
    drawn = table(*heads, right=tuple(heads[1:]), folded=("layer",))
    for step in done.steps:
        found, wanted = step.counts, step.counts_wanted
        row = {
            "layer": Text(one_line(step.name)),
            "kind": Text(step.op, "dim"),
            "words": Text(f"{step.words:,}"),
            "agree": Text(f"{step.agreed:,}", "" if step.agreed == step.words else "yellow"),
            "clamps": _number(found.clamps if found else None, wanted.clamps),
            "saturations": _number(found.saturations if found else None, wanted.saturations),
            "below zero": _number(found.below_zero if found else None, wanted.below_zero),
            "cycles": _number(step.cycles, step.cycles_predicted),
            "predicted": Text(
                "" if step.cycles_predicted is None else f"{step.cycles_predicted:,}"
            ),
        }
        drawn.add_row(*(row[head] for head in heads))
    return drawn


def _number(found: int | None, wanted: int | None) -> Text:
    """Spell a number, in colour where it is not the one that it ought to be."""
    if found is None:
        return Text("")
    return Text(f"{found:,}", "" if found == wanted else "yellow")


def _speed(done: Cosimulated) -> str:
    """Say how fast the run was, and what an image takes."""
    rate = done.images / done.seconds if done.seconds else 0.0
    told = f"{_images(done)} in {done.seconds:,.1f} s, {rate:,.1f} a second"
    if done.cycles is not None:
        told += f"; {done.cycles:,} cycles an image, as predicted"
    if done.instructions is not None:
        told += f"; {done.instructions // done.images:,} instructions an image, which are no cycles"
    return told


def _images(done: Cosimulated) -> str:
    return "1 image" if done.images == 1 else f"{done.images:,} images"
