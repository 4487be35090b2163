"""What is kept is machine code: it is used only where it is whole, the user's own and for this."""

import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fxpnn
from fxpnn import files
from fxpnn.kernels.build import cache
from fxpnn.kernels.build.cache import KEPT, Cache, identity, key

BODY = bytes(range(256)) * 8

unix = pytest.mark.skipif(os.name == "nt", reason="folders have no modes there")


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    """Return a cache that holds ``loop``."""
    made = Cache(tmp_path / "user" / "kernels", key({}))
    made.write("loop", BODY)
    assert made.read("loop") == BODY
    return made


def test_what_is_kept_is_for_its_user_alone(kept: Cache) -> None:
    """Folders that are made on the way, and files, may be written by nobody else."""
    found = [kept.root.parent, kept.root, kept.folder, kept.folder / "loop"]
    assert {path.stat().st_mode & 0o077 for path in found} == {0} or os.name == "nt"
    assert [path.name for path in kept.folder.iterdir()] == ["loop"]


def test_an_unknown_name_or_identity_is_a_cache_miss(kept: Cache) -> None:
    """Another name and another identity have nothing."""
    assert kept.read("other") is None
    assert Cache(kept.root, key({"fxpnn": "2"})).read("loop") is None


def flipped(content: bytes, place: int) -> bytes:
    """Flip a bit of one byte."""
    place %= len(content)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda content, i=i: flipped(content, i) for i in (0, 31, 32, 1000, -1)),
        lambda content: content[:-1],
        lambda content: content[:31],
        lambda content: content + b"\0",
        lambda content: b"",
        lambda content: BODY,
    ],
    ids=["0", "31", "32", "1000", "last", "cut", "digest cut", "longer", "empty", "no digest"],
)
def test_damage_is_never_trusted(kept: Cache, damage: Callable[[bytes], bytes]) -> None:
    """A file that is not what was written is deleted, and may be written again."""
    path = kept.folder / "loop"
    path.write_bytes(damage(path.read_bytes()))
    assert kept.read("loop") is None
    assert not path.exists()
    kept.write("loop", BODY)
    assert kept.read("loop") == BODY


def test_a_file_is_of_no_other_name_or_identity(kept: Cache) -> None:
    """A whole file that was moved from elsewhere is not what its place says."""
    shutil.copy(kept.folder / "loop", kept.folder / "other")
    assert kept.read("other") is None
    moved = Cache(kept.root, key({"fxpnn": "2"}))
    kept.folder.rename(moved.folder)
    assert moved.read("loop") is None


