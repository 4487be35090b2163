"""A design of fxpnn through Yosys: what it checks, and the cells that it makes."""

import re
from collections import Counter
from pathlib import Path

from fxpnn.network.fixed import FixedNetwork
from fxpnn.targets.lowering import lower
from fxpnn.targets.simulation import tools
from fxpnn.targets.verilog import export
from fxpnn.targets.verilog.program import assemble

_CELL = re.compile(r"^ +([\w$]+) +(\d+)$", re.MULTILINE)
"""A line of Yosys's ``stat``; what 0.23 writes as JSON cannot be read for every device."""

CHECKED = (
    "hierarchy -check -top design",
    "proc; flatten; opt",
    "select -assert-none t:*latch*",
    "check -assert",
    "scc -expect 0",
)
"""Commands that fail at a latch, at a net without one driver, and at a combinational loop."""


def write(fixed: FixedNetwork, macs: int, trim: bool, folder: Path) -> None:
    """Write the module ``design`` of a network, the core and its ROMs into a folder."""
    program = assemble(lower(fixed), macs, trim)
    for name, content in export.design(program, "design", fixed.name).items():
        (folder / name).write_bytes(content)


def cells(folder: Path, *commands: str) -> Counter[str]:
    """Run commands on the design in a folder; count the cells that it has then, by type.

    Raises:
        ToolError: a command fails.
    """
    names = " ".join(sorted(path.name for path in folder.glob("*.v")))
    script = (f"read_verilog -defer {names}", *commands, "tee -q -o cells.txt stat")
    tools.run([tools.find("yosys"), "-q", "-p", "; ".join(script)], folder, folder / "yosys.log")
    told = (folder / "cells.txt").read_text().partition("Number of cells:")[2]
    return Counter({name: int(count) for name, count in _CELL.findall(told)})
