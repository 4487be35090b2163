"""The C of a network, compiled for this machine and run."""

import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from fxpnn import files
from fxpnn.targets.c import export
from fxpnn.targets.c.program import Program
from fxpnn.targets.lowering import Lowering
from fxpnn.targets.simulation import built, tools, words
from fxpnn.targets.simulation.result import Simulated
from fxpnn.targets.vectors import Vectors

COMPILER = "gcc"
FLAGS = "-std=c99", "-O2"


def simulate(
    lowering: Lowering,
    name: str,
    vectors: Vectors,
    folder: Path,
    flags: Sequence[str] = FLAGS,
) -> Simulated:
    """Compile a network's C and run it on the vectors' images; compare every word and count.

    ``folder`` keeps the sources, the log and the words; the program is kept as ``built`` says.

    Raises:
        ToolError: the compiler is missing or fails, or the program does.
    """
    write_sources(lowering, name, vectors, folder)
    program = folder / name
    compile_kept(name, folder, program, flags, counted=True)
    seconds = run(program, vectors, folder)
    found = words.read_words(lowering, vectors.images, folder)
    differs = words.difference(lowering, found, vectors)
    counts = {} if differs else found.counts
    return Simulated(vectors.images, found.words, differs, counts, {}, None, seconds)


def write_sources(lowering: Lowering, name: str, vectors: Vectors, folder: Path) -> None:
    """Write the exported files into a folder, and what runs them."""
    sources = export.write(lowering, name, vectors)
    sources["run.h"] = words.glue(Program(lowering, name))
    sources["host.c"] = (resources.files("fxpnn.targets.c") / "host.c").read_bytes()
    files.write_all([(folder / file, content) for file, content in sources.items()])


def switches(name: str, on: bool) -> tuple[str, ...]:
    """Give the flags that make a program count and trace, or not."""
    return tuple(f"-D{name.upper()}_{what}={int(on)}" for what in ("COUNT", "TRACE"))


def compile_kept(
    name: str, folder: Path, program: Path, flags: Sequence[str], counted: bool
) -> None:
    """Compile the sources of a folder to a program, or take the one of an earlier run."""
    flags = (*flags, *switches(name, counted))
    sources = [f"{name}.c", f"{name}_weights.c", "host.c"]
    contents = {file: (folder / file).read_bytes() for file in (*sources, f"{name}.h", "run.h")}
    log = folder / "compile.log"

    def make(inside: Path) -> Path:
        args: list[str | Path] = [tools.find(COMPILER), *flags, *sources, "-o", "program"]
        tools.run(args, inside, log)
        return inside / "program"

    how = {"compiler": tools.version(COMPILER, log), "flags": " ".join(flags)}
    built.executable("c", contents, how, make, program)


def run(program: Path, vectors: Vectors, folder: Path) -> float:
    """Run a program on the vectors' images; return the seconds that it took."""
    words.write_images(vectors, folder)
    begin = time.perf_counter()
    tools.run([program, words.IMAGES, words.WORDS], folder, folder / "run.log")
    return time.perf_counter() - begin
