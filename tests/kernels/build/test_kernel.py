"""Kernels come from the cache without Numba, or are compiled; bound ones are called again."""

import gc
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn.kernels import compiled, error_statistics
from fxpnn.kernels.build import cache, fallback, object_code
from fxpnn.kernels.build import kernel as kernel_module
from fxpnn.kernels.build.cache import Cache

MEASURE = (
    "import sys, numpy as np\n"
    "from fxpnn.kernels import compiled\n"
    "raw = np.array([3, -7], np.int16)\n"
    "found = compiled.measure(np.array([0.5, -2.0], np.float32), raw, 0.25)\n"
    "print(*found, 'numba' in sys.modules)\n"
)
FACTS = "4.25 0.125 0.25 -2.0 0.5"

RUN = (
    "import sys\n"
    "import numpy as np\n"
    "import fxpnn\n"
    "from tests.support.cli_runner import tiny\n"
    "x = np.zeros((3, 1, 28, 28))\n"
    "fixed = fxpnn.quantize(tiny(), x.astype(np.uint8))\n"
    "for kind in (np.uint8, np.float32, float):\n"
    "    fxpnn.compare(tiny(), fixed, x.astype(kind))\n"
    "print('numba' in sys.modules)\n"
)


def started(script: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a script in a process of its own."""
    environment = {**os.environ, **environment}
    command = [sys.executable, "-c", script]
    root = Path(__file__).parents[3]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=root, stdout=pipe, stderr=pipe, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    """Return what a script printed in its last line."""
    out, problem = process.communicate(timeout=120)
    assert process.returncode == 0, problem
    assert problem == ""
    return out.strip()


def test_the_second_process_does_without_numba(tmp_path: Path) -> None:
    """The first compiles and keeps; the second gives the same; a damaged file is made anew."""
    place = {"FXPNN_CACHE_DIR": str(tmp_path)}
    assert said(started(MEASURE, **place)) == f"{FACTS} True"
    assert said(started(MEASURE, **place)) == f"{FACTS} False"
    (kept,) = tmp_path.glob("kernels/*/measure")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert said(started(MEASURE, **place)) == f"{FACTS} True"
    assert said(started(MEASURE, **place)) == f"{FACTS} False"
    assert said(started(MEASURE, **place, NUMBA_OPT="2")) == f"{FACTS} True"  # another identity


def test_two_processes_may_compile_at_once(tmp_path: Path) -> None:
    """Both have their result, and what stays is whole."""
    place = {"FXPNN_CACHE_DIR": str(tmp_path)}
    both = [started(MEASURE, **place) for _ in range(2)]
    assert [said(one)[: len(FACTS)] for one in both] == [FACTS] * 2
    assert said(started(MEASURE, **place)) == f"{FACTS} False"


def test_where_nothing_can_be_kept_kernels_run(tmp_path: Path) -> None:
    """A file stands where the folder should be: it is compiled each time."""
    (tmp_path / "file").write_bytes(b"")
    place = {"FXPNN_CACHE_DIR": str(tmp_path / "file")}
    assert said(started(MEASURE, **place)) == f"{FACTS} True"


@pytest.mark.slow
def test_a_whole_run_needs_no_numba() -> None:
    """Quantize, infer and compare, with all kinds of input: the second process compiles nothing."""
    said(started(RUN))
    assert said(started(RUN)) == "False"


def test_nothing_is_kept_in_the_package() -> None:
    """Numba's own cache, which does not see an edit in another module, is not used."""
    assert not [*Path(fxpnn.__file__).parent.rglob("*.nb[ci]")]


class Failing(kernel_module.Kernel):
    """A kernel whose loop finds no room."""

    def _link(self) -> tuple[Any, object]:
        return lambda place, first: 1, None


def test_no_room_is_a_memory_error() -> None:
    """A loop that fails, which it does for want of memory alone, raises."""
    with pytest.raises(MemoryError, match=r"^no room for what machine\.run computes with$"):
        Failing("f", "machine.run", (int,))(1)


class Dispatched(kernel_module.Kernel):
    """A kernel whose loop Numba's dispatcher compiles."""

    def _link(self) -> None:
        return None


@pytest.mark.parametrize("kind", [kernel_module.Kernel, Dispatched])
def test_bound_arguments_stay(
    kind: type[kernel_module.Kernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound kernel keeps its arrays alive, linked or by the dispatcher; the first comes anew."""
    monkeypatch.setattr(fallback, "loop", lambda name: error_statistics.measure)
    given = compiled.measure
    kernel = kind(given.name, given.loop, given.kinds, given.results)
    assert kernel.has_vector_code() == (kind is kernel_module.Kernel)
    bound = kernel.bind(np.array([4, -8], np.int16), 0.25)
    gc.collect()
    filler = [np.full(2, 99, np.int16) for _ in range(50)]
    for value in (1.0, 0.5):
        found = list(bound(np.array([value, -2.0], np.float32)))
        assert found == [value**2 + 4, (1 - value) ** 2, 1 - value, -2.0, value]
    del filler


def test_threads_compile_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads that ask at once for a kernel wait for the one that compiles; a line says so."""
    made = Cache(tmp_path / "kernels", cache.key({}))
    monkeypatch.setattr(kernel_module, "_cache", lambda: made)
    given = compiled.measure
    kernel = kernel_module.Kernel(given.name, given.loop, given.kinds, given.results, seconds=3)
    reference, raw = np.array([0.5, -2.0], np.float32), np.array([3, -7], np.int16)
    with caplog.at_level(logging.INFO, logger="fxpnn"), ThreadPoolExecutor(4) as pool:
        calls = pool.map(lambda _: list(kernel(reference, raw, 0.25)), range(8))
        assert {" ".join(map(str, found)) for found in calls} == {FACTS}
    assert caplog.messages == ["compiling for this processor, once: about 3 s"]
    body = made.read("measure")
    assert body is not None
    assert all(object_code.split(body))


NETWORK = (
    "import hashlib, sys\n"
    "import numpy as np\n"
    "import fxpnn\n"
    "from tests.support.cli_runner import tiny\n"
    "x = np.random.default_rng(3).integers(0, 256, (5, 1, 28, 28), np.uint8)\n"
    "fixed = fxpnn.quantize(tiny(), x)\n"
    "print(hashlib.sha256(fxpnn.infer(fixed, x).raw.tobytes()).hexdigest())\n"
)


def test_without_the_compiler_words_are_the_same(tmp_path: Path) -> None:
    """``NUMBA_DISABLE_JIT`` runs the plain loops in Python."""
    assert said(started(NETWORK, NUMBA_DISABLE_JIT="1")) == said(started(NETWORK))


@pytest.mark.parametrize("name", ["NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_thread_variables_of_other_libraries_are_ignored(
    tmp_path: Path, name: str, number: str
) -> None:
    """Some clusters set them so; the loops here ask neither for threads."""
    place = {"FXPNN_CACHE_DIR": str(tmp_path), name: number}
    assert said(started(MEASURE, **place)) == f"{FACTS} True"


FORK = (
    "import os, threading, time\n"
    "import numpy as np\n"
    "from fxpnn.kernels import compiled\n"
    "given = np.array([0.5, -2.0], np.float32), np.array([3, -7], np.int16), 0.25\n"
    "first = threading.Thread(target=compiled.measure, args=given, daemon=True)\n"
    "first.start()\n"
    "time.sleep(DELAY)\n"
    "child = os.fork()\n"
    "if child == 0:\n"
    "    x = np.array([[0.5, 1.5]], np.float32)\n"
    "    none = np.zeros(0, np.int64)\n"
    "    compiled.measure(*given)\n"
    "    compiled.words(np.zeros((1, 1), np.int16), none, 1, np.zeros(1, np.int16))\n"
    "    os._exit(7)\n"
    "first.join()\n"
    "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("delay", ["0.05", "0.4", "0.9"])
def test_a_child_forked_while_another_thread_compiles_goes_on(tmp_path: Path, delay: str) -> None:
    """It finds the locks free, whenever in the import or the compilation it was forked."""
    script = FORK.replace("DELAY", delay)
    assert said(started(script, FXPNN_CACHE_DIR=str(tmp_path))) == "7"
