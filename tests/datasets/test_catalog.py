"""The catalogue says what there is, where it lies, and whether it is as published."""

import gzip
import re
import shutil
import struct
from pathlib import Path

import platformdirs
import pytest

from fxpnn.datasets import load_data, mnist
from fxpnn.datasets.catalog import catalog, verify
from fxpnn.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder instead of the user's cache."""
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path)
    return tmp_path


def test_catalog_lists_what_can_be_loaded(cache: Path) -> None:
    """Name, images, unpacked bytes, state and folder of each set; training images come later."""
    assert [(e.name, e.images, e.size, e.state) for e in catalog()] == [
        ("mnist", 10_000, 7_850_024, "bundled"),
        ("mnist:calibration", 1_000, 785_024, "bundled"),
        ("mnist:train", 60_000, 47_100_024, "not fetched"),
    ]
    assert catalog()[2].folder == cache
    for entry in catalog()[:2]:
        assert len(load_data(entry.name).x) == entry.images
        assert list(entry.folder.glob("*.gz"))
    for file in mnist.DATASETS["mnist:train"].files:
        assert catalog()[2].state == "not fetched"
        (cache / file.name).touch()
    assert catalog()[2].state == "cached"


def test_verify_reads_the_bundled_files(cache: Path) -> None:
    """They are as published, and of what was not fetched nothing is said."""
    checks = verify("mnist")
    assert [check.file.name for check in checks] == [
        f"{split}-{kind}-ubyte.gz"
        for split in ("t10k", "calibration")
        for kind in ("images-idx3", "labels-idx1")
    ]
    assert {(check.ok, check.reason) for check in checks} == {(True, "sha256 as published")}


def test_verify_says_what_is_wrong(tmp_path: Path) -> None:
    """A file may be as published, missing, altered or cut."""
    name = "t10k-labels-idx1-ubyte"
    shutil.copy(mnist.BUNDLED / f"{name}.gz", tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"content")[:-1])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"abc")
    found = {check.file.name: (check.ok, check.reason) for check in verify("mnist", tmp_path)}
    assert found[f"{name}.gz"] == (True, "sha256 as published")
    assert found["train-images-idx3-ubyte"] == (False, "missing")
    ok, reason = found["train-labels-idx1-ubyte"]
    assert not ok
    assert re.fullmatch(r"sha256 must be 65a50cbb[0-9a-f]{56}, not ba7816bf[0-9a-f]{56}", reason)
    ok, reason = found["t10k-images-idx3-ubyte.gz"]
    assert not ok
    assert reason.startswith("gzip data must be whole, not cut or damaged: ")


def test_verify_names_half_a_fetched_set(cache: Path) -> None:
    """Where one of its files was fetched, the other is missed."""
    (cache / "train-labels-idx1-ubyte").write_bytes(b"abc")
    assert [(check.ok, check.reason[:11]) for check in verify("mnist")[4:]] == [
        (False, "missing"),
        (False, "sha256 must"),
    ]


def test_cache_is_the_platforms_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched data lie where the platform keeps what can be fetched again, or where one says."""
    monkeypatch.setenv("FXPNN_CACHE_DIR", "/some/where")
    assert mnist.cache_folder() == Path("/some/where/mnist").absolute()
    monkeypatch.delenv("FXPNN_CACHE_DIR")
    assert mnist.cache_folder() == Path(platformdirs.user_cache_dir("fxpnn", False)) / "mnist"


def test_split_of_a_named_set() -> None:
    """Only ``mnist`` has splits; its test split is the bundled set."""
    with pytest.raises(
        DataError, match=r"^mnist:calibration: must be mnist where a split is chosen$"
    ):
        load_data("mnist:calibration", split="train")
    assert len(load_data("mnist", split="test").x) == 10_000


def test_published_sizes_are_those_of_the_headers() -> None:
    """Each size is the header's and one byte for each pixel or label."""
    for dataset in mnist.DATASETS.values():
        images, labels = dataset.files
        assert images.size == struct.calcsize(">4I") + dataset.images * 28 * 28
        assert labels.size == struct.calcsize(">2I") + dataset.images


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gzip"])
def test_verify_stops_at_the_published_size(tmp_path: Path, packed: bool) -> None:
    """A file that is longer than the published one is not read to its end."""
    file = mnist.PUBLISHED[1]
    content = bytes(file.size + 1)
    name = file.name + ".gz" * packed
    (tmp_path / name).write_bytes(gzip.compress(content) * 3 if packed else content)
    found = verify("mnist", tmp_path)[1]
    assert (found.ok, found.reason) == (False, f"must hold {file.size} bytes, not more")
