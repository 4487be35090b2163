"""Files are read within bounds and written whole or not at all."""

import gzip
import os
import re
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fxpnn import files
from fxpnn.errors import DataError, ModelError


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Let no file grow beyond a limit, as a full disk would; give the limit in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield 1 << 16
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_read_gives_what_write_wrote(tmp_path: Path) -> None:
    """The bytes come back, and nothing else lies in the folder."""
    files.write(tmp_path / "a", b"content")
    assert files.read(tmp_path / "a", 7, DataError) == b"content"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "cannot be read: No such file or directory"),
        ("empty", "must not be empty"),
        ("large", "must be at most 8 bytes, not 9"),
        ("folder", "must be a file, not a folder, pipe or device"),
        ("pipe", "must be a file, not a folder, pipe or device"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
        ("large/inside", "cannot be read: Not a directory"),
    ],
)
def test_read_refuses(tmp_path: Path, name: str, message: str) -> None:
    """What is no file of an allowed size gives one line of the kind that was asked for."""
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(bytes(9))
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ModelError, match=rf"^{re.escape(f'{tmp_path / name}: {message}')}$"):
        files.read(tmp_path / name, 8, ModelError)


def test_unpacked_looks_at_content_not_name(tmp_path: Path) -> None:
    """Gzip is unpacked without ``.gz``, and anything else is given as it is with it."""
    (tmp_path / "packed").write_bytes(gzip.compress(b"content"))
    (tmp_path / "plain.gz").write_bytes(b"content")
    for name in ("packed", "plain.gz"):
        with files.unpacked(tmp_path / name, DataError) as stream:
            assert stream.read() == b"content"


