"""What is inside Numba and LLVM is known in one folder, and what is used of it is there."""

import ast
import re
import tomllib
from importlib import import_module, metadata
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


PRIVATE = [
    (
        "numba.core.registry.cpu_target.target_context",
        "the processor, and how functions are called",
    ),
    ("numba.core.cgutils.unpack_tuple", "tuples of arguments in code for LLVM"),
    ("numba.core.cgutils.get_or_insert_function", "calls of malloc, free and LLVM's functions"),
    ("numba.core.cgutils.alloca_once_value", "variables of vector code"),
    ("numba.core.cgutils.for_range", "loops of vector code"),
    ("numba.core.cgutils.for_range_slice", "loops of vector code with a first index and a stride"),
    ("numba.core.cgutils.memset", "arrays of zeros"),
    ("numba.core.cgutils.is_null", "the test whether there was room for an array"),
    ("numba.core.typing.npydecl.parse_dtype", "the dtype that a loop asks an array of"),
    ("numba.np.arrayobj.populate_array", "arrays over memory whose references nobody counts"),
    ("numba.core.codegen.JITCodeLibrary._optimize_functions", "parts that are optimized once"),
    ("numba.core.codegen.JITCodeLibrary._optimize_final_module", "parts that are optimized once"),
    ("numba.core.codegen.JITCodeLibrary._finalize_final_module", "parts without machine code"),
    ("numba.core.codegen.JITCodeLibrary._get_compiled_object", "the object file that is kept"),
    ("numba.core.codegen.JITCodeLibrary.enable_object_caching", "the object file that is kept"),
    ("numba.core.codegen.CPUCodegen._create_empty_module", "the module of what calls a loop"),
    ("numba.core.codegen.CPUCodegen.magic_tuple", "the name and the features of the processor"),
    ("numba.core.compiler.CompilerBase.define_pipelines", "the passes that make a part"),
    ("numba.core.compiler.DefaultPassBuilder.define_nopython_pipeline", "Numba's own passes"),
    ("numba.core.compiler_machinery.register_pass", "a pass of our own"),
    ("numba.core.untyped_passes.IRProcessing", "the pass behind which a part is made"),
    ("numba.core.compiler_lock.global_compiler_lock.acquire", "forks that wait for the compiler"),
    ("numba.core.compiler_lock.global_compiler_lock.release", "forks that wait for the compiler"),
    ("llvmlite.binding.create_mcjit_compiler", "linking an object file into the process"),
    ("llvmlite.binding.ObjectFileRef.from_data", "linking an object file into the process"),
]
"""What is used of the inside of Numba and LLVM, and for what."""


@pytest.mark.parametrize(("name", "purpose"), PRIVATE, ids=[name for name, _ in PRIVATE])
def test_what_is_private_is_there(name: str, purpose: str) -> None:
    """A name that has gone is told by what it was for."""
    head, *rest = name.split(".")
    found = import_module(head)
    for part in rest:
        head = f"{head}.{part}"
        if not hasattr(found, part):
            try:
                import_module(head)
            except ImportError:
                pytest.fail(f"{name} has gone; it is used for {purpose}")
        found = getattr(found, part)
