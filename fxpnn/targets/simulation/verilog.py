"""The Verilog of an export, compiled and run by Verilator or Icarus Verilog with its test bench."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fxpnn.engine.inference import Progress
from fxpnn.errors import ToolError
from fxpnn.network.fixed import Counts
from fxpnn.targets.lowering import Lowering
from fxpnn.targets.simulation import built, tools
from fxpnn.targets.simulation.result import Difference, Simulated
from fxpnn.targets.vectors import Vectors

VERILATOR, ICARUS = "verilator", "iverilog"
LOG = "bench.log"
OLDEST = {VERILATOR: "5.006", ICARUS: "11.0"}
"""The versions that the tests run; Verilator before 5 has no ``--binary``."""

_VERILATE = ("--binary", "-O3", "-Wno-fatal", "-MAKEFLAGS", "OPT_FAST=-O2")
"""Warnings are the business of ``make lint``; ``-Os``, its default, runs slower."""
_ICARUS = ("-g2005",)
_SAID = re.compile(r"(COUNTS|CYCLES|IMAGE_CYCLES|PASS|DIFFERS|FAULT) (.+)")
_DIFFERS = re.compile(
    r"image (?P<image>\d+) step (?P<step>\d+) element (?P<element>\d+) "
    r"got (?P<got>\S+) wanted (?P<wanted>-?\d+): "
)
_FAULT = re.compile(r"image (?P<image>\d+) step (?P<step>-?\d+) (?P<what>.+?): ")


def simulate(
    lowering: Lowering,
    name: str,
    vectors: Vectors,
    folder: Path,
    tool: str = VERILATOR,
    stall: int | None = None,
    progress: Progress | None = None,
) -> Simulated:
    """Build and run the bench in a folder that holds an export; logs and the program stay in it.

    ``stall`` is a seed by which the streams' valid and ready come and go.

    Raises:
        ToolError: the tool is missing, too old or fails, or the run ends early.
    """
    program = build(name, folder, tool)
    said, seconds = run(program, folder, tool, stall, progress)
    found = _parsed(said, seconds, lowering, vectors)
    if found is None:
        last = said.strip().rpartition("\n")[2] or "no word"
        raise ToolError(f"{tool} ends before the bench does: {last} (all in {folder / LOG})")
    return found


def build(name: str, folder: Path, tool: str) -> Path:
    """Compile all Verilog of a folder, its bench on top, unless that was done before.

    Raises:
        ToolError: the tool is missing, too old or fails.
    """
    log = folder / f"{tool}.log"
    said = tools.version(tool, log, "-V" if tool == ICARUS else "--version")
    tools.require(tool, said, OLDEST[tool])
    how = {"tool": said, "top": f"{name}_tb"}
    if tool == ICARUS:
        how |= {"flags": " ".join(_ICARUS)}
    else:
        how |= {"flags": " ".join(_VERILATE), "compiler": tools.version("g++", log)}
    sources = {path.name: path.read_bytes() for path in sorted(folder.glob("*.v"))}
    files, top, program = [*sources], f"{name}_tb", folder / f"{name}_tb.{tool}"

    def make(place: Path) -> Path:
        if tool == ICARUS:
            tools.run([tools.find(tool), *_ICARUS, "-s", top, "-o", "made", *files], place, log)
            return place / "made"
        to = ("--top-module", top, "--Mdir", "made", "-o", "made")
        tools.run([tools.find(tool), *_VERILATE, *to, *files], place, log)
        return place / "made/made"

    built.executable(tool, sources, how, make, program)
    return program


def run(
    program: Path,
    folder: Path,
    tool: str,
    stall: int | None = None,
    progress: Progress | None = None,
) -> tuple[str, float]:
    """Run what was built in a folder, which holds vectors and memories; give what it said.

    Also the seconds that it took.

    Raises:
        ToolError: it fails.
    """
    command = [tools.find("vvp"), "-n", program] if tool == ICARUS else [program]
    plus = [] if stall is None else [f"+stall={stall}"]
    before = time.perf_counter()
    said = tools.run([*command, *plus], folder, folder / LOG, _heard(progress))
    return said, time.perf_counter() - before


def _heard(progress: Progress | None) -> Callable[[str], None] | None:
    """Pass on how many images are done, of which the bench tells now and then."""
    done = 0

    def hear(line: str) -> None:
        nonlocal done
        if progress is not None and line.startswith("IMAGES "):
            now = int(line.split()[1])
            progress(now - done)
            done = now

    return hear if progress else None


def _parsed(said: str, seconds: float, lowering: Lowering, vectors: Vectors) -> Simulated | None:
    """Read the lines of the bench; ``None`` where they do not tell how it ended."""
    lines: dict[str, list[str]] = {}
    for match in _SAID.finditer(said):
        lines.setdefault(match[1], []).append(match[2])
    names = [step.name for step in lowering.steps]
    counts = (map(int, line.split()) for line in lines.get("COUNTS", []))
    cycles = (map(int, line.split()) for line in lines.get("CYCLES", []))
    whole = Simulated(
        images=vectors.images,
        words=vectors.images * sum(step.size for step in lowering.steps),
        differs=None,
        counts={names[step]: Counts(*three) for step, *three in counts},
        cycles={names[step]: taken for step, taken in cycles},
        image_cycles=next((int(line) for line in lines.get("IMAGE_CYCLES", [])), None),
        seconds=seconds,
    )
    if lines.get("PASS") == [f"images {whole.images} words {whole.words}"]:
        return whole
    told = "".join(lines.get("DIFFERS", []) + lines.get("FAULT", []))
    if differing := _DIFFERS.match(told):
        return _differing(whole, differing, lowering)
    if faulty := _FAULT.match(told):
        step = int(faulty["step"])
        where = names[step] if 0 <= step < len(names) else "the stream"
        fault = f"image {faulty['image']}: {where} {faulty['what']}"
        return replace(whole, words=0, fault=fault)
    return None


def _differing(whole: Simulated, match: re.Match[str], lowering: Lowering) -> Simulated:
    """Tell of the first word that differs: of a step, of an output, or the class of the image."""
    image, entry, element = (int(match[name]) for name in ("image", "step", "element"))
    tensors = (*(step.name for step in lowering.steps), *lowering.outputs)
    words = image * sum(step.size for step in lowering.steps)
    found = replace(whole, images=image, words=words, counts={}, cycles={})
    got, wanted = match["got"], match["wanted"]
    if entry == len(tensors):
        return replace(found, fault=f"image {image}: the class is {got}, not {wanted}")
    if not got.lstrip("-").isdigit():
        where = f"word {element} of {tensors[entry]}"
        return replace(found, fault=f"image {image}: {where} is unknown ({got}), not {wanted}")
    first = Difference(image, tensors[entry], element, int(got), int(wanted))
    return replace(found, differs=first)
