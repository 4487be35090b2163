"""The arithmetic units of the core under Verilator, one cycle a row: `rtl/units_harness.v`."""

import subprocess
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fxpnn.targets.simulation import built, tools

HARNESS = Path(__file__).parent / "rtl"
UNITS = "requantize", "table", "exponential", "softmax", "divide", "pool"
WORDS_IN, WORDS_OUT = 12, 4
"""The 32-bit words of a cycle."""

Rows = npt.NDArray[np.uint64]
Value = int | npt.NDArray[np.int64] | npt.NDArray[np.bool]

LOAD = {"write": (8, 1), "tables": (9, 1), "at": (16, 15), "word": (32, 16), "entry": (64, 40)}
REQUANTIZE = {
    "shift": (16, 7),
    "rounding": (24, 3),
    "overflow": (28, 2),
    "word": (32, 5),
    "signed": (40, 1),
    "value": (64, 62),
    "low": (128, 16),
    "high": (144, 16),
    "floor": (160, 16),
    "ceiling": (176, 16),
}
TABLE = {
    "valid": (8, 1),
    "kind": (16, 3),
    "x": (32, 16),
    "position_shift": (64, 6),
    "segments": (80, 12),
    "base": (96, 12),
    "relu_shift": (112, 6),
    "g_shift": (120, 5),
}
EXPONENTIAL = {"d": (16, 16), "exponent": (32, 6), "base": (64, 12)}
SOFTMAX = {
    "start": (8, 1),
    "from": (64, 16),
    "to": (80, 16),
    "stride": (96, 16),
    "jump": (112, 16),
    "size": (128, 13),
    "inner": (144, 16),
    "outer": (160, 16),
    "exponent": (176, 6),
    "base": (192, 12),
}
POOL = {
    "valid": (8, 1),
    "in_map": (9, 1),
    "counted": (10, 1),
    "first": (11, 1),
    "last": (12, 1),
    "average": (13, 1),
    "x": (16, 16),
    "minimum": (32, 16),
    "steps": (48, 6),
}
LAYOUTS = MappingProxyType(dict(enumerate((LOAD, REQUANTIZE, TABLE, EXPONENTIAL, SOFTMAX, POOL))))
"""Of each unit of the harness, where its ports begin in a row and how many bits they have."""


def rows(unit: int, cycles: int, **fields: Value) -> Rows:
    """Give so many cycles of a unit; a field is one integer for all, or an array of one each."""
    made = np.zeros((cycles, WORDS_IN // 2), np.uint64)
    made[:, 0] = unit | 1 << 3  # out of reset
    for name, value in fields.items():
        begin, bits = LAYOUTS[unit][name]
        limb, place = divmod(begin, 64)
        assert place + bits <= 64, name
        masked = np.asarray(value, np.int64).astype(np.uint64) & np.uint64((1 << bits) - 1)
        made[:, limb] |= masked << np.uint64(place)
    return made


def tables(entries: npt.NDArray[np.int32], base: int = 0) -> Rows:
    """Give the cycles that load a table as the ROM holds it: entry, difference to the next."""
    upper = entries.astype(np.int64)
    lower = np.diff(upper, append=upper[-1])
    assert np.abs(lower).max() < 1 << 17
    word = (upper & 0x3FFFFF) << 18 | lower & 0x3FFFF
    return rows(0, len(upper), tables=1, at=base + np.arange(len(upper)), entry=word)


def memory(words: npt.NDArray[np.int64], base: int = 0) -> Rows:
    """Give the cycles that load words of the memory."""
    return rows(0, len(words), write=1, at=base + np.arange(len(words)), word=words)


def run(*parts: Rows) -> npt.NDArray[np.uint64]:
    """Simulate cycles after one of reset; give the low and the high 64 bits out of each."""
    driven = np.concatenate([np.zeros((1, WORDS_IN // 2), np.uint64), *parts])
    ran = subprocess.run([simulator()], input=driven.tobytes(), capture_output=True, check=True)
    return np.frombuffer(ran.stdout, np.uint64).reshape(-1, WORDS_OUT // 2)[1:]


def signed(bits: npt.NDArray[np.uint64], size: int) -> npt.NDArray[np.int64]:
    """Read the low bits as a number in two's complement."""
    return (bits << np.uint64(64 - size)).view(np.int64) >> np.int64(64 - size)


@cache
def simulator() -> Path:
    """Build the harness, or take what a run before has built."""
    core = resources.files("fxpnn.targets.rtl")
    sources = {f"fx_{name}.v": core.joinpath(f"fx_{name}.v").read_bytes() for name in UNITS}
    sources |= {path.name: path.read_bytes() for path in HARNESS.iterdir()}
    folder = Path(tempfile.mkdtemp(prefix="fxpnn-units-"))
    program = folder / "units"
    version = tools.version("verilator", folder / "version.log")
    built.executable("units", sources, {"tool": version}, _build, program)
    return program


def _build(folder: Path) -> Path:
    flags = ("--cc", "--exe", "--build", "-O3", "--top-module", "units_harness")
    files = sorted(path.name for path in folder.iterdir())
    optimized = "-CFLAGS", "-O2", "-o", "units"
    tools.run([tools.find("verilator"), *flags, *optimized, *files], folder, folder / "build.log")
    return folder / "obj_dir" / "units"
