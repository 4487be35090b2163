"""An .npz is read as numbers, with neither pickle nor trust in its headers."""

import io
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fxpnn.datasets import load_data
from fxpnn.errors import DataError


def npy(header: str, content: bytes = b"", version: int = 1) -> bytes:
    """Spell a .npy by hand."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + content


def plain(shape: str, descr: str = "'<f4'") -> str:
    """Spell a header as numpy does."""
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """Write an archive of .npy members."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def refuses(path: Path, message: str) -> None:
    """Assert that loading gives exactly this line about the file."""
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {message}')}$"):
        load_data(path)


LEAVE = "leave y out where there are no classes"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
@pytest.mark.parametrize("dtype", ["u1", "<f2", "<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_gives_what_numpy_saved(
    tmp_path: Path, save: Callable[..., None], dtype: str, order: Literal["C", "F"]
) -> None:
    """Values, dtype and shape come back, in native byte order and C layout."""
    x = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    save(tmp_path / "a.npz", x=x, y=np.array([1, 2], ">u2"), other=np.array([None], object))
    found, labels = load_data(tmp_path / "a.npz")
    assert found.tolist() == x.tolist()
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert labels is not None
    assert (labels.tolist(), str(labels.dtype)) == ([1, 2], "int64")


def test_npz_of_other_writers(tmp_path: Path) -> None:
    """Version 2 headers, no padding and no labels are as good."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,2)}"
    path = pack(tmp_path / "a", {"x": npy(header, struct.pack("<2f", 0.5, -3), version=2)})
    found, labels = load_data(path)
    assert found.tolist() == [[0.5, -3.0]]
    assert labels is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["<f2", ">f8"])
def test_npz_must_be_finite(tmp_path: Path, value: float, dtype: str) -> None:
    """The first value that is not finite is named by its index."""
    x = np.zeros((4, 1, 5), dtype)
    x[2, 0, 3] = x[3, 0, 0] = value
    np.savez(tmp_path / "a.npz", x=x)
    refuses(tmp_path / "a.npz", f"x[2, 0, 3] must be finite, not {value}")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            np.full((2, 3), 256, np.int32),
            None,
            "x must be pixels (integers of 0 to 255) or floats, not int32 of 256 to 256",
        ),
        (np.zeros((2, 3), bool), None, "x must be pixels (integers) or floats, not bool"),
        (np.zeros(3), None, "x must have 2 or more dimensions, not 1"),
        (np.zeros((0, 3)), None, "x must not be empty, not (0, 3)"),
        (np.zeros((2, 3)), np.zeros(2), f"labels must be integers, not float64; {LEAVE}"),
        (np.zeros((2, 3)), np.zeros(2, bool), f"labels must be integers, not bool; {LEAVE}"),
        (
            np.zeros((2, 3)),
            np.zeros(3, int),
            "labels must be (2), one for each image, not (3,)",
        ),
        (
            np.zeros((2, 3)),
            np.zeros((2, 1), int),
            "labels must be (2), one for each image, not (2, 1)",
        ),
        (
            np.zeros((2, 3)),
            np.array([4, -1]),
            "labels must be 0 to 2**31 - 1, not -1 to 4",
        ),
        (
            np.zeros((2, 3)),
            np.array([4, 2**63], np.uint64),
            f"labels must be 0 to 2**31 - 1, not 4 to {2**63}",
        ),
    ],
)
def test_npz_refuses_arrays(
    tmp_path: Path, x: np.ndarray, y: np.ndarray | None, message: str
) -> None:
    """Arrays that are no inputs, or no labels for them, give one line."""
    if y is None:
        np.savez(tmp_path / "a.npz", x=x)
    else:
        np.savez(tmp_path / "a.npz", x=x, y=y)
    refuses(tmp_path / "a.npz", message)


SMALL = npy(plain("(1, 2)"), bytes(8))
NUMBERS = "must be an array of integers or floats of at most 64 bits"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (b"", "x must be a .npy of version 1 or 2"),
        (npy(plain("(1, 2)"), bytes(8))[:-1], "x must hold (1, 2) of float32, not 7 bytes"),
        (npy(plain("(1, 2)"), bytes(9)), "x must hold (1, 2) of float32, not 9 bytes"),
        (
            npy(plain("(999999999999999999, 999999999999999999)"), bytes(8)),
            "x must hold (999999999999999999, 999999999999999999) of float32, not 8 bytes",
        ),
        (npy(plain("(1, -2)"), bytes(8)), f"x {NUMBERS}"),
        (npy(plain("(1, 2)", "'|O'"), bytes(8)), f"x {NUMBERS}"),
        (npy(plain("(1, 2)", "'<f16'"), bytes(32)), f"x {NUMBERS}"),
        (npy(plain("(1, 2)", "'<c8'"), bytes(16)), f"x {NUMBERS}"),
        (npy(plain("(1, 2)", "[('a', '<f4')]"), bytes(8)), f"x {NUMBERS}"),
        (npy("(" * 9000, bytes(8)), f"x {NUMBERS}"),
        (npy("-" * 9000 + "1", bytes(8)), f"x {NUMBERS}"),
        (npy(plain("(1, 2)"), bytes(8), version=3), "x must be a .npy of version 1 or 2"),
    ],
)
def test_npz_refuses_members(tmp_path: Path, member: bytes, message: str) -> None:
    """A header that lies, names objects or attacks a parser gives one line."""
    refuses(pack(tmp_path / "a", {"x": member}), message)


def test_npz_without_x(tmp_path: Path) -> None:
    """The line says what the archive holds instead, with no room for tricks on a terminal."""
    path = pack(tmp_path / "a", {"images": b"", "\033[2J": b""})
    refuses(path, r"must hold x.npy, not only 'images.npy', '\x1b[2J.npy'")
    refuses(pack(tmp_path / "b", {"y" * 200: b""}), f"must hold x.npy, not only '{'y' * 79}")


def test_npz_bomb(tmp_path: Path) -> None:
    """128 MiB of zeros in 130 kB are not unpacked."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((1 << 17, 1 << 10), np.uint8))
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("x.npy")
    limit = 64 * 1024**2 + 100 * info.compress_size
    refuses(path, f"x must unpack to at most {limit} bytes, not {info.file_size}")


def test_npz_packed_otherwise(tmp_path: Path) -> None:
    """Only deflate is unpacked: the others have no bound on what a byte may become."""
    path = pack(tmp_path / "a", {"x": SMALL}, zipfile.ZIP_LZMA)
    refuses(path, "x must be stored or deflated, not packed otherwise")


def test_npz_encrypted(tmp_path: Path) -> None:
    """An encrypted member gives one line."""
    path = pack(tmp_path / "a", {"x": SMALL})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag, in the member's own header and in the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    message = f"{path}: must be a whole .npz, not cut or damaged: "
    with pytest.raises(DataError, match=rf"^{re.escape(message)}.*encrypted.*$"):
        load_data(path)


@pytest.mark.parametrize("kept", [2, 60, 200, -1])
def test_npz_cut(tmp_path: Path, kept: int) -> None:
    """An archive that was cut gives one line."""
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros((2, 3)))
    path.write_bytes(path.read_bytes()[:kept])
    message = f"{path}: must be a whole .npz, not cut or damaged: "
    with pytest.raises(DataError, match=rf"^{re.escape(message)}.+$"):
        load_data(path)


