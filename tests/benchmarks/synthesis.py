"""What a network takes of an FPGA: the table in ``models/README.md``, made anew by Yosys.

Run ``python -m tests.benchmarks.synthesis`` in the project's folder; it takes an hour. Networks
can be named, and units, to make only their rows: ``... synthesis mlp-784-100-10 --macs 4``.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

import fxpnn
from fxpnn.network.fixed import FixedNetwork
from tests.benchmarks.words import FOLDER, NAMES, row
from tests.support import synthesis

MACS = (4, 16)
COLUMNS = (
    *("LUT4", "flip-flops", "MULT18X18D", "DP16KD"),
    *("LUTs", "flip-flops", "DSP48E1", "RAMB36"),
)
"""What is counted: four kinds of Lattice's ECP5, and four of Xilinx's 7 series."""


def ecp5(cells: Counter[str]) -> list[str]:
    """Give the counts of ECP5."""
    names = "LUT4", "TRELLIS_FF", "MULT18X18D", "DP16KD"
    return [f"{cells[name]:,}" for name in names]


def xilinx(cells: Counter[str]) -> list[str]:
    """Give the counts of Xilinx; two RAMB18 are a RAMB36."""
    luts = sum(cells[f"LUT{inputs}"] for inputs in range(1, 7))
    flip_flops = sum(count for name, count in cells.items() if name.startswith("FD"))
    blocks = cells["RAMB36E1"] + cells["RAMB18E1"] / 2
    return [f"{luts:,}", f"{flip_flops:,}", f"{cells['DSP48E1']:,}", f"{blocks:g}"]


def quantized(name: str) -> FixedNetwork:
    """Quantize a bundled network by its defaults."""
    calibration = fxpnn.load_data("mnist:calibration").x
    return fxpnn.quantize(fxpnn.load_onnx(FOLDER / f"{name}.onnx"), calibration)


def table(names: tuple[str, ...], macs: tuple[int, ...]) -> Iterator[str]:
    """Give the table's rows."""
    yield row("network", ["units", "trimmed", *COLUMNS])
    yield "| --- " * (3 + len(COLUMNS)) + "|"
    for name in names:
        fixed = quantized(name)
        for units in macs:
            for trim in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    synthesis.write(fixed, units, trim, Path(folder))
                    lattice = synthesis.cells(Path(folder), "synth_ecp5 -top design")
                    seven = synthesis.cells(Path(folder), "synth_xilinx -top design")
                head = [str(units), "yes" if trim else "no"]
                yield row(f"`{name}`", [*head, *ecp5(lattice), *xilinx(seven)])


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--macs", type=int, multiple=True, default=MACS, help="Units of the array.")
def main(names: tuple[str, ...], macs: tuple[int, ...]) -> None:
    """Print the rows as they are made."""
    for line in table(names or NAMES, macs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
