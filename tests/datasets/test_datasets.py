"""Data sets load as they are, and whatever is wrong with one is said in a line."""

import gzip
import hashlib
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fxpnn.datasets import Data, Split, data_sha256, load_data
from fxpnn.errors import DataError

IMAGES = "t10k-images-idx3-ubyte"
LABELS = "t10k-labels-idx1-ubyte"


def idx(*sizes: int, content: bytes | None = None) -> bytes:
    """Spell an IDX file of unsigned bytes; its content counts up unless it is given."""
    if content is None:
        content = bytes(i % 251 for i in range(int(np.prod(sizes))))
    return struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes) + content


def line(path: Path, message: str) -> str:
    """Give the pattern of a whole line about a file."""
    return rf"^{re.escape(f'{path}: {message}')}$"


def loaded(path: Path) -> Data | str:
    """Load a file, or give the line that says why not."""
    try:
        return load_data(path)
    except DataError as error:
        return str(error)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a test set of three images of 2 x 4 pixels and their labels."""
    (tmp_path / IMAGES).write_bytes(idx(3, 2, 4))
    (tmp_path / LABELS).write_bytes(idx(3, content=bytes([7, 0, 255])))
    return tmp_path


def test_mnist_is_the_published_test_set() -> None:
    """The bundled files are the authors': their bytes give the known sha256."""
    x, y = load_data("mnist")
    assert y is not None
    assert (x.shape, str(x.dtype)) == ((10_000, 1, 28, 28), "uint8")
    assert (y.shape, str(y.dtype)) == ((10_000,), "int64")
    header = struct.pack(">4I", 0x803, 10_000, 28, 28)
    assert hashlib.sha256(header + x.tobytes()).hexdigest().startswith("0fa7898d509279e4")
    header = struct.pack(">2I", 0x801, 10_000)
    labels = header + y.astype(np.uint8).tobytes()
    assert hashlib.sha256(labels).hexdigest().startswith("ff7bcfd416de3373")
    assert y[:4].tolist() == [7, 2, 1, 0]


def test_calibration_is_balanced_and_disjoint_from_the_test_set() -> None:
    """It holds 100 images of each digit, and none of them is a test image."""
    x, y = load_data("mnist:calibration")
    assert y is not None
    assert x.shape == (1_000, 1, 28, 28)
    assert np.bincount(y).tolist() == [100] * 10
    assert not {image.tobytes() for image in x} & {
        image.tobytes() for image in load_data("mnist").x
    }