@pytest.mark.parametrize(
    ("start", "stop", "behind"),
    [(0, -1, b""), (0, 12, b""), (0, None, b"behind")],
    ids=["cut", "cut early", "trailing"],
)
def test_unpacked_refuses_broken_gzip(
    tmp_path: Path, start: int, stop: int | None, behind: bytes
) -> None:
    """Gzip that ends early or goes on with something else gives one line."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(range(256)))[start:stop] + behind)
    start_of_line = re.escape(f"{path}: gzip data must be whole, not cut or damaged: ")
    with (
        pytest.raises(DataError, match=f"^{start_of_line}.+$"),
        files.unpacked(path, DataError) as stream,
    ):
        stream.read()


def test_unpacked_limit_bounds_bombs() -> None:
    """A little may unpack to 64 MiB, more to 100 times as much, and nothing to more than 2 GiB."""
    assert files.unpacked_limit(1) == 64 * 1024**2 + 100
    assert files.unpacked_limit(10**9) == 2 * 1024**3


def test_fill_stops_at_the_end_of_either(tmp_path: Path) -> None:
    """It never reads more than the memory takes, and says how much arrived."""
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)) * 30_000)
    for size, arrives in ((2_500_000, 2_500_000), (4_000_000, 3_000_000)):
        memory = bytearray(size)
        with path.open("rb") as stream:
            assert files.fill(stream, memoryview(memory)) == arrives
            assert stream.tell() == arrives
        assert memory[:arrives] == path.read_bytes()[:arrives]


def test_write_replaces_and_keeps_permissions(tmp_path: Path) -> None:
    """A file that exists gets new content and stays as private as it was."""
    path = tmp_path / "private"
    path.write_bytes(b"old")
    path.chmod(0o600)
    files.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_write_makes_a_file_as_open_would(tmp_path: Path) -> None:
    """A new file has the permissions that the user's umask leaves."""
    (tmp_path / "plain").touch()
    files.write(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_write_goes_through_a_link(tmp_path: Path) -> None:
    """The link stays a link, and what it points to is written."""
    (tmp_path / "link").symlink_to("target")
    files.write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/a", "cannot be written: No such file or directory"),
        ("file/a", "cannot be written: Not a directory"),
        ("folder", "must be a file to write to, not a folder, pipe or device"),
        ("pipe", "must be a file to write to, not a folder, pipe or device"),
        ("a" * 256, "cannot be written: File name too long"),
    ],
)
def test_write_refuses(tmp_path: Path, name: str, message: str) -> None:
    """A path that cannot be written gives one line and leaves nothing behind."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=rf"^{re.escape(f'{tmp_path / name}: {message}')}$"):
        files.write(tmp_path / name, b"new")
    assert sorted(tmp_path.rglob("*")) == before


def test_write_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path, small_disk: int) -> None:
    """What cannot be written whole is not written: the old file stays, no other appears."""
    path = tmp_path / "a"
    files.write(path, b"old")
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: cannot be written: .+ large$"):
        files.write(path, bytes(small_disk + 1))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_files_that_belong_together_are_all_written_or_none(
    tmp_path: Path, small_disk: int
) -> None:
    """A second one that does not fit leaves the old first one."""
    one, two, three = (tmp_path / name for name in "abc")
    files.write_all([(one, b"old"), (two, b"old")])
    with pytest.raises(DataError, match=rf"^{re.escape(str(two))}: cannot be written: .+ large$"):
        files.write_all([(one, b"new"), (two, bytes(small_disk + 1)), (three, b"new")])
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"old", b"old"]


def test_write_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a write leaves the old file and no other."""

    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "a"
    files.write(path, b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_sha256_is_the_standard_one() -> None:
    """The empty content has the digest that the standard names (FIPS 180-4 examples)."""
    assert files.sha256(b"abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_write_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    """Old temporary files go; a young one, a link and a user's file of a like name stay."""
    names = {name: f".fxpnn-{name * 16}" for name in "abc"}
    kept = {"a", names["b"], names["c"], ".fxpnn-notes", ".fxpnn-0123456789abcdef0"}
    for name in (*names.values(), ".fxpnn-notes", ".fxpnn-0123456789abcdef0"):
        if name == names["c"]:
            (tmp_path / name).symlink_to(tmp_path / ".fxpnn-notes")
        else:
            (tmp_path / name).touch()
        if name != names["b"]:
            os.utime(tmp_path / name, (0, 0), follow_symlinks=False)
    files.write(tmp_path / "a", b"new")
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_write_sweeps_folders_too(tmp_path: Path) -> None:
    """Old temporary folders go with all that is in them, young ones stay."""
    for name in "ab":
        folder = tmp_path / f".fxpnn-{name * 16}"
        folder.mkdir()
        (folder / "part").write_bytes(b"part")
    os.utime(tmp_path / f".fxpnn-{'a' * 16}", (0, 0))
    files.write(tmp_path / "a", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"a", f".fxpnn-{'b' * 16}"}


def held(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder of files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    """New, in an empty one's or an earlier one's place, through a link; nothing is left beside."""
    (tmp_path / "f").symlink_to("real")
    for content in (b"one", b"two"):
        files.write_folder(tmp_path / "f", [("a", content), ("b", b"")], {"a", "b"})
        assert held(tmp_path / "real") == {"a": content, "b": b""}
    files.write_folder(tmp_path / "f", [("c", b"three")], {"a", "b"})
    assert held(tmp_path / "real") == {"c": b"three"}
    (tmp_path / "empty").mkdir()
    files.write_folder(tmp_path / "empty", [("a", b"one")])
    assert held(tmp_path / "empty") == {"a": b"one"}
    assert {path.name for path in tmp_path.iterdir()} == {"f", "real", "empty"}


@pytest.mark.parametrize("inside", ["file", "folder", "link"])
def test_a_folder_of_something_else_stays(tmp_path: Path, inside: str) -> None:
    """A file of another name, or a folder or link in the place of one's own, is never removed."""
    folder = tmp_path / "f"
    folder.mkdir()
    if inside == "folder":
        (folder / "a").mkdir()
    elif inside == "link":
        (folder / "a").symlink_to(tmp_path)
    else:
        (folder / "notes").write_bytes(b"mine")
    name = "notes" if inside == "file" else "a"
    message = (
        f"{folder}: must be new, empty, or hold only what an earlier such command wrote, not "
        f"{name!r}"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        files.write_folder(folder, [("a", b"one")], {"a"})
    assert [path.name for path in folder.iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """And one that has no parent."""
    (tmp_path / "f").write_bytes(b"mine")
    message = f"{tmp_path / 'f'}: must be a folder to write to, not a file, pipe or device"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        files.write_folder(tmp_path / "f", [])
    message = f"{tmp_path / 'no/f'}: cannot be written: No such file or directory"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        files.write_folder(tmp_path / "no/f", [])


def test_a_folder_that_cannot_be_finished_is_not_there(tmp_path: Path, small_disk: int) -> None:
    """A full disk, or an interruption, leaves what was there before."""
    folder = tmp_path / "f"
    files.write_folder(folder, [("a", b"old")])

    def interrupted() -> Iterator[tuple[str, bytes]]:
        yield "a", b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_folder(folder, interrupted(), {"a"})
    with pytest.raises(DataError, match=rf"^{folder}: cannot be written: File too large$"):
        files.write_folder(folder, [("b", b"new"), ("a", bytes(small_disk + 1))], {"a"})
    assert held(folder) == {"a": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_cannot_be_moved_in_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the last step fails, the old folder stands in its place again."""
    folder, rename = tmp_path / "f", Path.rename
    files.write_folder(folder, [("a", b"old")])

    def broken(self: Path, target: Path) -> Path:
        if target == folder and (self / "a").read_bytes() == b"new":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(DataError, match=rf"^{folder}: cannot be written: Input/output error$"):
        files.write_folder(folder, [("a", b"new")], {"a"})
    assert held(folder) == {"a": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_read_takes_what_has_no_size() -> None:
    """A file of /proc says that it has 0 bytes and holds more; the limit holds there too."""
    path = Path("/proc/self/status")
    assert files.read(path, 1 << 20, DataError).startswith(b"Name:")
    with pytest.raises(DataError, match=rf"^{path}: must be at most 8 bytes, not more$"):
        files.read(path, 8, DataError)


@pytest.mark.parametrize("home", [Path("~/.cache/fxpnn"), None])
def test_cache_folder_without_a_home(monkeypatch: pytest.MonkeyPatch, home: Path | None) -> None:
    """A user without a home has a cache folder that cannot be made, and no error."""

    def place(name: str, *, appauthor: bool) -> Path:
        if home is None:
            raise RuntimeError("Could not determine home directory.")
        return home

    monkeypatch.delenv(files.CACHE, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", place)
    assert files.cache_folder("mnist") == Path(os.devnull, "fxpnn", "mnist")
