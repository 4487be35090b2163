"""What is inside Numba and LLVM is known in one folder, and what is used of it is there."""

import ast
from pathlib import Path

import pytest

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
