"""The folder of a network in Verilog: the core, its ROMs, and the module of the network."""

from importlib import resources

from fxpnn.targets.lowering import Lowering
from fxpnn.targets.vectors import Vectors
from fxpnn.targets.verilog import bench, cycles, roms
from fxpnn.targets.verilog.program import Program, assemble
from fxpnn.targets.verilog.wrapper import wrapper

MODULES = (
    *("fx_core.v", "fx_sequencer.v", "fx_address.v", "fx_memory.v", "fx_rom.v", "fx_sums.v"),
    *("fx_array.v", "fx_mac.v", "fx_values.v", "fx_pool.v", "fx_divide.v", "fx_table.v"),
    *("fx_softmax.v", "fx_exponential.v", "fx_requantize.v", "fx_writer.v", "fx_counts.v"),
    "fx_argmax.v",
)
"""The core: hand-written, the same for every network."""


def write(
    lowering: Lowering, name: str, vectors: Vectors, macs: int, trim: bool
) -> dict[str, bytes]:
    """Write the design of a network for a core with so many units, and what tests it.

    ``trim`` makes a core for this network alone, no wider than its proofs say.

    Raises:
        ModelError: the core has not what a layer does; the message names it.
    """
    files = design(assemble(lowering, macs, trim), name, lowering.fixed.name)
    taken = cycles.step_cycles(lowering, macs)
    image = cycles.image_cycles(lowering, macs)
    return files | bench.write(lowering, name, vectors, [*files], taken, image)


def design(program: Program, name: str, network: str) -> dict[str, bytes]:
    """Write the files that are synthesized: modules, and what their ROMs hold."""
    rtl = resources.files("fxpnn.targets.rtl")
    modules = {module: rtl.joinpath(module).read_bytes() for module in MODULES}
    top = {f"{name}.v": wrapper(program, name, network).encode()}
    return top | modules | roms.spell(program)