def test_npz_directory_that_lies(tmp_path: Path) -> None:
    """A directory that promises more than the member holds gives one line, and no memory."""
    path = pack(tmp_path / "a", {"x": SMALL})
    content = path.read_bytes()
    size = struct.pack("<I", len(SMALL))
    lie = struct.pack("<I", len(npy(plain("(9, 2)"), bytes(72))))
    content = content.replace(plain("(1, 2)").encode(), plain("(9, 2)").encode())
    path.write_bytes(content.replace(size, lie))
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: .+$"):
        load_data(path)


def arrays(method: int) -> bytes:
    """Give an archive of a small data set."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x.npy", npy(plain("(2, 3)", "'|u1'"), bytes(range(6))))
        archive.writestr("y.npy", npy(plain("(2,)", "'<i4'"), struct.pack("<2i", 5, 6)))
    return file.getvalue()


ARCHIVES = [arrays(zipfile.ZIP_STORED), arrays(zipfile.ZIP_DEFLATED)]


@given(
    st.sampled_from(ARCHIVES),
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(0, 20),
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_npz_damaged(
    tmp_path: Path, archive: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    """Changed bytes are found by a checksum, or do no harm: the content is right or refused."""
    content = bytearray(archive[: len(archive) - max(cut - 10, 0)])
    for place, byte in changes:
        content[place % len(content)] = byte
    path = tmp_path / "a"
    path.write_bytes(content)
    try:
        found = load_data(path)
    except DataError as error:
        line = str(error)
    else:
        line = f"{path}: {found.x.tolist()}, {None if found.y is None else found.y.tolist()}"
        assert found.x.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert found.y is None or found.y.tolist() == [5, 6]
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