def test_bundled_files_are_small_and_reproducible() -> None:
    """Together they stay under 2 MB, and none of them carries the time of its making."""
    bundled = list((Path(__file__).parents[2] / "fxpnn" / "data").glob("*.gz"))
    assert len(bundled) == 4
    assert sum(path.stat().st_size for path in bundled) < 2_000_000
    assert {path.read_bytes()[4:8] for path in bundled} == {bytes(4)}


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gzip"])
def test_idx_loads_with_the_labels_beside_it(folder: Path, packed: bool) -> None:
    """Images get a channel axis, labels are int64, both may be written to, raw or gzip."""
    if packed:
        for name in (IMAGES, LABELS):
            content = (folder / name).read_bytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            (folder / name).unlink()
    x, y = load_data(folder / (IMAGES + ".gz" * packed))
    assert x.tolist() == np.arange(24).reshape(3, 1, 2, 4).tolist()
    assert x.dtype == np.uint8
    assert y is not None
    assert (y.tolist(), str(y.dtype)) == ([7, 0, 255], "int64")
    x += 1  # compiled code takes arrays that may be written to; the file must not notice
    assert load_data(folder / (IMAGES + ".gz" * packed)).x[0, 0, 0, 0] == 0


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [((3, 8), (3, 8)), ((3, 2, 4), (3, 1, 2, 4)), ((3, 2, 2, 2), (3, 2, 2, 2))],
)
def test_idx_dimensions(tmp_path: Path, sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Vectors and colour images keep their axes, grey images get one for the channel."""
    (tmp_path / "a").write_bytes(idx(*sizes))
    data = load_data(str(tmp_path / "a"))
    assert data.x.shape == shape
    assert data.y is None


def test_raw_idx_beyond_the_memory(tmp_path: Path) -> None:
    """A raw file larger than half of the memory is refused before any is taken."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(idx(1 << 31, 32, 32, content=b""))
        file.truncate(16 + (1 << 41))  # a hole: it takes no disk
    message = r"must be at most \d+ bytes, half of this machine's memory, not 2199023255552; "
    with pytest.raises(DataError, match=rf"^{path}: {message}divide it into several files$"):
        load_data(path)


def test_file_cut_after_it_was_loaded(tmp_path: Path) -> None:
    """Data are read when they are loaded: what becomes of the file does not matter."""
    path = tmp_path / "a"
    path.write_bytes(idx(70_000, 32, 32, content=bytes(70_000 << 10)))
    x = load_data(path).x
    os.truncate(path, 100)
    assert not x.any()


def test_npy(tmp_path: Path) -> None:
    """An array of floats is taken as it is, with labels from another file."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.array([4, 2]))
    data = load_data(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    assert data.x.tolist() == x.tolist()
    assert data.y is not None
    assert data.y.tolist() == [4, 2]
    assert load_data(tmp_path / "x.npy").y is None


def test_npy_refuses(tmp_path: Path) -> None:
    """A cut array gives one line, and so does one whose integers are no pixels."""
    path = tmp_path / "x.npy"
    np.save(path, np.arange(300).reshape(1, 300))
    message = "x must be pixels (integers of 0 to 255) or floats, not int64 of 0 to 299"
    with pytest.raises(DataError, match=line(path, message)):
        load_data(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=line(path, "must hold (1, 300) of int64, not 2392 bytes")):
        load_data(path)
    path.write_bytes(path.read_bytes()[:9])
    with pytest.raises(DataError, match=line(path, "must not end within its header")):
        load_data(path)


def test_labels_given_twice(folder: Path) -> None:
    """Data with labels of their own take no others."""
    np.save(folder / "y.npy", np.zeros(3, np.int64))
    message = f"has labels of its own, {folder / 'y.npy'} must not be given"
    with pytest.raises(DataError, match=line(folder, message)):
        load_data(folder, labels=folder / "y.npy")


def test_npz_of_keras(tmp_path: Path) -> None:
    """An archive of two sets asks which; its grey images get the axis of a channel."""
    path = tmp_path / "mnist.npz"
    x, y = np.arange(24).reshape(3, 2, 4), np.array([1, 2, 3])
    np.savez(path, x_train=x, y_train=y, x_test=x[:1] + 1, y_test=y[:1])
    for data, images, first in (
        (load_data(path, split="train"), 3, 0),
        (load_data(f"{path}:test"), 1, 1),
    ):
        assert data.x.shape == (images, 1, 2, 4)
        assert data.x.dtype == np.uint8
        assert data.x[0, 0, 0, 0] == first
        assert data.y is not None
        assert data.y.tolist() == [1, 2, 3][:images]
    message = f"holds a test and a training set; name {path}:test or {path}:train"
    with pytest.raises(DataError, match=line(path, message)):
        load_data(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must not be empty"),
        (idx(3, 2, 4)[:3], "MAGIC, not start with 00 00 08"),
        (b"GIF89a", "MAGIC, not start with 47 49 46 38"),
        (b"\0\0\x0d\3" + bytes(16), "MAGIC, not start with 00 00 0d 03"),
        (b"\0\0\x08\0" + bytes(16), "MAGIC, not start with 00 00 08 00"),
        (b"\0\0\x08\5" + bytes(20), "MAGIC, not start with 00 00 08 05"),
        (idx(3, 2, 4)[:15], "must not end within its IDX header"),
        (idx(3, 0, 4), "sizes must be 1 or more, not (3, 0, 4)"),
        (idx(3, 2, 4)[:-1], "must hold 24 bytes behind its header of (3, 2, 4), not 23"),
        (idx(3, 2, 4) + b"\0", "must hold 24 bytes behind its header of (3, 2, 4), not 25"),
        (
            idx(2**32 - 1, 2**32 - 1, 2**32 - 1, content=b"abc"),
            f"must hold {(2**32 - 1) ** 3} bytes behind its header of "
            f"({2**32 - 1}, {2**32 - 1}, {2**32 - 1}), not 3",
        ),
        (idx(9), "must hold images (2 to 4 dimensions), not labels (1)"),
    ],
)
def test_idx_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that is empty, cut, too long, or whose header lies gives one line."""
    magic = (
        "must be an IDX file of unsigned bytes (it starts with 00 00 08 01 to 04), "
        "an .npy, .npz, PNG or JPEG"
    )
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(DataError, match=line(path, message.replace("MAGIC", magic))):
        load_data(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(3, 2, 4)[:-1], "must hold 24 bytes behind its header of (3, 2, 4), not 23"),
        (idx(3, 2, 4) + b"\0", "must hold 24 bytes behind its header of (3, 2, 4), not more"),
        (
            idx(2**32 - 1, 2**32 - 1, 2**32 - 1, content=b"abc"),
            f"must unpack to at most LIMIT bytes, not the {(2**32 - 1) ** 3} of its header; "
            "gunzip a larger file",
        ),
        (
            idx(1 << 17, 32, 32, content=bytes(1 << 27)),  # 128 MiB of zeros in 130 kB
            "must unpack to at most LIMIT bytes, not the 134217728 of its header; "
            "gunzip a larger file",
        ),
    ],
    ids=["short", "long", "huge header", "bomb"],
)
def test_packed_idx_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    """Gzip whose content is not what its header says, or a decompression bomb, gives one line."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(content))
    limit = 64 * 1024**2 + 100 * path.stat().st_size
    with pytest.raises(DataError, match=line(path, message.replace("LIMIT", str(limit)))):
        load_data(path)


def test_gzip_that_ends_early_is_named(folder: Path) -> None:
    """A gzip file that was cut gives one line, not fewer images."""
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(gzip.compress(idx(3, 2, 4))[:-9])
    message = "gzip data must be whole, not cut or damaged: "
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {message}')}.+$"):
        load_data(path)


@given(flips=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 7)), min_size=1, max_size=3))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gzip"])
def test_idx_flipped_bits(tmp_path: Path, packed: bool, flips: list[tuple[int, int]]) -> None:
    """Flipped bits change a raw file's pixels at most; in gzip they are found; none is a crash."""
    whole = idx(3, 5, 7)
    content = bytearray(gzip.compress(whole, mtime=0) if packed else whole)
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    path = tmp_path / "a"
    path.write_bytes(content)
    found = loaded(path)
    if isinstance(found, str):
        assert found.startswith(f"{path}: ")
        assert "\n" not in found
    else:
        assert found.x.size == 105
        assert not packed or found.x.tobytes() == whole[16:]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (idx(2), "labels must be (3), one for each image, not (2,)"),
        (idx(3, 1), "labels must be (3), one for each image, not (3, 1)"),
        (idx(3)[:-1], "must hold 3 bytes behind its header of (3,), not 2"),
        (b"", "must not be empty"),
    ],
)
def test_labels_refused(folder: Path, labels: bytes, message: str) -> None:
    """Labels of another length, or cut, are named by their own file."""
    (folder / LABELS).write_bytes(labels)
    with pytest.raises(DataError, match=line(folder / LABELS, message)):
        load_data(folder / IMAGES)


