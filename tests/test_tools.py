"""A test whose tool is missing is skipped with the name of its package, or CI stops."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support import tools
from tests.support.tools import needs

ROOT = Path(__file__).parent.parent


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take every tool of Yosys and Verilator away, and the variable by which CI requires them."""
    monkeypatch.delenv(tools.REQUIRED, raising=False)
    gone = {"verilator", "yosys"}
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in gone else f"/bin/{tool}")
    return monkeypatch


def test_a_missing_tool_skips(bare: pytest.MonkeyPatch) -> None:
    """The reason names the packages of all that are missing, once; a test with its tools runs."""
    mark = needs("make", "verilator", "yosys").mark
    assert mark.name == "skipif"
    assert mark.args == (True,)
    assert mark.kwargs["reason"] == (
        "needs Debian's verilator yosys: apt-get install verilator yosys"
    )
    assert needs("make", "iverilog", "vvp").mark.args == (False,)


def test_a_missing_tool_stops_ci(bare: pytest.MonkeyPatch) -> None:
    """Where ``FXPNN_REQUIRE_TOOLS`` is set, a module that needs one cannot be collected."""
    bare.setenv(tools.REQUIRED, "1")
    message = "FXPNN_REQUIRE_TOOLS is set, and a test needs Debian's yosys: apt-get install yosys"
    with pytest.raises(LookupError, match=f"^{message}$"):
        needs("make", "yosys")
    assert needs("make").mark.args == (False,)


def test_an_unknown_tool_is_a_mistake() -> None:
    """One whose package is not listed, CI would not install."""
    with pytest.raises(KeyError, match=r"^'verilatr'$"):
        needs("verilatr")


def test_ci_installs_every_tool() -> None:
    """All packages that tests may need, and no test of theirs may be skipped there."""
    run = (ROOT / ".ci" / "run").read_text()
    line = re.search(r"^export FXPNN_REQUIRE_TOOLS=1$", run, re.MULTILINE)
    assert line is not None
    asked = re.search(r'^tools="([^"]+)"$', run[: line.start()], re.MULTILINE)
    assert asked is not None
    assert sorted(asked[1].split()) == sorted({*tools.PACKAGES.values()})
    assert run.index("pytest") > line.start()
