"""The C of random networks gives the golden model's words and counts, without a warning."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Relu
from fxpnn.targets.simulation import tools
from tests.support import c_programs
from tests.support.c_programs import Case
from tests.support.strategies import (
    NetworkCase,
    dense_at_limit,
    dense_in_register,
    fixed_networks,
    repeated_factors,
    unsigned_before_relus,
)
from tests.support.tools import needs

pytestmark = needs("gcc")

HOSTILE = (
    *("output", "scratch", "int", "copy", "COUNT", "x", "y", "size_t", "layer_0"),
    *("/conv1/Conv.0", "a */ b", "/* a", "??/", 'a"b', "a\\", "a\nb", "\u202eb", "ü", "%s"),
    *("nearest_even_64", "Nearest_even_64", "n" * 300, "main"),
)
"""Names of layers that a writer of C may stumble over."""


def cases(networks: list[NetworkCase]) -> list[Case]:
    """Name networks, and run them in Python integers."""
    return [c_programs.case(f"n{place}", network) for place, network in enumerate(networks)]


MIXED = st.one_of(fixed_networks(), fixed_networks(), fixed_networks((Conv2D, Relu)))
AIMED = st.one_of(
    dense_at_limit(), dense_in_register(), unsigned_before_relus(), repeated_factors()
)


@pytest.mark.parametrize("part", range(6))
def test_random_networks(part: int, tmp_path: Path) -> None:
    """Layers of every kind, in formats that overflow: ten networks are one program."""
    c_programs.run_all(cases(c_programs.drawn(MIXED, 10, part)), tmp_path)


def test_curves_and_places(tmp_path: Path) -> None:
    """Tables of one side and of both, a quotient, and places that repeat."""
    kinds = (layers.Gelu, layers.GeluTanh, layers.Mish, layers.Selu, layers.Softsign, layers.Take)
    c_programs.run_all(cases(c_programs.drawn(fixed_networks(kinds), 12)), tmp_path)


def test_masks(tmp_path: Path) -> None:
    """Softmax of runs of places, along any axis."""
    kinds = (layers.MaskedSoftmax, layers.MaskedSoftmax, layers.Clip)
    c_programs.run_all(cases(c_programs.drawn(fixed_networks(kinds), 12)), tmp_path)


@pytest.mark.parametrize("part", range(4))
def test_sums_at_their_limits(part: int, tmp_path: Path) -> None:
    """Sums and products on ties and at the ends of accumulators, casts that stand for a ReLU."""
    c_programs.run_all(cases(c_programs.drawn(AIMED, 10, part)), tmp_path)


def renamed(network: NetworkCase, first: int) -> NetworkCase:
    """Give every layer a hostile name, from the ``first`` on."""
    fixed = network.fixed
    names = {node.name: HOSTILE[first + place] for place, node in enumerate(fixed.nodes)}
    names[INPUT] = INPUT
    nodes = tuple(
        replace(node, name=names[node.name], inputs=tuple(names[name] for name in node.inputs))
        for node in fixed.nodes
    )
    outputs = tuple(names[name] for name in fixed.outputs)
    made = FixedNetwork(fixed.name, fixed.input_shape, fixed.input_format, nodes, outputs)
    return NetworkCase(made, network.raw)


@needs("g++", "clang", "clang++")
@pytest.mark.parametrize("language", ["c99", "c++17"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_strict_compilers_take_every_layer(compiler: str, language: str, tmp_path: Path) -> None:
    """Both compilers, with all warnings as errors, and as C++; whatever the layers are called."""
    drawn = c_programs.drawn(MIXED, 5, 6)
    networks = [renamed(network, 4 * place) for place, network in enumerate(drawn)]
    flags = ["-O1", *(["-x", "c++"] if language == "c++17" else []), f"-std={language}"]
    if language == "c++17" and compiler == "clang":
        flags.append("-Wno-deprecated")
    run = cases(networks)
    c_programs.run_all(run, tmp_path, compiler, flags)


@needs("nm")
def test_no_library_is_called(tmp_path: Path) -> None:
    """A program asks for its own constants and for nothing else, however it is compiled."""
    for it in cases(c_programs.drawn(MIXED, 8, 7)):
        for file, content in c_programs.files(it).items():
            (tmp_path / file).write_bytes(content)
        for level in ("-O2", "-O3", "-Os"):
            tools.run(
                [tools.find("gcc"), "-std=c99", level, "-c", f"{it.name}.c", "-o", "n.o"],
                tmp_path,
                tmp_path / "log",
            )
            asked = tools.run(["nm", "-u", "n.o"], tmp_path, tmp_path / "log").split()
            assert {name for name in asked if not name.startswith(f"{it.name}_layer_")} <= {"U"}
