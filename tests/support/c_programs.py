"""Many networks as one C program: compiled at once, run, and compared with the golden model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.network.fixed import Counts
from fxpnn.network.inputs import INPUT, split
from fxpnn.targets.c import export
from fxpnn.targets.lowering import Lowering, lower
from fxpnn.targets.simulation import tools, words
from fxpnn.targets.vectors import Vectors
from tests.support.strategies import NetworkCase

STRICT = (
    *("-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow"),
    *("-Wpedantic", "-Werror"),
)
"""What the C must pass without a word."""


@dataclass(frozen=True)
class Case:
    """A network with its golden vectors, and the name that its C has."""

    name: str
    lowering: Lowering
    vectors: Vectors


def case(name: str, network: NetworkCase) -> Case:
    """Run a network in Python integers."""
    lowering, run = lower(network.fixed), golden.run(network.fixed, network.raw)
    images = len(network.raw)
    raw = {**split(network.fixed.inputs, network.raw), **run.raw}
    found = {INPUT: network.raw} | {step.name: raw[step.name] for step in lowering.steps}
    flat = {key: value.reshape(images, -1).astype(np.int16) for key, value in found.items()}
    counts = {step.name: run.counts.get(step.node.name, Counts()) for step in lowering.steps}
    return Case(name, lowering, Vectors(flat, counts))


def drawn(strategy: st.SearchStrategy[NetworkCase], count: int, part: int = 0) -> list[NetworkCase]:
    """Draw so many networks, the same each time; other parts are other networks."""
    found: list[NetworkCase] = []

    @seed(part)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(network=strategy)
    def collect(network: NetworkCase) -> None:
        found.append(network)

    collect()
    return found[:count]


def main_of(cases: Sequence[Case]) -> str:
    """Write the program that runs all networks, each on the images of a file of its own."""
    lines = ["#include <stdio.h>", "static FILE *out;"]
    calls = []
    for it in cases:
        name, upper, sizes = it.name, it.name.upper(), it.lowering.sizes
        outputs = [f"y{place}" for place in range(len(it.lowering.outputs))]
        pairs = list(zip(outputs, it.lowering.outputs, strict=True))
        lines += [
            f'#include "{name}.h"',
            f"void {name}_trace(size_t layer, const int16_t *words, size_t count)",
            "{ (void)layer; fwrite(words, 2, count, out); }",
            f"static void run_{name}(void) {{",
            f"    static int16_t x[{sizes[INPUT]}], scratch[{upper}_SCRATCH_WORDS + 1];",
            *(f"    static int16_t {y}[{sizes[tensor]}];" for y, tensor in pairs),
            f'    FILE *in = fopen("{name}.in", "rb"); out = fopen("{name}.out", "wb");',
            "    while (fread(x, sizeof x, 1, in) == 1) {",
            f"        {name}_infer(x, {', '.join(outputs)}, scratch);",
            *(f"        fwrite({y}, sizeof {y}, 1, out);" for y in outputs),
            "    }",
            f"    fwrite({name}_count, sizeof *{name}_count, {upper}_LAYERS, out);",
            "    fclose(out);",
            "    fclose(in);",
            "}",
        ]
        calls.append(f"run_{name}();")
    return "\n".join([*lines, f"int main(void) {{ {' '.join(calls)} return 0; }}", ""])


def run_all(
    cases: Sequence[Case],
    folder: Path,
    compiler: str = "gcc",
    flags: Sequence[str] = ("-std=c99", "-O1"),
) -> None:
    """Write, compile and run networks, and compare every word and count."""
    (folder / "main.c").write_text(main_of(cases))
    sources = ["main.c"]
    for it in cases:
        for file, content in files(it).items():
            (folder / file).write_bytes(content)
        (folder / f"{it.name}.in").write_bytes(it.vectors.words[INPUT].astype("<i2").tobytes())
        sources += [f"{it.name}.c", f"{it.name}_weights.c"]
    switches = [
        f"-D{it.name.upper()}_{switch}"
        for it in cases
        for switch in ("COUNT=1", "TRACE=1", "STATIC=0")
    ]
    command: list[str | Path] = [
        tools.find(compiler),
        *STRICT,
        *flags,
        *switches,
        *sources,
        "-o",
        "all",
    ]
    tools.run(command, folder, folder / "compile.log")
    tools.run([folder / "all"], folder, folder / "run.log")
    for it in cases:
        compare(it, folder)


def compare(it: Case, folder: Path) -> None:
    """Assert that a program wrote the words and counts of the golden model."""
    (folder / words.WORDS).write_bytes((folder / f"{it.name}.out").read_bytes())
    found = words.read_words(it.lowering, it.vectors.images, folder)
    differs = words.difference(it.lowering, found, it.vectors)
    assert differs is None, (it.name, differs, it.lowering.fixed)
    assert found.counts == it.vectors.counts, (it.name, it.lowering.fixed)


def files(it: Case) -> dict[str, bytes]:
    """Return the files of a network."""
    return export.write(it.lowering, it.name, it.vectors)
