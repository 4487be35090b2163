"""Draw where a device differs from a model, and how the first value that does comes about."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from rich.table import Table
from rich.text import Text

from fxpnn.analysis.divergence import Divergence, LayerDifference
from fxpnn.analysis.element import Cast, Element, Read
from fxpnn.analysis.tables import table
from fxpnn.errors import one_line
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.targets.dump import Dump

from ..console.tables import ResultConsole
from ..console.terminal import path_text
from ..sources import DataSource, ModelSource

SHOWN = 6
"""So many of the first and of the last values that a sum reads are drawn."""


class Difference(Divergence, frozen=True):
    """A comparison with a device, schema 1.

    ``data`` and ``index`` tell the image where one was given. ``files`` names the file that each
    layer's words are from; ``model_matches`` says whether the manifest names this model's file, and
    is null where that is not known.
    """

    schema: Literal[1]
    model: ModelSource
    data: DataSource | None
    index: int | None
    folder: str
    files: dict[str, str]
    model_matches: bool | None


def difference(
    found: Divergence,
    model: ModelSource,
    data: DataSource | None,
    index: int | None,
    folder: Path,
    dump: Dump,
) -> Difference:
    """Join what was found with the files that it is about."""
    told = dump.manifest.model if dump.manifest else ""
    return Difference(
        schema=1,
        model=model,
        data=data,
        index=index,
        folder=path_text(folder),
        files=dict(dump.files),
        model_matches=told == model.sha256 if told else None,
        **msgspec.structs.asdict(found),
    )


def verdict(found: Divergence) -> str | None:
    """Say which layer differs first, where and how; ``None`` where none does."""
    if not found.differing:
        return None
    layer, count = found.differing[0], len(found.differing)
    assert layer.first is not None
    index, wanted, word = layer.first.index, layer.first.wanted, layer.first.found
    more = f"; {count} layers differ by themselves" if count > 1 else ""
    return one_line(
        f"{layer.name} ({layer.op}) differs first, at {list(index)}: {_word(word, layer.format)}, "
        f"not {_word(wanted, layer.format)}{more}"
    )


def print_difference(done: Difference) -> None:
    """Draw how all layers compare, and how the first value that differs ought to come about."""
    console = ResultConsole()
    console.print_title(done.model.name, f"against {done.folder}")
    console.print_widest([_layers(done.layers, heads) for heads in LAYOUTS])
    told = verdict(done)
    if told is None:
        judged = [it for it in done.layers if it.state in ("equal", "follows")]
        words = sum(it.values for it in judged)
        told = f"all {words:,} words of {len(judged)} layers are the model's"
    console.print(Text(f" {told}", "yellow" if done.differing else "green"))
    if done.element is not None:
        console.print()
        console.print(Text(f" {done.element.raw} comes about from"))
        console.print(_reads(done.element))
        console.print(Text(f" {_made(done.element)}"))
    console.print()


def _layers(layers: Iterable[LayerDifference], heads: tuple[str, ...]) -> Table:
    drawn = table(*heads, right=("values", "differ", "by itself"), folded=("layer", "verdict"))
    for layer in layers:
        row = {
            "layer": Text(one_line(layer.name)),
            "kind": Text(layer.op, "dim"),
            "format": Text(layer.format),
            "values": Text(f"{layer.values:,}"),
            "differ": _count(layer.differing),
            "by itself": _count(layer.own_differing),
            "verdict": _verdict(layer),
        }
        drawn.add_row(*(row[head] for head in heads))
    return drawn


LAYOUTS = (
    ("layer", "kind", "format", "values", "differ", "by itself", "verdict"),
    ("layer", "differ", "by itself", "verdict"),
)
"""The columns for screens of less and less width."""
_STATES = {
    "equal": ("equal", "green"),
    "follows": ("follows from its inputs", ""),
    "differs": ("differs", "yellow"),
    "missing": ("missing", "dim"),
    "unknown": ("not judged", "dim"),
}


def _verdict(layer: LayerDifference) -> Text:
    text, style = _STATES[layer.state]
    return Text(f"{text}: {layer.cause.text}" if layer.cause else text, style)


def _count(count: int | None) -> Text:
    if count is None:
        return Text("")
    return Text(f"{count:,}", "bold yellow" if count else "dim")


def _word(raw: int, fmt: str) -> str:
    """Spell a raw value, and its word as simulators show it."""
    bits = QFormat.parse(fmt).word
    return f"{raw} ({raw & (1 << bits) - 1:0{-(-bits // 4)}x})"


def _reads(element: Element) -> Table:
    """List what an element reads: of a long sum its two ends, and no product of 0."""
    summed = element.start is not None
    heads = ("read", "raw", *(("weight", "product", "accumulator") if summed else ()))
    drawn = table(*heads, right=heads[1:], folded=("read",))
    if summed:
        drawn.add_row("bias", "", "", str(element.bias), str(element.start))
    reads = [read for read in element.reads if read.product != 0]
    head, tail = reads[:SHOWN], reads[SHOWN:][-SHOWN:]
    rows = [_cells(read, len(heads)) for read in (*head, *tail)]
    if hidden := len(reads) - len(rows):
        rows.insert(SHOWN, (f"{hidden:,} more",))
    if zeros := len(element.reads) - len(reads):
        rows.append((f"{zeros:,} products of 0",))
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn


def _cells(read: Read, count: int) -> tuple[str, ...]:
    where = "padding" if read.index is None else f"{one_line(read.tensor)}{list(read.index)}"
    numbers = (read.raw, read.weight, read.product, read.accumulator)
    return (where, *map(str, numbers))[:count]


def _made(element: Element) -> str:
    """Say what becomes of the exact value."""
    cast: Cast | None = element.cast
    if cast is None:
        return f"which is {element.raw} without a cast"
    value = str(cast.value) if cast.count == 1 else f"{cast.value} / {cast.count}"
    over = ", which overflows" if cast.overflowed else ""
    return (
        f"cast of {value} counts of 2**{-cast.frac} to {cast.format}, {cast.rounding} and "
        f"{cast.overflow}{over}: {element.raw}"
    )
