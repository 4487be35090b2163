"""Own one run of a program on one block of raw images, in a workspace of its own."""

import numpy as np
import numpy.typing as npt

from fxpnn.fixed import Counts
from fxpnn.network import INPUT
from fxpnn.program import Program, Words


def run_words(program: Program, raw: Words) -> tuple[dict[str, Words], dict[str, Counts]]:
    """Run raw words ``(N, *shape)``, N at most the program's; return its tensors and counts."""
    space = np.empty(program.size, np.int16)
    enter(program, raw, space)
    totals = execute(program, space, len(raw))
    tensors = {name: fetch(program, space, name, len(raw)) for name in program.tensors}
    return tensors, counts(program, totals)


def enter(program: Program, raw: Words, space: Words) -> None:
    """Put raw words ``(N, *shape)`` where the program reads its input."""
    tensor = program.tensors[INPUT]
    block = space[tensor.base : tensor.base + len(raw) * tensor.words].reshape(len(raw), -1)
    flat, order = raw.reshape(len(raw), -1), program.orders[INPUT]
    if order.size:
        block[:, order] = flat
    else:
        block[:] = flat


def execute(program: Program, space: Words, images: int) -> npt.NDArray[np.int64]:
    """Run the program on what stands in the workspace; return the counts, ``(nodes, 2)``."""
    totals = np.zeros((len(program.nodes), 2), np.int64)
    for run, code in program.parts:
        run(code, *program.pools, space, images, totals)
    return totals


def fetch(program: Program, space: Words, name: str, images: int) -> Words:
    """Copy a kept tensor of the images out of the workspace, ``(images, *shape)``."""
    tensor, order = program.tensors[name], program.orders[name]
    block = space[tensor.base : tensor.base + images * tensor.words].reshape(images, -1)
    values = block[:, order] if order.size else block.copy()
    return values.reshape(images, *tensor.places.shape)


def counts(program: Program, totals: npt.NDArray[np.int64]) -> dict[str, Counts]:
    """Name the rows of the counts."""
    return {n: Counts(*row) for n, row in zip(program.nodes, totals.tolist(), strict=True)}
