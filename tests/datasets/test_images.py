"""PNG and JPEG images load as the pixels they are, one size to a folder."""

import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fxpnn.datasets import load_data
from fxpnn.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE, RGB, GREY_ALPHA, RGBA = 0, 3, 2, 4, 6


def chunk(kind: bytes, content: bytes) -> bytes:
    """Spell a chunk of a PNG with its length and checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    width: int, height: int, pixels: bytes, colour: int = GREY, depth: int = 8, extra: bytes = b""
) -> bytes:
    """Spell a PNG by hand, its rows without filters."""
    step = len(pixels) // height
    rows = b"".join(b"\0" + pixels[row * step :][:step] for row in range(height))
    content = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return header(width, height, colour, depth) + extra + content


def header(width: int, height: int, colour: int = GREY, depth: int = 8) -> bytes:
    """Spell how a PNG starts."""
    return SIGNATURE + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    )


def refuses(source: Path, path: Path, message: str) -> None:
    """Assert that loading a source gives exactly this line about a path."""
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {message}')}$"):
        load_data(source)


def test_grey_image(tmp_path: Path) -> None:
    """A grey image is one channel of rows; its name does not matter."""
    (tmp_path / "a").write_bytes(png(3, 2, bytes([0, 1, 2, 253, 254, 255])))
    data = load_data(tmp_path / "a")
    assert data.x.dtype == np.uint8
    assert data.x.tolist() == [[[[0, 1, 2], [253, 254, 255]]]]
    assert data.y is None


def test_colour_image(tmp_path: Path) -> None:
    """A colour image is three channels: the interleaved bytes are taken apart."""
    (tmp_path / "a.png").write_bytes(png(2, 1, bytes([1, 2, 3, 4, 5, 6]), RGB))
    assert load_data(tmp_path / "a.png").x.tolist() == [[[[1, 4]], [[2, 5]], [[3, 6]]]]


def test_folder_is_sorted_by_name(tmp_path: Path) -> None:
    """Every PNG of a folder loads, by name; hidden and other files do not."""
    for name, value in (("c.png", 3), ("a.PNG", 1), ("b.png", 2), (".d.png", 4)):
        (tmp_path / name).write_bytes(png(1, 1, bytes([value])))
    (tmp_path / "notes.txt").write_text("not an image")
    assert load_data(tmp_path).x.tolist() == [[[[1]]], [[[2]]], [[[3]]]]


def test_folder_of_two_sizes(tmp_path: Path) -> None:
    """The first image that differs is named."""
    (tmp_path / "a.png").write_bytes(png(1, 1, b"a"))
    (tmp_path / "b.png").write_bytes(png(2, 1, b"bb"))
    refuses(tmp_path, tmp_path / "b.png", "must be (1, 1, 1) as a.png is, not (1, 1, 2)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(1, 1, b"ab", depth=16), "must be 8-bit grey or RGB, not 16-bit of PNG colour type 0"),
        (png(8, 1, b"a", depth=1), "must be 8-bit grey or RGB, not 1-bit of PNG colour type 0"),
        (
            png(1, 1, b"a", PALETTE, extra=chunk(b"PLTE", b"abc")),
            "must be 8-bit grey or RGB, not 8-bit of PNG colour type 3",
        ),
        (png(1, 1, b"abcd", RGBA), "must be 8-bit grey or RGB, not 8-bit of PNG colour type 6"),
        (png(1, 1, b"ab", GREY_ALPHA), "must be 8-bit grey or RGB, not 8-bit of PNG colour type 4"),
        (png(1, 1, b"a")[:20], "must not end within its PNG header"),
        (SIGNATURE + chunk(b"IDAT", bytes(13)), "must be a PNG image with its header first"),
        (header(0, 1), "must have 1 to 67108864 pixels, not 0 x 1"),
        (header(2**31 - 1, 2**31 - 1), f"must have 1 to 67108864 pixels, not {2**31 - 1} x "),
    ],
)
def test_png_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no 8-bit grey or RGB image of a sane size gives one line."""
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {message}')}"):
        load_data(path)


