"""What ``import fxpnn`` offers: every public name, from the module it lives in, at no cost."""

import ast
import doctest
import json
import pkgutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import fxpnn

ROOT = Path(fxpnn.__file__).parents[1]
HOMES = fxpnn._HOMES


def modules() -> Iterator[ModuleType]:
    """Import every module of the package, but what is bundled with it: data, models, commands."""
    for found in pkgutil.walk_packages(fxpnn.__path__, "fxpnn."):
        if found.name.split(".")[1] not in ("cli", "models"):
            yield import_module(found.name)


def test_all_names_have_a_home() -> None:
    """The list is sorted, and each name is there once; ``dir`` lists the same."""
    assert fxpnn.__all__ == sorted(HOMES)
    assert dir(fxpnn) == sorted([*HOMES, "__version__"])


@pytest.mark.parametrize("name", fxpnn.__all__)
def test_a_name_is_that_of_its_home(name: str) -> None:
    """It is the object of the module, callable, and stays so when all modules are imported."""
    assert all(modules())
    module, _, inner = HOMES[name].partition(":")
    found = getattr(fxpnn, name)
    assert found is getattr(import_module(f"fxpnn.{module}"), inner or name)
    assert callable(found)
    assert not isinstance(found, ModuleType)


def test_type_checkers_see_the_same_names() -> None:
    """What they import is what the name resolves to when the program runs."""
    tree = ast.parse(Path(fxpnn.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {}
    for node in (node for block in blocks for node in block.body):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname is not None
                if not alias.asname.startswith("_"):
                    seen[alias.asname] = (node.module or "").removeprefix("fxpnn.")
        else:
            assert isinstance(node, ast.Assign)
            seen[ast.unparse(node.targets[0])] = ast.unparse(node.value)[1:].replace(".", ":")
    assert [ast.unparse(block.test) for block in blocks] == ["TYPE_CHECKING"]
    assert seen == HOMES


def test_another_name_is_refused() -> None:
    """As any module would."""
    with pytest.raises(AttributeError, match=r"^module 'fxpnn' has no attribute 'quantise'$"):
        _ = fxpnn.quantise


def imported(code: str) -> set[str]:
    """Return the top-level modules that a new process has after running the code."""
    code += "\nimport sys, json; print(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import fxpnn", {"numpy", "numba", "onnx", "msgspec", "safetensors"}),
        ("import fxpnn; fxpnn.QFormat.parse('Q3.12')", {"numpy", "numba", "onnx", "msgspec"}),
        ("import fxpnn; fxpnn.load, fxpnn.load_data, fxpnn.Settings", {"numba", "onnx", "PIL"}),
        ("import fxpnn; fxpnn.load_onnx", {"numba"}),
        ("import fxpnn; fxpnn.infer", {"onnx"}),
    ],
)
def test_a_name_costs_what_it_needs(code: str, absent: set[str]) -> None:
    """Compilers and file formats are imported by what uses them, not by what does not."""
    assert not imported(code) & absent


def test_the_version_is_the_packages() -> None:
    """It is written twice, and the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert fxpnn.__version__ == project["version"]


def test_examples_in_docstrings_are_true() -> None:
    """Each gives what stands below it."""
    results = [doctest.testmod(module) for module in (fxpnn, *modules())]
    assert sum(result.attempted for result in results) > 10
    assert not any(result.failed for result in results)
