"""What is inside Numba and LLVM is known in one folder, and what is used of it is there."""

import ast
import inspect
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.options import DefaultOptions

from tests.support import inside

PACKAGE = Path(__file__).parents[3] / "fxpnn"
BUILD = PACKAGE / "kernels" / "build"
OUTSIDE = [path for path in sorted(PACKAGE.rglob("*.py")) if BUILD not in path.parents]


def roots(path: Path) -> set[str]:
    """Return the packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_build_folder_imports_numba(path: Path) -> None:
    """Whoever needs a decorator or a type takes it from there."""
    assert not roots(path) & {"numba", "llvmlite"}


def test_the_bound_of_numba_is_what_is_tested() -> None:
    """The oldest release that may be installed is installed by CI; the newest is the one here."""
    root = PACKAGE.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (bound,) = [text for text in project["dependencies"] if text.startswith("numba")]
    found = re.fullmatch(r"numba>=0\.(\d+),<0\.(\d+)", bound)
    assert found is not None
    oldest, beyond = map(int, found.groups())
    script = (root / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"numba==(\S+?)'", script) == [f"0.{oldest}.0"]
    assert int(metadata.version("numba").split(".")[1]) in (oldest, beyond - 1)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """Return one of each kind of object whose attributes are used."""
    return inside.objects()


@pytest.mark.parametrize(("name", "purpose"), inside.PRIVATE.items(), ids=list(inside.PRIVATE))
def test_what_is_private_is_there(name: str, purpose: str, made: dict[str, Any]) -> None:
    """A name that has gone is told by what it was for."""
    try:
        inside.found(name, made)
    except (AttributeError, ImportError):
        pytest.fail(f"{name} has gone; it is used for {purpose}")


@pytest.mark.parametrize(("name", "purpose"), inside.OPTIONS.items(), ids=list(inside.OPTIONS))
def test_private_options_are_there(name: str, purpose: str) -> None:
    """So is an option that the decorators take no more."""
    known = {*inspect.signature(numba.jit).parameters, *vars(DefaultOptions)}
    assert name in known, f"{name} has gone; it is used for {purpose}"


OWNERS = {
    "_code": "numba.core.cgutils",
    "arrayobj": "numba.np.arrayobj",
    "context": "context",
    "cpu_target": "numba.core.registry.cpu_target",
    "cpu_target.target_context": "context",
    "global_compiler_lock": "numba.core.compiler_lock.global_compiler_lock",
}
"""What the variables of the build folder hold, in the words of the table."""


def used(path: Path) -> set[str]:
    """Return the private names that a file of the build folder imports, or takes of ``OWNERS``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(
            ("numba.core.", "numba.np.")
        ):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in OWNERS:
            names.add(f"{OWNERS[ast.unparse(node.value)]}.{node.attr}")
    return names


def test_the_table_has_all_that_is_used() -> None:
    """Whoever takes another private name lists it, with what it is for."""
    names = set().union(*map(used, sorted(BUILD.glob("*.py"))))
    assert len(names) > 20
    assert names <= inside.PRIVATE.keys()
