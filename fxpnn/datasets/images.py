"""PNG and JPEG images: sizes are checked here, pixels are decoded by Pillow."""

import contextlib
import math
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fxpnn import files
from fxpnn.datasets.idx import listed
from fxpnn.errors import DataError
from fxpnn.network.layers import Array, Shape

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_SUFFIXES = (".png", ".jpg", ".jpeg")
_HEADER = struct.Struct(">8sI4sIIBB")
_CHANNELS = {(8, 0): 1, (8, 2): 3}
"""Channels for the bit depths and colour types that are read: grey and RGB."""

_PIXELS = 1 << 26
"""The largest image; beyond it Pillow itself would warn of a decompression bomb."""

_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    IndexError,
    UserWarning,
    struct.error,
)
"""What Pillow raises for an image that is damaged."""


def is_image(path: Path) -> bool:
    """Tell whether a file starts as a PNG or JPEG does."""
    with files.opened(path, DataError) as file:
        return file.read(len(_SIGNATURE)).startswith((_SIGNATURE, _JPEG))


def images_in(folder: Path) -> list[Path]:
    """List the PNG and JPEG files of a folder, sorted by name; hidden ones are left out."""
    images = (path for path in listed(folder) if path.suffix.lower() in _SUFFIXES)
    return sorted(path for path in images if not path.name.startswith("."))


def read_images(paths: Sequence[Path]) -> Array:
    """Read images of one size into uint8 ``(N, channels, height, width)``.

    Raises:
        DataError: Pillow is not installed, or an image is damaged, not 8-bit grey or RGB, of
            another size than the first, or too large to unpack.
    """
    shape = _shape(paths[0])
    limit = files.unpacked_limit(sum(path.stat().st_size for path in paths))
    if len(paths) * math.prod(shape) > limit:
        raise DataError(
            f"{paths[0]}: must unpack to at most {limit} bytes, not {len(paths)} images of {shape}"
        )
    images = np.empty((len(paths), *shape), np.uint8)
    for image, path in zip(images, paths, strict=True):
        if (found := _shape(path)) != shape:
            raise DataError(f"{path}: must be {shape} as {paths[0].name} is, not {found}")
        image[...] = _pixels(path, shape)
    return images


def _shape(path: Path) -> Shape:
    with files.opened(path, DataError) as file:
        start = file.read(_HEADER.size)
    if start.startswith(_JPEG):
        with _decoder(path, "JPEG") as image:
            channels = {"L": 1, "RGB": 3}.get(image.mode)
            if channels is None:
                raise DataError(f"{path}: must be 8-bit grey or RGB, not JPEG of {image.mode}")
            return _bounded(path, channels, *image.size)
    if len(start) < _HEADER.size:
        raise DataError(f"{path}: must not end within its PNG header")
    signature, length, kind, width, height, depth, colour = _HEADER.unpack(start)
    if (signature, length, kind) != (_SIGNATURE, 13, b"IHDR"):
        raise DataError(f"{path}: must be a PNG image with its header first")
    channels = _CHANNELS.get((depth, colour))
    if channels is None:
        raise DataError(
            f"{path}: must be 8-bit grey or RGB, not {depth}-bit of PNG colour type {colour}"
        )
    return _bounded(path, channels, width, height)


def _bounded(path: Path, channels: int, width: int, height: int) -> Shape:
    if not 1 <= width * height <= _PIXELS:
        raise DataError(f"{path}: must have 1 to {_PIXELS} pixels, not {width} x {height}")
    return channels, height, width


def _pixels(path: Path, shape: Shape) -> Array:
    channels, height, width = shape
    with files.opened(path, DataError) as file:
        kind = "JPEG" if file.read(len(_JPEG)) == _JPEG else "PNG"
    if kind == "PNG":
        with _decoder(path, kind) as image:
            _check_size(path, image, shape)
            image.verify()  # the checksums, which unpacking does not look at
    with _decoder(path, kind) as image:
        _check_size(path, image, shape)
        pixels = np.frombuffer(image.tobytes(), np.uint8)
        return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def _check_size(path: Path, image: "Image.Image", shape: Shape) -> None:
    """Refuse a size that a later header changed, before memory is taken for it."""
    found = (len(image.getbands()), image.height, image.width)
    if found != shape:
        raise DataError(f"{path}: must have one header, of {shape}, not another of {found}")


@contextlib.contextmanager
def _decoder(path: Path, kind: str) -> Iterator["Image.Image"]:
    """Open an image with Pillow; whatever it reports meanwhile becomes one line."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{path}: {kind} images need Pillow: pip install 'fxpnn[images]'") from None
    broken = (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # how Pillow tells of a bad animation
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=[kind]) as image:
                yield image
    except DataError:  # a ValueError too
        raise
    except broken as error:
        raise DataError(f"{path}: must be a whole {kind}, not cut or damaged: {error}") from None
