"""`fxpnn data` lists, fetches, verifies and locates data sets."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fxpnn.datasets import download, mnist
from tests.support.cli_runner import fxp


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the user's cache be an empty folder."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(mnist, "cache_folder", lambda: folder)
    return folder


def test_list(cache: Path) -> None:
    """Every data set with a name is listed with its size, its state and its folder."""
    assert fxp("data", "list", "--json").json == {
        "schema": 1,
        "datasets": [
            {
                "name": name,
                "images": images,
                "size": size,
                "state": state,
                "folder": str(folder),
            }
            for name, images, size, state, folder in (
                ("mnist", 10_000, 7_850_024, "bundled", mnist.BUNDLED),
                ("mnist:calibration", 1_000, 785_024, "bundled", mnist.BUNDLED),
                ("mnist:train", 60_000, 47_100_024, "not fetched", cache),
            )
        ],
    }
    done = fxp("data", "list")
    assert (done.status, done.err) == (0, "")
    assert re.search(r"^ mnist:train +60,000 +47\.1 +not fetched +\S+/cache *$", done.out, re.M)


def test_path(cache: Path) -> None:
    """The folder of a data set is printed alone on its line; one that is not there is an error."""
    assert fxp("data", "path", "mnist") == (0, f"{mnist.BUNDLED}\n", "")
    line = "mnist:train: must be fetched first: fxpnn data fetch mnist"
    assert fxp("data", "path", "mnist:train") == (3, "", f"fxpnn: error: {line}\n")
    cache.mkdir()
    for file in mnist.DATASETS["mnist:train"].files:
        (cache / file.name).write_bytes(b"")
    assert fxp("data", "path", "mnist:train") == (0, f"{cache}\n", "")
    line = "the data set must be one of mnist, mnist:calibration, mnist:train, not 'cifar'"
    assert fxp("data", "path", "cifar") == (3, "", f"fxpnn: error: {line}\n")


def test_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched goes where it was asked to, and the folder is printed."""
    asked = []

    def fetch(name: str, folder: Path | None, progress: Callable[[int, int], None]) -> Path:
        asked.append((name, folder))
        for done in (1, 5, 5, 10):
            progress(done, 10)
        return folder or Path("cache")

    monkeypatch.setattr(download, "fetch", fetch)
    assert fxp("data", "fetch", "mnist") == (0, "cache\n", "")
    assert fxp("data", "fetch", "mnist", "--folder", tmp_path) == (0, f"{tmp_path}\n", "")
    assert asked == [("mnist", None), ("mnist", tmp_path)]


def test_fetch_of_what_is_not_there(tmp_path: Path) -> None:
    """Another name than mnist, and a folder that cannot be made, are refused."""
    line = "the data set must be mnist, not 'cifar'"
    assert fxp("data", "fetch", "cifar") == (3, "", f"fxpnn: error: {line}\n")
    below = tmp_path / "file" / "below"
    below.parent.write_bytes(b"")
    done = fxp("data", "fetch", "mnist", "--folder", below)
    remedy = "name another folder, or set FXPNN_CACHE_DIR"
    line = f"{below}: cannot be made: Not a directory; {remedy}"
    assert done == (3, "", f"fxpnn: error: {line}\n")


def test_verify_bundled() -> None:
    """The bundled files are as published."""
    done = fxp("data", "verify", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json["schema"] == 1
    assert [list(check) for check in done.json["files"]] == [["file", "ok", "reason"]] * 4
    assert all(check["ok"] for check in done.json["files"])
    assert len(re.findall(r"^ ok ", fxp("data", "verify", "mnist").out, re.MULTILINE)) == 4


def test_verify_a_folder(tmp_path: Path) -> None:
    """Missing and altered files are told apart, and end with status 3 after the table."""
    name = "t10k-labels-idx1-ubyte"
    content = bytearray((mnist.BUNDLED / f"{name}.gz").read_bytes())
    (tmp_path / f"{name}.gz").write_bytes(content)
    done = fxp("data", "verify", "--folder", tmp_path)
    first = tmp_path / "train-images-idx3-ubyte"
    assert done.status == 3
    assert done.err == f"fxpnn: error: {first}: missing; 3 of 4 files are not as published\n"
    assert len(re.findall(r"^ ok ", done.out, re.MULTILINE)) == 1
    assert len(re.findall(r"^ bad .* missing *$", done.out, re.MULTILINE)) == 3
    content[-1] ^= 1
    (tmp_path / f"{name}.gz").write_bytes(content)
    assert fxp("data", "verify", "--folder", tmp_path, "--json").json["files"][3]["ok"] is False


def test_verify_of_an_unknown_name() -> None:
    """Another name than mnist is refused."""
    line = "the data set must be mnist, not 'cifar'"
    assert fxp("data", "verify", "cifar") == (3, "", f"fxpnn: error: {line}\n")