def test_png_bomb(tmp_path: Path) -> None:
    """Many large white images in little files are not unpacked."""
    content = header(8192, 8192)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(content)
    limit = 64 * 1024**2 + 200 * len(content)
    message = f"must unpack to at most {limit} bytes, not 2 images of (1, 8192, 8192)"
    refuses(tmp_path, tmp_path / "a.png", message)


def test_png_text_bomb(tmp_path: Path) -> None:
    """Text that unpacks to 128 MiB beside an image gives one line."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 27)))
    (tmp_path / "a.png").write_bytes(png(1, 1, b"a", extra=text))
    message = f"{tmp_path / 'a.png'}: must be a whole PNG, not cut or damaged: "
    with pytest.raises(DataError, match=rf"^{re.escape(message)}.+$"):
        load_data(tmp_path / "a.png")


def test_png_bad_animation(tmp_path: Path) -> None:
    """An animation without frames, that Pillow warns of, gives one line."""
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, b"a", extra=chunk(b"acTL", bytes(8))))
    message = "must be a whole PNG, not cut or damaged: Invalid APNG"
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {message}')}"):
        load_data(path)


def test_png_without_pixels(tmp_path: Path) -> None:
    """An image that ends behind its header gives one line."""
    path = tmp_path / "a.png"
    path.write_bytes(header(4, 3) + chunk(b"IEND", b""))
    message = "must be a whole PNG, not cut or damaged: "
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {message}')}[^\n]+$"):
        load_data(path)


WHOLE = png(5, 4, bytes(range(200, 220)))


@given(
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=2),
    st.integers(0, len(WHOLE)),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_png_damaged(tmp_path: Path, changes: list[tuple[int, int]], cut: int) -> None:
    """Changed or missing bytes are found, or do no harm: the pixels are right or refused."""
    content = bytearray(WHOLE)
    for place, byte in changes:
        content[place % len(content)] = byte
    path = tmp_path / "a.png"
    path.write_bytes(content if cut % 2 else content[:cut])
    try:
        x = load_data(path).x
    except DataError as error:
        line = str(error)
    else:
        line = f"{path}: {x.tolist()}"
        assert x.tobytes() == bytes(range(200, 220))
    assert line.startswith(f"{path}: ")
    assert "\n" not in line


def test_png_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Pillow the line says how to get it."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    path = tmp_path / "a.png"
    path.write_bytes(WHOLE)
    refuses(path, path, "PNG images need Pillow: pip install 'fxpnn[images]'")


def test_png_with_two_headers(tmp_path: Path) -> None:
    """A second header of another size is refused before its pixels are taken."""
    path = tmp_path / "a.png"
    for side in (13_000, 60_000):
        path.write_bytes(header(2, 2) + png(side, side, b"")[8:])
        with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: must [^\n]+$"):
            load_data(path)


def test_folder_of_classes(tmp_path: Path) -> None:
    """Labels are the numbers that name the folders, or the places of their names."""
    for names, labels in ((("3", "10"), [3, 10]), (("b", "a"), [1, 0])):
        folder = tmp_path / names[0]
        for value, name in enumerate(names):
            (folder / name).mkdir(parents=True)
            (folder / name / "i.png").write_bytes(png(1, 1, bytes([value])))
        x, y = load_data(folder)
        assert y is not None
        assert {int(p): int(c) for p, c in zip(x.ravel(), y, strict=True)} == dict(
            enumerate(labels)
        )
    (folder / "c").mkdir()
    refuses(folder, folder / "c", "must hold PNG or JPEG images of one class")


def test_jpeg(tmp_path: Path) -> None:
    """A JPEG loads as the pixels that Pillow decodes; a cut one gives one line."""
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 4), (255, 255, 255)).save(path)
    assert load_data(path).x.shape == (1, 3, 4, 8)
    assert load_data(path).x.min() == 255
    path.write_bytes(path.read_bytes()[:-40])
    message = "must be a whole JPEG, not cut or damaged: "
    with pytest.raises(DataError, match=rf"^{re.escape(f'{path}: {message}')}[^\n]+$"):
        load_data(path)
    Image.new("CMYK", (8, 4)).save(path, "JPEG")
    refuses(path, path, "must be 8-bit grey or RGB, not JPEG of CMYK")