@unix
@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("part", ["root", "folder", "file"])
def test_what_others_may_write_is_not_used(
    kept: Cache, part: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A group's or everybody's right to write, to any of them, is too much; a line says so."""
    path = {"root": kept.root, "folder": kept.folder, "file": kept.folder / "loop"}[part]
    path.chmod(path.stat().st_mode | mode)
    assert kept.read("loop") is None
    with caplog.at_level(logging.INFO, logger="fxpnn"):
        kept.write("new", BODY)
    assert (kept.folder / "new").exists() == (part == "file")
    expected = f"compiled code is not kept: {kept.root} must be yours alone to write"
    assert caplog.messages == [expected] * (part != "file")


@unix
def test_what_another_user_owns_is_not_used(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs as another user takes nothing from here, and leaves nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: kept.root.stat().st_uid + 1)
    assert kept.read("loop") is None
    kept.write("new", BODY)
    assert not (kept.folder / "new").exists()


@unix
@pytest.mark.parametrize("part", ["root", "folder", "file"])
def test_links_are_not_followed(kept: Cache, part: str) -> None:
    """A link may have been put there to lead elsewhere."""
    path = {"root": kept.root, "folder": kept.folder, "file": kept.folder / "loop"}[part]
    real = path.with_name("real")
    path.rename(real)
    path.symlink_to(real)
    assert kept.read("loop") is None


@unix
@pytest.mark.parametrize(("mode", "trusted"), [(0o777, False), (0o1777, True), (0o755, True)])
def test_folders_above_may_not_be_everybodys(kept: Cache, mode: int, trusted: bool) -> None:
    """Where anybody may rename folders, ours may be another's; a sticky folder forbids that."""
    kept.root.parent.chmod(mode)
    assert kept.read("loop") == (BODY if trusted else None)


@unix
def test_folders_above_may_be_links(kept: Cache, tmp_path: Path) -> None:
    """A user may have moved all caches to another disk."""
    (tmp_path / "link").symlink_to(tmp_path / "user")
    assert Cache(tmp_path / "link" / "kernels", kept.key).read("loop") == BODY


def test_where_nothing_can_be_kept_nothing_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in the way, or a disk that is full, leave a line in the log."""
    (tmp_path / "file").write_bytes(b"")
    made = Cache(tmp_path / "file" / "kernels", key({}))
    with caplog.at_level(logging.INFO, logger="fxpnn"):
        made.write("loop", BODY)
    assert made.read("loop") is None
    assert [line[:28] for line in caplog.messages] == ["compiled code is not kept: ["]


def test_a_folder_in_a_files_place_is_replaced(kept: Cache) -> None:
    """It is not read, and the next writer puts a file there, whatever the folder holds."""
    (kept.folder / "other" / "deep").mkdir(parents=True)
    assert kept.read("other") is None
    kept.write("other", BODY)
    assert kept.read("other") == BODY


def test_writers_and_readers_at_once(kept: Cache) -> None:
    """Whoever reads while others write gets a whole file, of one of them."""
    bodies = [bytes([i]) * 5000 for i in range(4)]

    def turn(number: int) -> bytes | None:
        kept.write("loop", bodies[number % 4])
        return kept.read("loop")

    with ThreadPoolExecutor(4) as pool:
        assert {*pool.map(turn, range(80))} <= {*bodies, None}
    assert kept.read("loop") in bodies
    assert [path.name for path in kept.folder.iterdir()] == ["loop"]


def test_the_oldest_identities_are_cleared(kept: Cache) -> None:
    """A home for several machines keeps some; what is not ours stays."""
    (kept.root / "notes").mkdir()
    (kept.root / "file").write_bytes(b"")
    made = [Cache(kept.root, key({"fxpnn": str(i)})) for i in range(KEPT + 3)]
    for age, one in enumerate([kept, *made]):
        one.write("loop", BODY)
        os.utime(one.folder, (age, age))  # long ago, one after the other
    found = {path.name for path in kept.root.iterdir()}
    assert found == {"notes", "file", *(one.key for one in made[-KEPT:])}


@pytest.mark.parametrize("part", list(identity()))
def test_identity_is_all_that_code_depends_on(part: str) -> None:
    """Whatever of it changes, the key is another."""
    parts = identity()
    assert key(parts) == key(identity())
    assert key(parts | {part: parts[part] + "x"}) != key(parts)


def test_the_identity_has_the_version_and_numbas_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's version counts, and Numba's settings, but not where its own cache lies."""
    old = identity()
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/nowhere")
    assert identity() == old
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64")
    assert identity()["settings"] != old["settings"]
    monkeypatch.setattr(fxpnn, "__version__", "9")
    assert identity()["fxpnn"] == "9"


def test_the_identity_has_the_sources_of_all_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit in any kernel, or a file more, makes another identity."""
    source = Path(cache.__file__).parents[1]
    folder = shutil.copytree(source, tmp_path / "kernels", ignore=lambda *_: ["__pycache__"])
    monkeypatch.setattr(cache, "__file__", str(folder / "build" / "cache.py"))
    old = identity()["sources"]
    with (folder / "pool.py").open("a") as file:
        file.write("\n")
    edited = identity()["sources"]
    (folder / "more.py").write_bytes(b"")
    assert len({old, edited, identity()["sources"]}) == 3


def test_the_cache_folder_is_the_users_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment variable names the folder that holds all that is kept."""
    monkeypatch.setenv(files.CACHE, str(tmp_path))
    assert cache.default().root == tmp_path / "kernels"
    assert cache.default().key == key(identity())
