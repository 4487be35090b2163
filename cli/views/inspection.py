"""Draw a model: its layers, what they store and compute, and what is proved of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, overload

import msgspec
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fxpnn.analysis.contents import (
    FixedInspection,
    FixedLayer,
    FloatInspection,
    FloatLayer,
    InputContents,
    Totals,
)
from fxpnn.analysis.inspection import FLOAT_BITS, inspect
from fxpnn.analysis.losses import parameter_losses
from fxpnn.analysis.modes import normalisation_text, scaling_text
from fxpnn.analysis.tables import DEFAULT_MODES, output_text, proof_text, table
from fxpnn.errors import one_line
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network

from ..console.tables import ResultConsole
from ..sources import ModelSource


class FloatModel(FloatInspection, frozen=True, tag_field="kind", tag="float"):
    """A float model, schema 1: its file, and what ``fxpnn.inspect`` says of it."""

    schema: Literal[1]
    model: ModelSource


class FixedModel(FixedInspection, frozen=True, tag_field="kind", tag="fixed"):
    """A fixed model, schema 1: its file, and what ``fxpnn.inspect`` says of it."""

    schema: Literal[1]
    model: ModelSource


@overload
def inspected(network: Network, model: ModelSource) -> FloatModel: ...
@overload
def inspected(network: FixedNetwork, model: ModelSource) -> FixedModel: ...
def inspected(network: Network | FixedNetwork, model: ModelSource) -> FloatModel | FixedModel:
    """Inspect the network that a file holds."""
    if isinstance(network, FixedNetwork):
        return FixedModel(schema=1, model=model, **msgspec.structs.asdict(inspect(network)))
    return FloatModel(schema=1, model=model, **msgspec.structs.asdict(inspect(network)))


def print_inspection(found: FixedModel | FloatModel) -> None:
    """Draw a model."""
    console = ResultConsole()
    kind = "fixed point" if isinstance(found, FixedModel) else "float"
    kind = f"{kind}, {_inputs(found.inputs)}, uint8 as {scaling_text(found.scaling)}"
    console.print_title(found.model.name, kind)
    if isinstance(found, FixedModel):
        _print_fixed(console, found.layers)
    else:
        console.print_widest([_drawn(found.layers, heads) for heads in _FLOAT_LAYOUTS])
    console.print(_totals(found.totals))
    if told := normalisation_text(found.normalisation):
        console.print(Text(f" the input becomes {told} before all layers"))
    if isinstance(found, FixedModel):
        console.print(Text(f" casts are {DEFAULT_MODES}"))
        for told in _roundings(found.layers):
            console.print(Text(f" {told}"))
        for loss in parameter_losses(found.layers):
            console.print(Padding(Text(loss, "yellow"), (1, 1, 0, 1), expand=False))
    console.print()


def _inputs(inputs: Sequence[InputContents]) -> str:
    """Say what a model reads; one input needs no name."""
    told = [_shape(it.shape) + (f" of {it.format}" if it.format else "") for it in inputs]
    if len(told) == 1:
        return f"input {told[0]}"
    named = zip(inputs, told, strict=True)
    return f"inputs {', '.join(f'{one_line(it.name)} {text}' for it, text in named)}"


def _roundings(layers: tuple[FixedLayer, ...]) -> Iterator[str]:
    """Say which parameters were not each rounded to the nearest word."""
    fed = [one_line(layer.name) for layer in layers if layer.weight_rounding == "feedback"]
    corrected = [one_line(layer.name) for layer in layers if layer.bias_corrected]
    narrow = "saturate-symmetric"
    symmetric = [one_line(layer.name) for layer in layers if layer.weight_overflow == narrow]
    if fed:
        yield f"weights of {', '.join(fed)} are rounded with feedback"
    if corrected:
        yield f"biases of {', '.join(corrected)} are corrected by the mean error of outputs"
    if symmetric:
        yield f"weights of {', '.join(symmetric)} are never the least word, for they are {narrow}"


def _print_fixed(console: ResultConsole, layers: tuple[FixedLayer, ...]) -> None:
    """Print one table where it fits, else what layers are, what is proved, and how they add up."""
    whole = _drawn(layers, (*_STRUCTURE, *_NUMBERS, "sums"))
    if console.fits(whole):
        console.print(whole)
        return
    console.print_widest([_drawn(layers, heads) for heads in (_STRUCTURE, _SLIM)])
    numbers = _drawn(layers, ("layer", *_NUMBERS, "sums"))
    if console.fits(numbers):
        console.print(numbers)
        return
    console.print(_drawn(layers, ("layer", *_NUMBERS)))
    console.print(_drawn(layers, ("layer", "sums")))


def _drawn(layers: Sequence[FixedLayer | FloatLayer], heads: tuple[str, ...]) -> Table:
    drawn = table(*heads, right=_COUNTS, folded=("layer",))
    for layer in layers:
        drawn.add_row(*(COLUMNS[head](layer) for head in heads))
    return drawn


def _saturation(layer: FixedLayer) -> Text:
    return Text("may", "yellow") if layer.saturates else Text("never", "dim")


def _range(layer: FloatLayer) -> Text:
    if layer.weight_range is None:
        return Text("")
    low, high = layer.weight_range
    return Text(f"{low:.4g} .. {high:.4g}")


def _bits(layer: FixedLayer | FloatLayer) -> int:
    if isinstance(layer, FixedLayer):
        return layer.memory.bits
    return FLOAT_BITS * layer.parameters


def _count(count: int) -> Text:
    return Text(f"{count:,}" if count else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


COLUMNS: dict[str, Callable[[Any], Text]] = {
    "layer": lambda x: Text(one_line(x.name)),
    "kind": lambda x: Text(x.op, "dim"),
    "shape": lambda x: Text(_shape(x.shape)),
    "parameters": lambda x: _count(x.parameters),
    "products": lambda x: _count(x.multiply_accumulates),
    "bits": lambda x: _count(_bits(x)),
    "weights": lambda x: Text(x.weight_format or ""),
    "output": output_text,
    "accumulator": lambda x: proof_text(x.proved, x.accumulator_bits_needed, x.accumulator),
    "output overflows": _saturation,
    "sums": lambda x: Text(x.sums or "", "dim"),
    "weights from .. to": _range,
}
"""How each column says what it says of a layer."""

_COUNTS = ("parameters", "products", "bits")
_STRUCTURE = ("layer", "kind", "shape", *_COUNTS)
_NUMBERS = ("weights", "output", "accumulator", "output overflows")
_SLIM = ("layer", "shape", *_COUNTS)
_FLOAT_LAYOUTS = tuple((*heads, "weights from .. to") for heads in (_STRUCTURE, _SLIM))


def _totals(totals: Totals) -> Text:
    return Text(
        f" {totals.parameters:,} parameters in {totals.bits:,} bits ({_bytes(totals.bits)}), "
        f"{totals.multiply_accumulates:,} products for each image"
    )


def _bytes(bits: int) -> str:
    octets = -(-bits // 8)
    return f"{octets:,} bytes" if octets < 10_000 else f"{octets / 1024:,.1f} KiB"
