"""Co-simulation: a network as hardware, built and run, and every bit compared with the engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from fxpnn import files
from fxpnn.engine.inference import Progress
from fxpnn.errors import FormatError, one_line
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.rows import Images
from fxpnn.targets.identifiers import check_name
from fxpnn.targets.lowering import Lowering, Step, lower
from fxpnn.targets.simulation.result import Simulated
from fxpnn.targets.target import DEFAULT_MACS, check_macs
from fxpnn.targets.vectors import Vectors, vectors


class Simulator(Enum):
    """What runs the hardware: C on this machine or on a simulated Cortex-M4; two of Verilog."""

    C = "c"
    CORTEX_M = "cortex-m"
    VERILATOR = "verilator"
    IVERILOG = "iverilog"

    @property
    def verilog(self) -> bool:
        """Tell whether it runs Verilog, which has cycles, units and streams."""
        return self in (Simulator.VERILATOR, Simulator.IVERILOG)


@dataclass(frozen=True)
class Core:
    """The Verilog that is run: its units, whether it is for one network, how its streams stall.

    ``stall`` is a seed by which valid and ready come and go; ``None`` is never.

    Raises:
        FormatError: the units are not 1 to 256.
    """

    macs: int = DEFAULT_MACS
    trim: bool = False
    stall: int | None = None

    def __post_init__(self) -> None:
        check_macs(self.macs)


@dataclass(frozen=True)
class Cosimulation:
    """What a simulation gave, beside what it ought to: words and counts, and cycles of Verilog.

    ``predicted`` are the cycles of each step, ``image_predicted`` those of an image.
    """

    lowering: Lowering
    wanted: Vectors
    found: Simulated
    predicted: Mapping[str, int]
    image_predicted: int | None

    def agreed(self, step: Step) -> int:
        """Count the words of a step that agree, up to the first that differs in any."""
        differs, order = self.found.differs, [it.name for it in self.lowering.steps]
        if differs is None:
            return self.found.images * step.size
        here, first = order.index(step.name), order.index(differs.step)
        part = differs.element if here == first else step.size if here < first else 0
        return differs.image * step.size + part

    @property
    def words(self) -> int:
        """Count the words that were compared and agree."""
        return sum(map(self.agreed, self.lowering.steps))

    def layer(self, name: str) -> str:
        """Say which layer a step's or the input's words are of, as a user knows it."""
        step = next((step for step in self.lowering.steps if step.name == name), None)
        return name if step is None else f"{name} ({step.node.op})"

    def verdict(self) -> str | None:
        """Say in one line what is the first thing that differs; ``None`` where all agrees."""
        found = self.found
        if differs := found.differs:
            return one_line(
                f"{self.layer(differs.step)} differs first, in image {differs.image} at "
                f"{differs.element}: {differs.got}, not {differs.wanted}"
            )
        for step in self.lowering.steps:
            got, wanted = found.counts.get(step.name), self.wanted.counts[step.name]
            if got is not None and got != wanted:
                return one_line(f"{self.layer(step.name)} counts {_differing(got, wanted)}")
            taken, told = found.cycles.get(step.name), self.predicted.get(step.name)
            if taken is not None and taken != told:
                return one_line(f"{self.layer(step.name)} takes {taken} cycles, not {told}")
        if found.image_cycles is not None and found.image_cycles != self.image_predicted:
            return f"an image takes {found.image_cycles} cycles, not {self.image_predicted}"
        return found.fault and one_line(found.fault)


def _differing(got: Counts, wanted: Counts) -> str:
    """Name the first count that is another."""
    names = {
        "accumulator_overflows": "adds that the accumulator clamps",
        "saturations": "saturations",
        "below_zero": "values below zero",
    }
    name = next(name for name in names if getattr(got, name) != getattr(wanted, name))
    return f"{getattr(got, name)} {names[name]}, not {getattr(wanted, name)}"


def cosimulate(
    fixed: FixedNetwork,
    images: Images,
    simulator: Simulator | str,
    folder: Path | str,
    name: str = "net",
    core: Core | None = None,
    progress: Progress | None = None,
) -> Cosimulation:
    """Export a network to a folder, build and run it there, and compare it with the engine.

    Args:
        fixed: the network.
        images: as ``fxpnn.infer`` takes them.
        simulator: what to run it by.
        folder: new or empty; sources, logs and the program stay in it.
        name: begins the names of files, modules and functions.
        core: which Verilog, and how it is run; by default 16 units, no stalls.
        progress: told of images that the simulation has done, where it tells.

    Raises:
        FormatError: the simulator or the name is none, or a core is given for C.
        ModelError: the core lacks what a layer does; the message names the layer.
        DataError: the images do not fit, or the folder cannot be written or is not empty.
        ToolError: a tool is missing, too old, or fails.
    """
    simulator, folder = _simulator(simulator), Path(folder).absolute()
    check_name(name)
    if core is not None and not simulator.verilog:
        raise FormatError(f"core must go with verilator or iverilog, not {simulator.value}")
    files.check_folder(folder, ())
    lowering = lower(fixed)
    if simulator.verilog:
        return _verilog(lowering, images, simulator, folder, name, core or Core(), progress)
    wanted = vectors(lowering, images)
    folder.mkdir(exist_ok=True)
    if simulator is Simulator.C:
        from fxpnn.targets.simulation import c

        found = c.simulate(lowering, name, wanted, folder)
    else:
        from fxpnn.targets.simulation import cortex_m

        found = cortex_m.simulate(lowering, name, wanted, folder)
    return Cosimulation(lowering, wanted, found, {}, None)


def _verilog(
    lowering: Lowering,
    images: Images,
    simulator: Simulator,
    folder: Path,
    name: str,
    core: Core,
    progress: Progress | None,
) -> Cosimulation:
    from fxpnn.targets.simulation import verilog
    from fxpnn.targets.verilog import cycles, export

    predicted = cycles.step_cycles(lowering, core.macs)  # refuses what the core has not
    image = cycles.image_cycles(lowering, core.macs)
    wanted = vectors(lowering, images)
    contents = export.write(lowering, name, wanted, core.macs, core.trim)
    files.write_folder(folder, contents.items())
    tool, stall = simulator.value, core.stall
    found = verilog.simulate(lowering, name, wanted, folder, tool, stall, progress)
    return Cosimulation(lowering, wanted, found, predicted, image)


def _simulator(simulator: Simulator | str) -> Simulator:
    try:
        return Simulator(simulator)
    except ValueError:
        known = ", ".join(member.value for member in Simulator)
        raise FormatError(f"simulator must be one of {known}, not {simulator!r}") from None