def test_folder_of_one_split_needs_no_choice(folder: Path) -> None:
    """The only set that a folder holds is the one that is meant."""
    data = load_data(folder)
    assert data.x.shape == (3, 1, 2, 4)
    assert data.y is not None


def test_folder_of_two_splits(folder: Path) -> None:
    """The choice selects one, and is asked for where it is missing."""
    (folder / "train-images.idx3-ubyte.gz").write_bytes(gzip.compress(idx(2, 2, 4)))
    (folder / "train-labels.idx1-ubyte").write_bytes(idx(2))
    assert load_data(folder, split="test").x.shape[0] == 3
    train = load_data(folder, split="train")
    assert train.x.shape[0] == 2
    assert train.y is not None
    message = (
        f"holds a test and a training set; name train-images.idx3-ubyte.gz or {IMAGES}, or a split"
    )
    with pytest.raises(DataError, match=line(folder, message)):
        load_data(folder)


def test_folder_prefers_the_raw_file(folder: Path) -> None:
    """Where a file lies raw and packed, the raw one is read."""
    (folder / f"{IMAGES}.gz").write_bytes(b"not read")
    (folder / f"{LABELS}.gz").write_bytes(b"not read")
    assert load_data(folder, split="test").x.shape[0] == 3


def test_folder_without_the_split(folder: Path) -> None:
    """A split that a folder does not hold is named by its files."""
    message = "must hold train-images-idx3-ubyte, raw or .gz"
    with pytest.raises(DataError, match=line(folder, message)):
        load_data(folder, split="train")


