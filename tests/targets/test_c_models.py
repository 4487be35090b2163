"""The C of the bundled networks: every word and count, and what compilers say of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import fxpnn
from fxpnn.errors import ToolError
from fxpnn.fixedpoint.qformat import Accumulator
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.quantization.settings import Settings
from fxpnn.targets.lowering import Lowering, lower
from fxpnn.targets.simulation import c, tools
from fxpnn.targets.vectors import Vectors, vectors
from tests.support.c_programs import STRICT
from tests.support.tools import needs

pytestmark = needs("gcc")

MODELS = {"mlp": "mlp-784-100-10", "lenet_relu": "lenet5-relu", "lenet": "lenet5"}
"""The bundled networks by the names that their C has."""


@cache
def bundled(name: str) -> FixedNetwork:
    """Quantize a bundled network by its defaults."""
    loaded = fxpnn.load_onnx(f"models/{MODELS[name]}.onnx")
    return fxpnn.quantize(loaded, fxpnn.load_data("mnist:calibration").x)


@cache
def golden(name: str, images: int) -> tuple[Lowering, Vectors]:
    """Lower a bundled network, and run the first test images."""
    lowering = lower(bundled(name))
    return lowering, vectors(lowering, fxpnn.load_data("mnist").x[:images])


def check(name: str, images: int, folder: Path, flags: Sequence[str] = c.FLAGS) -> None:
    """Compare every word of every layer and output, and every count, of so many test images."""
    lowering, wanted = golden(name, images)
    found = c.simulate(lowering, name, wanted, folder, flags)
    assert found.differs is None
    assert found.counts == wanted.counts
    assert found.images == images
    assert found.words == images * sum(step.size for step in lowering.steps)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("mlp", 50),
        ("lenet_relu", 5),
        ("lenet", 5),
        *(pytest.param(name, 10_000, marks=pytest.mark.slow) for name in MODELS),
    ],
)
def test_every_word_and_count_is_the_engine_s(name: str, images: int, tmp_path: Path) -> None:
    """Of all layers and outputs, on test images."""
    check(name, images, tmp_path)


SANITIZED = (*c.FLAGS, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("mlp", 3),
        ("lenet", 2),
        *(pytest.param(name, 500, marks=pytest.mark.slow) for name in MODELS),
    ],
)
def test_sanitizers_find_nothing(name: str, images: int, tmp_path: Path) -> None:
    """No access is out of bounds, no operation undefined, and the words are the same."""
    check(name, images, tmp_path, SANITIZED)


def in_17_bits() -> FixedNetwork:
    """Quantize the MLP to 8 bits, with accumulators of 17: its first sums need up to 21."""
    network = fxpnn.load_onnx("models/mlp-784-100-10.onnx")
    fixed = fxpnn.quantize(network, fxpnn.load_data("mnist:calibration").x, Settings(word=8))
    narrow = Accumulator(17)
    nodes = tuple(replace(n, accumulator=n.accumulator and narrow) for n in fixed.nodes)
    return replace(fixed, nodes=nodes)


@pytest.mark.parametrize(
    ("images", "clamps"), [(20, None), pytest.param(10_000, 5_745_255, marks=pytest.mark.slow)]
)
def test_clamped_adds_are_counted(images: int, clamps: int | None, tmp_path: Path) -> None:
    """An accumulator too narrow clamps so many adds; the words and counts are the engine's."""
    lowering = lower(in_17_bits())
    wanted = vectors(lowering, fxpnn.load_data("mnist").x[:images])
    found = c.simulate(lowering, "narrow", wanted, tmp_path)
    assert found.differs is None
    assert found.counts == wanted.counts
    counted = found.counts["hidden_relu"].accumulator_overflows
    assert counted > 100
    assert clamps is None or found.counts["hidden_relu"] == Counts(clamps, 0, 608_458)


@needs("g++", "clang", "clang++", "nm")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_strict_compilers_say_nothing(compiler: str, name: str, tmp_path: Path) -> None:
    """All four files compile without a warning, as C99 and C++17; the program calls no library."""
    c.write_sources(*golden(name, 2)[:1], name, golden(name, 2)[1], tmp_path)
    log = tmp_path / "log"
    for language in (["-std=c99"], ["-x", "c++", "-std=c++17"]):
        for file in (f"{name}.c", f"{name}_weights.c", f"{name}_test.c"):
            command = [tools.find(compiler), *STRICT, "-O2", *language, "-c", file, "-o", "it.o"]
            if compiler == "clang" and language[0] == "-x":
                command.append("-Wno-deprecated")
            tools.run([*map(str, command)], tmp_path, log)
            if file == f"{name}.c":
                asked = tools.run(["nm", "-u", "it.o"], tmp_path, log).split()
                assert {it for it in asked if not it.startswith(f"{name}_layer_")} <= {"U"}


@pytest.mark.parametrize("switches", [["COUNT=1", "TRACE=1"], ["STATIC=0"], []])
@pytest.mark.parametrize("name", MODELS)
def test_the_exported_test_passes(name: str, switches: list[str], tmp_path: Path) -> None:
    """With layers and counts, with the caller's memory, and as it is."""
    lowering, wanted = golden(name, 2)
    c.write_sources(lowering, name, wanted, tmp_path)
    said = built_and_run(name, switches, tmp_path)
    assert said == f"{name}: 2 images, all words as they must be\n"


def built_and_run(name: str, switches: Sequence[str], folder: Path) -> str:
    """Compile the exported files and run the test among them; return what it printed."""
    defined = [f"-D{name.upper()}_{switch}" for switch in switches]
    files = [f"{name}{part}.c" for part in ("", "_weights", "_test")]
    tools.run(["gcc", "-std=c99", *defined, *files, "-o", "it"], folder, folder / "log")
    return tools.run([folder / "it"], folder, folder / "run.log")


@pytest.mark.parametrize(
    ("file", "old", "new", "switches", "said"),
    [
        ("mlp_test", r"golden_output.20. = \{\n    ", r"\g<0>1", [], "image 0, output.0.: got"),
        ("mlp", "return floor .*;", "return floor;", ["TRACE=1"], "image 0, layer hidden_relu"),
        (
            "mlp_weights",
            r"bias.100. = \{\n    ",
            r"\g<0>99999 + ",
            ["TRACE=1"],
            "layer hidden_relu",
        ),
        (
            "mlp_test",
            "{0u, 0u, 0u}",
            "{0u, 1u, 0u}",
            ["COUNT=1"],
            "layer hidden_relu: other counts",
        ),
    ],
)
def test_the_exported_test_can_fail(
    file: str, old: str, new: str, switches: list[str], said: str, tmp_path: Path
) -> None:
    """A golden word, a rounding, a weight or a count that is another ends it with status 1."""
    lowering, wanted = golden("mlp", 2)
    c.write_sources(lowering, "mlp", wanted, tmp_path)
    changed, many = re.subn(old, new, (tmp_path / f"{file}.c").read_text(), count=1)
    assert many == 1
    (tmp_path / f"{file}.c").write_text(changed)
    with pytest.raises(ToolError, match=rf"^it failed with status 1: .*{said}"):
        built_and_run("mlp", switches, tmp_path)
