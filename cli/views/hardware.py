"""Draw what a network costs as hardware: layer by layer for one core, or over numbers of units."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from rich.table import Table
from rich.text import Text

from fxpnn.analysis.tables import table
from fxpnn.errors import one_line
from fxpnn.network.fixed import FixedNetwork
from fxpnn.targets import energy as energies
from fxpnn.targets.hardware_cost import CoreCost, HardwareCost, LayerCost, hardware_cost
from fxpnn.targets.lowering import lower
from fxpnn.targets.target import DEFAULT_MACS

from ..console.tables import ResultConsole
from ..sources import ModelSource


class HardwareModel(HardwareCost, frozen=True, tag_field="kind", tag="hardware"):
    """A fixed model, schema 1: its file, and what it costs as hardware."""

    schema: Literal[1]
    model: ModelSource


def costed(
    fixed: FixedNetwork,
    model: ModelSource,
    macs: tuple[int, ...] | None,
    clock_mhz: float,
    energy: Path | None,
) -> HardwareModel:
    """Say what the network of a file costs.

    Raises:
        DataError: the table of energies cannot be used.
    """
    prices = energies.shipped() if energy is None else energies.load(energy)
    cost = hardware_cost(lower(fixed), macs or (DEFAULT_MACS,), clock_mhz, prices)
    return HardwareModel(schema=1, model=model, **msgspec.structs.asdict(cost))


def print_costs(cost: HardwareModel) -> None:
    """Draw a core's layers, or several cores side by side; then what C takes."""
    console = ResultConsole()
    console.print_title(cost.model.name, "as hardware")
    if len(cost.cores) == 1:
        (core,) = cost.cores
        console.print_widest([_layers(core.layers, heads) for heads in (_WIDE, _SLIM)])
        for line in _core_lines(core, cost):
            console.print(Text(f" {line}"))
    elif cost.cores:
        console.print(_cores(cost.cores))
        console.print(Text(f" at {cost.clock_mhz:g} MHz; energy by {one_line(cost.energy_table)}"))
    if cost.refused is not None:
        console.print(Text(f" no Verilog: {one_line(cost.refused)}", "yellow"))
    bytes_ = (
        f"{cost.c.const_bytes:,} bytes of constants, {cost.c.scratch_bytes:,} of scratch memory"
    )
    console.print(Text(f" in C {bytes_}"))
    console.print()


_WIDE = ("layer", "kind", "cycles", "use", "products", "weights", "arithmetic nJ", "memory nJ")
_SLIM = ("layer", "cycles", "use", "weights", "nJ")


def _layers(layers: tuple[LayerCost, ...], heads: tuple[str, ...]) -> Table:
    drawn = table(
        *heads,
        right=tuple(head for head in heads if head not in ("layer", "kind")),
        folded=("layer",),
    )
    for layer in layers:
        cells = {
            "layer": Text(one_line(layer.name)),
            "kind": Text(layer.op, "dim"),
            "cycles": Text(f"{layer.cycles:,}"),
            "use": Text("" if layer.use is None else _share(layer.use)),
            "products": _count(layer.products),
            "weights": _count(layer.weight_words),
            "arithmetic nJ": Text(_nano(layer.energy.arithmetic_pj)),
            "memory nJ": Text(_nano(layer.energy.memory_pj)),
            "nJ": Text(_nano(layer.energy.pj)),
        }
        drawn.add_row(*(cells[head] for head in heads))
    return drawn


def _core_lines(core: CoreCost, cost: HardwareModel) -> Iterator[str]:
    yield (
        f"{core.macs} unit{'s' if core.macs > 1 else ''}: {core.cycles:,} cycles an image, "
        f"{core.images_per_second:,.0f} images/s at {cost.clock_mhz:g} MHz, "
        f"{_share(core.use)} of what the units could multiply"
    )
    if core.idle_units:
        most = core.macs - core.idle_units
        yield f"{core.idle_units} of them are idle: no layer has more than {most} channels"
    rom = core.rom
    yield (
        f"ROM {rom.bits:,} bits: weights {rom.weights:,} ({core.weight_words:,} words of 16), "
        f"biases {rom.biases:,}, tables {rom.tables:,}, program {rom.program:,}"
    )
    yield f"RAM {core.ram_bits:,} bits: activations"
    yield (
        f"energy {_nano(core.energy.pj)} nJ an image: arithmetic "
        f"{_nano(core.energy.arithmetic_pj)}, memory {_nano(core.energy.memory_pj)}; "
        f"by {one_line(cost.energy_table)}"
    )


def _cores(cores: tuple[CoreCost, ...]) -> Table:
    heads = ("units", "cycles", "images/s", "use", "weights", "ROM bits", "energy nJ")
    drawn = table(*heads, right=heads)
    for core in cores:
        drawn.add_row(
            str(core.macs),
            f"{core.cycles:,}",
            f"{core.images_per_second:,.0f}",
            _share(core.use),
            f"{core.weight_words:,}",
            f"{core.rom.bits:,}",
            _nano(core.energy.pj),
        )
    return drawn


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"


def _nano(pj: float) -> str:
    return f"{pj / 1000:,.3f}" if pj < 10_000 else f"{pj / 1000:,.1f}"


def _count(count: int) -> Text:
    return Text(f"{count:,}" if count else "")
