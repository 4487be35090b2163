"""What was built once of the same sources is not built again."""

from pathlib import Path

import pytest

from fxpnn.errors import ToolError
from fxpnn.targets.simulation import built

SOURCES = {"a.v": b"module a;", "b.v": b"module b;"}
HOW = {"tool": "Maker 1.2", "flags": "-O3"}


def make(folder: Path) -> Path:
    """Build a program that is its sources, one after the other."""
    program = folder / "made"
    program.write_bytes(b"".join(path.read_bytes() for path in sorted(folder.iterdir())))
    return program


def put(target: Path, sources: dict[str, bytes] = SOURCES, how: dict[str, str] = HOW) -> bool:
    """Put the program there; tell whether it was built."""
    return built.executable("test", sources, how, make, target)


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep nothing of other tests."""
    monkeypatch.setenv("FXPNN_CACHE_DIR", str(tmp_path / "cache"))


def test_a_program_is_built_once(tmp_path: Path) -> None:
    """The second has the same bytes, and may be run."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert [put(one), put(two)] == [True, False]
    assert one.read_bytes() == two.read_bytes() == b"module a;module b;"
    assert two.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("sources", "how"),
    [
        (SOURCES | {"b.v": b"module c;"}, HOW),
        ({"a.v": SOURCES["a.v"], "c.v": SOURCES["b.v"]}, HOW),
        (SOURCES, HOW | {"tool": "Maker 1.3"}),
        (SOURCES, HOW | {"flags": "-O2"}),
    ],
    ids=["text", "name", "tool", "flags"],
)
def test_whatever_changes_builds_again(
    sources: dict[str, bytes], how: dict[str, str], tmp_path: Path
) -> None:
    """A file's text or name, the tool's version, or its flags."""
    assert put(tmp_path / "one")
    assert put(tmp_path / "two", sources, how)


def test_a_kept_program_that_was_altered_is_built_again(tmp_path: Path) -> None:
    """One bit is enough."""
    put(tmp_path / "one")
    (kept,) = (path for path in tmp_path.glob("cache/simulators/test/*/test") if path.is_file())
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    assert put(tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()


def test_what_cannot_be_built_is_not_kept(tmp_path: Path) -> None:
    """The error passes, and the next is built."""

    def fail(folder: Path) -> Path:
        raise ToolError("no")

    with pytest.raises(ToolError, match=r"^no$"):
        built.executable("test", SOURCES, HOW, fail, tmp_path / "one")
    assert not (tmp_path / "one").exists()
    assert put(tmp_path / "one")
