"""Data sets: images and labels from every kind of source, in one form.

``load_data`` takes a name (``mnist``), an IDX file or folder, an ``.npz``, or PNG images.
"""

import hashlib
import math
import os
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn import files
from fxpnn.datasets import idx, mnist, npz, png
from fxpnn.errors import DataError
from fxpnn.network.layers import Array

DIGESTED = 1024
"""Images that are in memory at once while a large file is digested."""

Split: TypeAlias = Literal["test", "train"]


class Data(NamedTuple):
    """Images (or other inputs) and, where they are known, their labels.

    ``x`` is uint8 or a float type, ``(N, ...)``; pixels are ``(N, channels, height, width)``.
    ``y`` is int64, ``(N,)``, 0 or more, or ``None``.
    """

    x: Array
    y: npt.NDArray[np.int64] | None = None


def load_data(source: str | os.PathLike[str], *, split: Split | None = None) -> Data:
    """Load a data set by name or path; what a file is, its first bytes say, not its name.

    - ``"mnist"``: the 10,000 test images, bundled. ``"mnist:calibration"``: 1,000 training images,
      bundled. ``"mnist:train"``: the 60,000 training images, once ``fetch`` has brought them.
      ``split`` chooses between test and train of ``"mnist"``.
    - An IDX file of unsigned bytes, raw (a large one is mapped, read-only, and costs no memory) or
      gzip. Labels are read where they lie beside it: ``...labels...idx1...`` for
      ``...images...idx3...``.
    - A folder of IDX files, ``t10k-*`` or ``train-*``; ``split`` chooses where it holds both.
    - An ``.npz`` with ``x`` and optionally ``y``.
    - A PNG, 8-bit grey or RGB, or a folder of PNGs of one size, sorted by name.

    Raises:
        DataError: the source is missing, damaged, ambiguous or too large to unpack, its labels do
            not fit its images, or it holds NaN or infinity; one line names the file and place.
    """
    if split not in (None, "test", "train"):
        raise DataError(f"split must be 'test' or 'train', not {split!r}")
    if isinstance(source, str) and (paths := mnist.find(source, split)):
        return _from_idx(*paths)
    path = Path(source)
    if path.is_dir():
        return _from_folder(path, split)
    if split is not None:
        raise DataError(f"{path}: must be a folder or mnist where a split is chosen, not a file")
    if not path.exists():
        known = ", ".join(mnist.DATASETS)
        raise DataError(f"{path}: must be {known}, or a file or folder that exists")
    return _from_file(path)


def data_sha256(data: Data) -> str:
    """Return the hexadecimal sha256 of what a data set holds.

    It covers dtype, shape and little-endian bytes of ``x`` and ``y``: not where they came from, nor
    how they were stored.
    """
    digest = hashlib.sha256()
    for array in data:
        if array is not None:
            dtype = array.dtype.newbyteorder("<")
            digest.update(f"{dtype.str}{array.shape}".encode())
            for start in range(0, len(array), DIGESTED):
                part = np.ascontiguousarray(array[start : start + DIGESTED], dtype)
                digest.update(part.reshape(-1).view(np.uint8).data)
                files.release(array)
    return digest.hexdigest()


def _from_file(path: Path) -> Data:
    if png.is_png(path):
        return Data(png.read_png([path]))
    if npz.is_zip(path):
        x, y = npz.read_npz(path)
        return Data(_checked_inputs(path, x), None if y is None else _checked_labels(path, y, x))
    return _from_idx(path, idx.labels_beside(path))


def _from_folder(folder: Path, split: Split | None) -> Data:
    splits = idx.images_in(folder)
    if split in splits:
        return _from_file(splits[split])
    if split is not None:
        raise DataError(f"{folder}: must hold {idx.PREFIX[split]}-images-idx3-ubyte, raw or .gz")
    if len(splits) > 1:
        names = " or ".join(path.name for path in splits.values())
        raise DataError(f"{folder}: holds a test and a training set; name {names}, or a split")
    if splits:
        return _from_file(*splits.values())
    if images := png.images_in(folder):
        return Data(png.read_png(images))
    raise DataError(f"{folder}: must hold IDX files (t10k-*, train-*) or PNG images")


def _from_idx(images: Path, labels: Path | None) -> Data:
    x = idx.read_idx(images)
    if x.ndim == 1:
        raise DataError(f"{images}: must hold images (2 to 4 dimensions), not labels (1)")
    if x.ndim == 3:
        x = x[:, np.newaxis]
    return Data(x, None if labels is None else _checked_labels(labels, idx.read_idx(labels), x))


def _checked_inputs(path: Path, x: Array) -> Array:
    if x.dtype.kind != "f" and x.dtype != np.uint8:
        raise DataError(f"{path}: x must be uint8 or floats, not {x.dtype}")
    if x.ndim < 2:
        raise DataError(f"{path}: x must have 2 or more dimensions, not {x.ndim}")
    if not all(map(math.isfinite, (x.min(), x.max()))):
        index = np.unravel_index(np.argmin(np.isfinite(x)), x.shape)
        raise DataError(f"{path}: x{[int(i) for i in index]} must be finite, not {x[index]}")
    return x


def _checked_labels(path: Path, y: Array, x: Array) -> npt.NDArray[np.int64]:
    if y.dtype.kind not in "iu":
        raise DataError(
            f"{path}: labels must be integers, not {y.dtype}; "
            "leave y out where there are no classes"
        )
    if y.shape != x.shape[:1]:
        raise DataError(f"{path}: labels must be ({len(x)}), one for each image, not {y.shape}")
    if y.min() < 0 or y.max() > np.iinfo(np.int32).max:
        raise DataError(f"{path}: labels must be 0 to 2**31 - 1, not {y.min()} to {y.max()}")
    return y.astype(np.int64)
