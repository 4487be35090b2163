"""The Verilog core as one program that runs any small network: Verilator builds it once."""

import subprocess
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from fxpnn.network.fixed import Counts, RawArray
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Softmax
from fxpnn.targets.lowering import Lowering
from fxpnn.targets.simulation import built
from fxpnn.targets.vectors import Vectors
from fxpnn.targets.verilog import export, roms
from fxpnn.targets.verilog.instruction import Sizes
from fxpnn.targets.verilog.program import Program

CORE = Sizes(
    macs=4,
    acc=63,
    bias=63,
    clamp=1,
    wide=64,
    words=4096,
    place=8,
    count=12,
    program=64,
    weights=4096,
    biases=512,
    tables=8192,
    steps=16,
)
"""Enough for the networks that hypothesis draws."""

MAIN = Path(__file__).parent / "core.cpp"
VISIBLE = b'`verilator_config\npublic_flat_rd -module "fx_memory" -var "words"\n'


@dataclass
class Ran:
    """What the core did; ``words`` are those of each step, one array an image.

    ``given`` are output words, each with tlast and, where that is 1, the class. What was before a
    reset is forgotten.
    """

    words: dict[str, list[RawArray]] = field(default_factory=dict)
    cycles: dict[str, set[int]] = field(default_factory=dict)
    image_cycles: set[int] = field(default_factory=set)
    given: list[tuple[int, ...]] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    error: bool = False


def core(folder: Path, sizes: Sizes = CORE) -> Path:
    """Build the core in a folder; it runs where its ROMs are."""
    rtl = resources.files("fxpnn.targets.rtl")
    sources = {name: rtl.joinpath(name).read_bytes() for name in export.MODULES}
    sources |= {"core.cpp": MAIN.read_bytes(), "visible.vlt": VISIBLE}
    values = {f"-G{name.upper()}": str(value) for name, value in asdict(sizes).items()}

    def make(here: Path) -> Path:
        options = [f"{name}={value}" for name, value in values.items()]
        command = ["verilator", "--cc", "--exe", "--build", "-O3", "-Wno-fatal", *options]
        command += ["--top-module", "fx_core", "--x-assign", "unique", "--x-initial", "unique"]
        subprocess.run([*command, *sources], cwd=here, check=True, capture_output=True)
        return here / "obj_dir" / "Vfx_core"

    target = folder / "core"
    built.executable("core", sources, values, make, target)
    return target


def run(
    executable: Path,
    lowering: Lowering,
    program: Program,
    vectors: Vectors,
    stall: int = 0,
    tlast: int | None = None,
    reset: int = 0,
) -> Ran:
    """Run the images of vectors; ``stall`` is a seed, ``reset`` the cycle of a reset, 0 for none.

    ``tlast`` is the place in an image at which it comes, the last unless it is given.
    """
    for name, content in roms.spell(program).items():
        (executable.parent / name).write_bytes(content)
    taken, offsets = lowering.sizes[INPUT], lowering.memory().offsets
    given = sum(lowering.sizes[name] for name in lowering.outputs)
    last = taken - 1 if tlast is None else tlast
    told = [taken, given, vectors.images, stall, last, reset, len(lowering.steps)]
    told += [n for step in lowering.steps for n in (offsets[step.name], step.size)]
    text = " ".join(map(str, [*told, *vectors.words[INPUT].reshape(-1).tolist()]))
    made = subprocess.run(
        [executable], cwd=executable.parent, input=text, check=True, capture_output=True, text=True
    )
    return _heard(made.stdout, [step.name for step in lowering.steps])


def _heard(text: str, steps: list[str]) -> Ran:
    ran = Ran()
    for line in text.splitlines():
        what, *shown = line.split()
        numbers = list(map(int, shown))
        match what:
            case "RESET":
                ran = Ran()
            case "STEP":
                step, cycles, *words = numbers
                ran.words.setdefault(steps[step], []).append(np.array(words))
                ran.cycles.setdefault(steps[step], set()).add(cycles)
            case "OUT":
                word, last, place = numbers
                ran.given.append((word, last, last * place))
            case "IMAGE":
                ran.image_cycles.add(numbers[0])
            case "COUNTS":
                ran.counts[steps[numbers[0]]] = Counts(*numbers[1:])
            case "ERROR":
                ran.error = bool(numbers[0])
    return ran


def wanted(lowering: Lowering, vectors: Vectors) -> list[tuple[int, ...]]:
    """Return what ``Ran.given`` must be.

    The class is that of the last output, or of the input of the one softmax that gives it.
    """
    words = np.concatenate([vectors.words[name] for name in lowering.outputs], axis=1)
    tensor = lowering.outputs[-1]
    for step in lowering.steps:
        layer = step.node.layer
        if not isinstance(layer, Softmax) or step.name != lowering.outputs[-1]:
            continue
        if step.shape[layer.axis] == step.size:
            tensor = step.sources[0].tensor
    classes = vectors.words[tensor].argmax(axis=1).tolist()
    given = list[tuple[int, ...]]()
    for image, place in zip(words.tolist(), classes, strict=True):
        given += [(word, 0, 0) for word in image[:-1]] + [(image[-1], 1, place)]
    return given
