"""The C of a network on a Cortex-M4 that QEMU simulates, instruction by instruction."""

import time
from importlib import resources
from pathlib import Path

from fxpnn.targets.lowering import Lowering
from fxpnn.targets.simulation import built, c, tools, words
from fxpnn.targets.simulation.result import Simulated
from fxpnn.targets.vectors import Vectors

COMPILER, MACHINE = "arm-none-eabi-gcc", "qemu-system-arm"
FLAGS = ("-std=c99", "-O2", "-mcpu=cortex-m4", "-mthumb", "-ffreestanding", "-nostdlib")
RUN = ("-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none")
EXACT = ("-semihosting-config", "enable=on", "-icount", "shift=0")
"""An instruction takes 1 ns of simulated time, and nothing else does."""


def simulate(lowering: Lowering, name: str, vectors: Vectors, folder: Path) -> Simulated:
    """Compile a network's C for a Cortex-M4, run it in QEMU, and compare every word and count.

    ``instructions`` are those of the network alone, the same on every machine: they are no cycles.

    Raises:
        ToolError: the compiler or QEMU is missing or fails, or the program does.
    """
    c.write_sources(lowering, name, vectors, folder)
    counted = _run(lowering, name, vectors, folder, True)
    found = words.read_words(lowering, vectors.images, folder, told=True)
    differs = words.difference(lowering, found, vectors)
    _run(lowering, name, vectors, folder, False)
    plain = words.read_words(lowering, vectors.images, folder, told=True, traced=False)
    differs = differs or words.difference(lowering, plain, vectors)
    return Simulated(
        images=vectors.images,
        words=found.words,
        differs=differs,
        counts={} if differs else found.counts,
        cycles={},
        image_cycles=None,
        seconds=counted,
        instructions=plain.instructions,
    )


def _run(lowering: Lowering, name: str, vectors: Vectors, folder: Path, counted: bool) -> float:
    """Build and run the program that counts and traces, or the one that does not."""
    program, data = folder / f"{name}.elf", resources.files("fxpnn.targets.c")
    sources = [f"{name}.c", f"{name}_weights.c", "cortex_m.c"]
    contents = {f: (folder / f).read_bytes() for f in (*sources[:2], f"{name}.h", "run.h")}
    contents |= {f: (data / f).read_bytes() for f in ("cortex_m.c", "cortex_m.ld")}
    log, flags = folder / "compile.log", (*FLAGS, *c.switches(name, counted))

    def make(inside: Path) -> Path:
        args: list[str | Path] = [tools.find(COMPILER), *flags, "-T", "cortex_m.ld", *sources]
        tools.run([*args, "-lgcc", "-o", "program"], inside, log)
        return inside / "program"

    how = {"compiler": tools.version(COMPILER, log), "flags": " ".join(flags)}
    built.executable("cortex-m", contents, how, make, program)
    words.write_images(vectors, folder)
    begin = time.perf_counter()
    tools.run([tools.find(MACHINE), *RUN, *EXACT, "-kernel", program], folder, folder / "run.log")
    return time.perf_counter() - begin
