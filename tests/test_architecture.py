"""The rooms of fxpnn lie in one direction; what is dear or dangerous stays behind a door."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fxpnn

PACKAGE = Path(fxpnn.__file__).parent
FILES = {
    ".".join(["fxpnn", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
"""Every module by its name."""


@cache
def tree(module: str) -> ast.Module:
    """Parse a module."""
    return ast.parse(FILES[module].read_text())


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk all that runs, not what only type checkers read."""
    yield node
    if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
        for child in ast.iter_child_nodes(node):
            yield from running(child)


@cache
def imports(module: str) -> frozenset[str]:
    """Name the modules that a module imports, anywhere in it."""
    found = set()
    for node in running(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} must import by whole names"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {str(node.module)}
    return frozenset(found)


def ours(module: str) -> set[str]:
    """Name the modules of fxpnn that a module imports."""
    return {name for name in imports(module) if name in FILES}


def reaching(*targets: str) -> set[str]:
    """Name the modules that import a target, themselves or through others."""
    found = set(targets)
    while more := {module for module in FILES if ours(module) & found} - found:
        found |= more
    return found


def calls(module: str) -> set[str]:
    """Name the functions that a module calls."""
    nodes = [node for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    return {ast.unparse(node.func) for node in nodes}


def roots(module: str) -> set[str]:
    """Name the packages from which a module imports."""
    return {name.partition(".")[0] for name in imports(module)}


def test_the_package_was_found() -> None:
    """The checks below look at all of it."""
    assert {
        "fxpnn",
        "fxpnn.fixedpoint.qformat",
        "fxpnn.kernels",
        "fxpnn.onnx.read.model",
    } <= FILES.keys()
    assert "fxpnn.fixedpoint.qformat" in imports("fxpnn.network.layers") | imports(
        "fxpnn.fixedpoint.casting"
    )


UPWARD = {"fxpnn.network.fixed": {"fxpnn.network.fxp"}}
"""The one way back: ``fixed.save()`` is a short name that imports the file's room when called."""


def test_no_imports_go_round() -> None:
    """There is an order of all modules in which each imports only earlier ones."""
    graph = {module: ours(module) - UPWARD.get(module, set()) for module in FILES}
    order = list(TopologicalSorter(graph).static_order())
    assert (
        order.index("fxpnn.errors")
        < order.index("fxpnn.network.graph")
        < order.index("fxpnn.engine.inference")
    )


def test_only_kernels_compile() -> None:
    """Numba stands behind one door."""
    using = {module for module in FILES if roots(module) & {"numba", "llvmlite"}}
    assert using
    assert all(module.startswith("fxpnn.kernels.") for module in using)


LIGHT = [
    *("errors", "files", "fixedpoint", "network", "golden", "reference", "datasets"),
    *("quantization.settings", "quantization.calibration", "onnx", "training"),
]


@pytest.mark.parametrize("name", LIGHT)
def test_vocabulary_and_files_need_no_compiler(name: str) -> None:
    """What describes, reads or specifies networks imports no kernel, not even through others."""
    compiling = reaching(*(module for module in FILES if module.startswith("fxpnn.kernels.")))
    assert f"fxpnn.{name}" in FILES
    assert not [m for m in compiling if f"{m}.".startswith(f"fxpnn.{name}.")]


def test_only_one_room_knows_onnx() -> None:
    """The library and its messages are imported where ONNX files are read and written."""
    using = {module for module in FILES if roots(module) & {"onnx", "google"}}
    assert using
    assert all(module.startswith("fxpnn.onnx.") for module in using)


@pytest.mark.parametrize("module", FILES)
def test_the_library_stands_alone(module: str) -> None:
    """It imports no command, no test, and nothing that is not declared."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"\W", text)[0] for text in project["dependencies"]}
    declared |= {"llvmlite", "google"}  # of numba, of onnx
    declared |= {"PIL", "matplotlib"}  # of the extras for images and plots
    assert roots(module) <= declared | {"fxpnn"} | set(sys.stdlib_module_names)
    assert not [name for name in imports(module) if name.startswith("fxpnn.cli")]


@pytest.mark.parametrize("module", FILES)
def test_the_library_is_silent_and_safe(module: str) -> None:
    """It prints nothing, and no file can make it run something."""
    assert not calls(module) & {"print", "eval", "exec", "compile", "__import__", "input"}
    foreign = (
        set() if module == "fxpnn.kernels.build.object_code" else {"ctypes"}
    )  # it calls machine code
    assert not roots(module) & ({"pickle", "marshal", "shelve", "subprocess"} | foreign)


@pytest.mark.parametrize("module", FILES)
def test_a_module_says_what_it_owns(module: str) -> None:
    """Its first line is a sentence."""
    first = (ast.get_docstring(tree(module)) or "").partition("\n")[0]
    assert re.fullmatch(r".+\.", first)