def test_folder_without_data(tmp_path: Path) -> None:
    """A folder without data says what it could hold."""
    message = (
        "must hold IDX files (t10k-*, train-*), PNG or JPEG images, "
        "or a folder of these for each class"
    )
    with pytest.raises(DataError, match=line(tmp_path, message)):
        load_data(tmp_path)


def test_split_of_a_file(folder: Path) -> None:
    """A file is one set; a split of it cannot be chosen."""
    message = "must be a folder or mnist where a split is chosen, not a file"
    with pytest.raises(DataError, match=line(folder / IMAGES, message)):
        load_data(folder / IMAGES, split="test")


def test_split_unknown() -> None:
    """Only two splits exist."""
    with pytest.raises(DataError, match=r"^split must be 'test' or 'train', not 'valid'$"):
        load_data("mnist", split=cast(Split, "valid"))


def test_source_unknown() -> None:
    """A source that is neither a known name nor a path says what is known."""
    message = "must be mnist, mnist:calibration, mnist:train, or a file or folder that exists"
    with pytest.raises(DataError, match=line(Path("mnist:test"), message)):
        load_data("mnist:test")


def test_sha256_depends_on_content_only(folder: Path) -> None:
    """Storage, byte order and memory layout do not matter; values, shape, dtype and labels do."""
    data = load_data(folder)
    expected = hashlib.sha256(b"|u1(3, 1, 2, 4)" + bytes(range(24)))
    expected.update(b"<i8(3,)" + struct.pack("<3q", 7, 0, 255))
    assert data_sha256(data) == expected.hexdigest()
    floats = np.arange(6, dtype=np.float32).reshape(2, 3)
    same = data_sha256(Data(floats))
    assert data_sha256(Data(floats.astype(">f4"))) == same
    assert data_sha256(Data(np.asfortranarray(floats))) == same
    others = [
        Data(floats.reshape(3, 2)),
        Data(floats.astype(np.float64)),
        Data(floats + 1),
        Data(floats, np.zeros(2, np.int64)),
    ]
    assert len({same, *map(data_sha256, others)}) == 5


def test_loading_imports_nothing_slow() -> None:
    """Bundled data load without what only other work needs."""
    code = (
        "import sys; from fxpnn.datasets import load_data; load_data('mnist');"
        "slow = {'numba', 'onnx', 'rich', 'PIL', 'urllib.request', 'platformdirs'};"
        "sys.exit(f'imported {slow & sys.modules.keys()}' if slow & sys.modules.keys() else 0)"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
