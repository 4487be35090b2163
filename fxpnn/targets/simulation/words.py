"""What a C program that runs images reads and writes: their words, in the order of the steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fxpnn import files
from fxpnn.engine.program import Words
from fxpnn.errors import ToolError
from fxpnn.network.fixed import Counts
from fxpnn.network.graph import INPUT
from fxpnn.targets.c.program import Program
from fxpnn.targets.lowering import Lowering
from fxpnn.targets.simulation.result import Difference, first_difference
from fxpnn.targets.vectors import Vectors

IMAGES, WORDS = "images.bin", "words.bin"
"""The files that a program reads and writes."""


@dataclass(frozen=True)
class Delivered:
    """What a program wrote: words by step, and by output; counts by step; instructions, if told."""

    steps: Mapping[str, Words]
    outputs: tuple[Words, ...]
    counts: Mapping[str, Counts]
    instructions: int | None = None

    @property
    def words(self) -> int:
        """Count the words of steps."""
        return sum(words.size for words in self.steps.values())


def glue(program: Program) -> bytes:
    """Write ``run.h``, which tells a runner of a network: its sizes, and how one image is run."""
    name, upper = program.prefix, program.prefix.upper()
    sizes = [program.lowering.sizes[tensor] for tensor in program.lowering.outputs]
    outputs = [f"output_{place}" for place in range(len(sizes))]
    pairs = list(zip(outputs, sizes, strict=True))
    lines = [
        f'#include "{name}.h"',
        f"#define RUN_INPUT_WORDS {upper}_INPUT_WORDS",
        f"#define RUN_LAYERS {upper}_LAYERS",
        f"#define RUN_COUNTED {upper}_COUNT",
        f"#define RUN_COUNT {name}_count",
        f"#define RUN_TRACE {name}_trace",
        "void RUN_TRACE(size_t layer, const int16_t *words, size_t count);",
        "static void run(const int16_t *image)",
        "{",
        *(f"    static int16_t {output}[{size}];" for output, size in pairs),
        f"    {name}_infer(image, {', '.join(outputs)});",
        *(f"    RUN_TRACE({upper}_LAYERS, {output}, {size});" for output, size in pairs),
        "}",
        "",
    ]
    return "\n".join(lines).encode()


def write_images(vectors: Vectors, folder: Path) -> None:
    """Write the images that a program reads."""
    files.write(folder / IMAGES, vectors.words[INPUT].astype("<i2").tobytes())


def read_words(
    lowering: Lowering, images: int, folder: Path, told: bool = False, traced: bool = True
) -> Delivered:
    """Read what a program wrote of so many images: all of it, and no more.

    ``told`` says that behind the words of each image there is how many instructions it took.

    Raises:
        ToolError: the file is shorter or longer.
    """
    names = [step.name for step in lowering.steps] * traced
    sizes = [lowering.sizes[name] for name in (*names, *lowering.outputs)]
    each, counts = sum(sizes) + 2 * told, 12 * len(lowering.steps) * traced
    content = np.fromfile(folder / WORDS, "<i2")
    if content.size != images * each + counts:
        raise ToolError(
            f"{folder / WORDS} must hold {images * each + counts} words, not {content.size}; "
            "the program did not end"
        )
    words = content[: images * each].reshape(images, each)
    parts = np.split(words, np.cumsum(sizes), axis=1)
    found = content[images * each :].view("<u8").reshape(-1, 3).tolist()
    return Delivered(
        dict(zip(names, parts, strict=False)),
        tuple(parts[len(names) : -1]),
        {step.name: Counts(*three) for step, three in zip(lowering.steps, found, strict=False)},
        int(np.ascontiguousarray(parts[-1]).view("<u4").sum()) if told else None,
    )


def difference(lowering: Lowering, found: Delivered, vectors: Vectors) -> Difference | None:
    """Return the first word that differs, of a step or of an output."""
    first = first_difference(found.steps, found.steps, vectors)
    for tensor, words in zip(lowering.outputs, found.outputs, strict=True):
        other = first_difference([tensor], {tensor: words}, vectors)
        if other is not None and (first is None or other.image < first.image):
            first = other
    return first
