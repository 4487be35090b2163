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
ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("fxpnn", "cli", "models", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
"""Every file of Python, the tests too."""


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
    return {name for name in imports(module) if name in FILES and name != "fxpnn"}


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


ROOMS = [
    *("errors", "files", "fixedpoint", "network", "golden", "reference", "data", "datasets"),
    *("proofs", "quantization", "training", "kernels", "engine", "onnx", "zoo", "analysis"),
    *("targets", "textbook", "__main__"),
]
"""The folders and files at the top of fxpnn: each imports only those above it."""

INNER = {
    "kernels": {"build": (), "layout": (), "vector": ("build", "layout")},
    "onnx": {"graph": (), "read": ("graph",), "write": ("graph",)},
}
"""What a folder inside a room may import of that room, beside itself; its other modules may all."""


def room(module: str) -> str:
    """Name the room of a module: its first folder or file below ``fxpnn``."""
    return module.split(".")[1]


def inner(module: str) -> str:
    """Name the folder of a module inside its room; empty where it lies in the room itself."""
    parts = module.split(".")
    return parts[2] if parts[2:] and parts[2] in INNER.get(parts[1], {}) else ""


def arrows() -> set[tuple[str, str]]:
    """Pair each module with each one that it imports; ``fxpnn`` itself imports by name, later."""
    return {(module, name) for module in FILES for name in ours(module)}


def runs_up(module: str, name: str) -> bool:
    """Return whether an import runs against the order of rooms, or of folders inside one."""
    if room(module) != room(name):
        return ROOMS.index(room(module)) < ROOMS.index(room(name))
    here, there = inner(module), inner(name)
    return bool(here) and there not in (here, *INNER[room(module)][here])


def picture() -> str:
    """Draw the rooms in their order, each with the rooms that it imports."""
    drawn = arrows()
    lines = []
    for name in ROOMS:
        below = {room(target) for module, target in drawn if room(module) == name} - {name}
        lines.append(f"{name:<13} <- {' '.join(sorted(below, key=ROOMS.index)) or '-'}")
    return "\n".join(lines)


def test_rooms_are_few_and_all_are_listed() -> None:
    """The list of rooms is the tree."""
    below = {room(module) for module in FILES if module != "fxpnn"}
    assert below == set(ROOMS)
    assert len(ROOMS) <= 20


def test_no_arrow_runs_up() -> None:
    """Each module imports only from its own room and those above it; ``-s`` draws the picture."""
    print(f"\n{picture()}")
    assert sorted(arrow for arrow in arrows() if runs_up(*arrow)) == []


def test_no_imports_go_round() -> None:
    """There is an order of all modules in which each imports only earlier ones."""
    graph: dict[str, set[str]] = {module: set() for module in FILES}
    for module, name in arrows():
        graph[module].add(name)
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
    assert all(module.startswith("fxpnn.kernels.build.") for module in using)


RUNNERS = {
    f"fxpnn.analysis.{name}"
    for name in (
        *("comparison", "remedy", "inspection", "tracing", "divergence"),
        *("judging", "firsts", "attribution", "float_values", "full_report"),
        *("search", "sweep"),
    )
}
"""The modules of ``analysis`` that run or assemble networks; the others are values."""

LIGHT = [
    *("errors", "files", "fixedpoint", "network", "golden", "reference", "datasets"),
    *("proofs", "quantization", "onnx", "training", "analysis"),
]


@pytest.mark.parametrize("name", LIGHT)
def test_vocabulary_and_files_need_no_compiler(name: str) -> None:
    """What describes, reads, proves or specifies imports no kernel, not even through others."""
    compiling = reaching(*(module for module in FILES if module.startswith("fxpnn.kernels.")))
    compiling -= RUNNERS
    assert f"fxpnn.{name}" in FILES
    assert not [m for m in compiling if f"{m}.".startswith(f"fxpnn.{name}.")]


LONG_FUNCTIONS: set[tuple[str, str]] = set()
"""Functions of more than 80 lines, each with its reason."""


@pytest.mark.parametrize("path", SOURCES)
def test_files_and_functions_are_short(path: str) -> None:
    """No file has more than 400 lines, no function more than 80."""
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= 400
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    long = {n.name for n in functions if (n.end_lineno or 0) - n.lineno >= 80}
    assert long == {name for where, name in LONG_FUNCTIONS if where == path}


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
    if module != "fxpnn.__main__":  # the door for ``python -m``
        assert not [name for name in imports(module) if name.startswith("fxpnn.cli")]


@pytest.mark.parametrize("module", FILES)
def test_the_library_is_silent_and_safe(module: str) -> None:
    """It prints nothing, and no file can make it run something."""
    assert not calls(module) & {"print", "eval", "exec", "compile", "__import__", "input"}
    doors = {
        "fxpnn.kernels.build.object_code": "ctypes",  # calls machine code
        "fxpnn.targets.simulation.tools": "subprocess",  # runs compilers and simulators
    }
    foreign = {"ctypes", "subprocess"} - {doors.get(module)}
    assert not roots(module) & ({"pickle", "marshal", "shelve"} | foreign)


@pytest.mark.parametrize("path", SOURCES)
def test_a_module_says_what_it_is_for(path: str) -> None:
    """Its first line is a sentence, and begins with no ritual word."""
    first = (ast.get_docstring(ast.parse((ROOT / path).read_text())) or "").partition("\n")[0]
    assert re.fullmatch(r"(?!Own ).+\.", first)


if __name__ == "__main__":
    print(picture())
