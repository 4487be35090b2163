"""What a network is exported as, and the choices that an export for hardware has."""

from dataclasses import dataclass
from enum import Enum

from fxpnn.errors import FormatError
from fxpnn.targets.identifiers import check_name

MOST_MACS = 256
DEFAULT_MACS = 16
"""The units of a core that is not told how many."""


class Target(Enum):
    """What a network is exported as: a file for the first two, a folder for the others."""

    QONNX = "qonnx"
    QDQ = "qdq"
    HEX = "hex"
    C = "c"
    VERILOG = "verilog"

    @property
    def hardware(self) -> bool:
        """Tell whether the export is a folder for hardware."""
        return self not in (Target.QONNX, Target.QDQ)


@dataclass(frozen=True)
class Choices:
    """What an export for hardware is to be.

    ``name`` begins the names of its files, modules and functions. ``macs`` units multiply and add
    at a time, ``trim`` makes a core for one network, no wider than its proofs say: both are
    Verilog's.

    Raises:
        FormatError: the name or the units cannot be, or are given to another target.
    """

    target: Target
    name: str
    macs: int | None = None
    trim: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.target.hardware:
            raise FormatError(f"target must be hex, c or verilog, not {self.target.value}")
        if self.target is not Target.VERILOG:
            given = {"macs": self.macs is not None, "trim": self.trim}
            for option in (option for option in given if given[option]):
                raise FormatError(f"{option} must go with verilog, not {self.target.value}")
        if self.macs is not None:
            check_macs(self.macs)

    @property
    def units(self) -> int:
        """Count the units of the core."""
        return self.macs or DEFAULT_MACS


def check_macs(macs: int) -> int:
    """Return a number of units where a core can have as many.

    Raises:
        FormatError: it is not 1 to 256.
    """
    if not 1 <= macs <= MOST_MACS:
        raise FormatError(f"macs must be 1 to {MOST_MACS}, not {macs}")
    return macs
