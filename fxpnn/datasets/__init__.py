"""Data sets: images and labels from every kind of source, in one form.

``load_data`` takes a name (``mnist``), an IDX file or folder, an ``.npy``, an ``.npz``, or
PNG and JPEG images.
"""

import hashlib
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fxpnn.datasets import idx, images, mnist, npz
from fxpnn.errors import DataError
from fxpnn.network.layers import Array, Shape

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


def load_data(
    source: str | os.PathLike[str],
    *,
    split: Split | None = None,
    labels: str | os.PathLike[str] | None = None,
) -> Data:
    """Load a data set by name or path; what a file is, its first bytes say, not its name.

    - ``"mnist"``: the 10,000 test images, bundled. ``"mnist:calibration"``: 1,000 training images,
      bundled. ``"mnist:train"``: the 60,000 training images, once ``fetch`` has brought them.
      ``split`` chooses between test and train of ``"mnist"``.
    - An IDX file of unsigned bytes, raw or gzip. Labels are read where they lie beside it:
      ``...labels...idx1...`` for ``...images...idx3...``.
    - A folder of IDX files, ``t10k-*`` or ``train-*``; ``split`` chooses where it holds both.
    - An ``.npy`` of inputs.
    - An ``.npz`` with ``x`` and optionally ``y``; or with ``x_train``, ``y_train``, ``x_test`` and
      ``y_test``, of which ``split`` chooses.
    - A PNG or JPEG, 8-bit grey or RGB, or a folder of them of one size, sorted by name.
    - A folder of one such folder for each class. The labels are the folders' names where all are
      numbers, else their places in the order of the names.

    ``:test`` or ``:train`` behind a path chooses the split as well. ``labels`` is an ``.npy`` or
    IDX file of labels for data that have none. Integers of 0 to 255 are pixels, of any dtype.

    Raises:
        DataError: the source is missing, damaged, ambiguous or too large to unpack, its labels do
            not fit its images, or it holds NaN or infinity; one line names the file and place.
    """
    if split not in (None, "test", "train"):
        raise DataError(f"split must be 'test' or 'train', not {split!r}")
    data = _loaded(source, split)
    return data if labels is None else _labelled(data, source, Path(labels))


def load_arrays(
    source: str | os.PathLike[str],
    names: Sequence[str],
    *,
    labels: str | os.PathLike[str] | None = None,
) -> tuple[dict[str, Array], npt.NDArray[np.int64] | None]:
    """Load an ``.npz`` of arrays by the names of a network's inputs, and labels where they are.

    Labels are its ``y``, where no input is called so, or those of ``labels``, as for ``load_data``.

    Raises:
        DataError: the source is no such ``.npz``, lacks an input or holds something else; or as
            ``load_data``.
    """
    path, named = Path(source), ", ".join(names)
    if not path.is_file() or not npz.is_zip(path):
        raise DataError(
            f"{source}: must be an .npz of arrays named {named}, for the network has several inputs"
        )
    arrays = npz.read_arrays(path)
    y = None if "y" in names else arrays.pop("y", None)
    if lacking := [name for name in names if name not in arrays]:
        raise DataError(f"{path}: must hold arrays named {named}, not lack {', '.join(lacking)}")
    if odd := [name for name in arrays if name not in names]:
        known = named if "y" in names else f"{named} (and y, for labels)"
        raise DataError(f"{path}: must hold no arrays but {known}, not {odd[0]!r}")
    found = {name: _checked_inputs(path, arrays[name], name) for name in names}
    first = found[names[0]]
    if y is not None:
        y = _checked_labels(path, y, first)
    if labels is not None:
        return found, _labelled(Data(first, y), source, Path(labels)).y
    return found, y


def array_shape(source: str | os.PathLike[str], name: str) -> Shape:
    """Return the shape of one image of an array in an ``.npz``.

    Raises:
        DataError: the source is no ``.npz``, or has no such array.
    """
    path = Path(source)
    if not path.is_file() or not npz.is_zip(path):
        raise DataError(f"{source}: must be an .npz, for the network has several inputs")
    arrays = npz.read_arrays(path)
    if name not in arrays:
        raise DataError(f"{path}: must hold an array named {name}")
    return arrays[name].shape[1:]


def _loaded(source: str | os.PathLike[str], split: Split | None) -> Data:
    if isinstance(source, str) and (paths := mnist.find(source, split)):
        return _from_idx(*paths)
    path = Path(source)
    base, colon, end = os.fspath(path).rpartition(":")
    if colon and end in ("test", "train") and not path.exists() and Path(base).exists():
        path, split = Path(base), cast(Split, end)
    if path.is_dir():
        return _from_folder(path, split)
    if not path.exists():
        known = ", ".join(mnist.DATASETS)
        raise DataError(f"{path}: must be {known}, or a file or folder that exists")
    return _from_file(path, split)


def _labelled(data: Data, source: object, path: Path) -> Data:
    if data.y is not None:
        raise DataError(f"{source}: has labels of its own, {path} must not be given")
    y = npz.read_npy(path) if npz.is_npy(path) else idx.read_idx(path)
    return Data(data.x, _checked_labels(path, y, data.x))


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
    return digest.hexdigest()


def _from_file(path: Path, split: Split | None = None) -> Data:
    if npz.is_zip(path):
        x, y = npz.read_npz(path, split)
        if split is not None and x.ndim == 3:  # Keras's grey images have no channel
            x = x[:, np.newaxis]
        x = _checked_inputs(path, x)
        return Data(x, None if y is None else _checked_labels(path, y, x))
    if split is not None:
        raise DataError(f"{path}: must be a folder or mnist where a split is chosen, not a file")
    if images.is_image(path):
        return Data(images.read_images([path]))
    if npz.is_npy(path):
        return Data(_checked_inputs(path, npz.read_npy(path)))
    return _from_idx(path, idx.labels_beside(path))


def _from_folder(folder: Path, split: Split | None) -> Data:
    splits = idx.images_in(folder)
    if split in splits:
        return _from_file(splits[split])
    if split is not None and (folder / split).is_dir():
        return _from_folder(folder / split, None)
    if split is not None:
        raise DataError(f"{folder}: must hold {idx.PREFIX[split]}-images-idx3-ubyte, raw or .gz")
    if len(splits) > 1:
        names = " or ".join(path.name for path in splits.values())
        raise DataError(f"{folder}: holds a test and a training set; name {names}, or a split")
    if splits:
        return _from_file(next(iter(splits.values())))
    if paths := images.images_in(folder):
        return Data(images.read_images(paths))
    if classes := [p for p in idx.listed(folder) if p.is_dir() and not p.name.startswith(".")]:
        return _from_classes(sorted(classes))
    raise DataError(
        f"{folder}: must hold IDX files (t10k-*, train-*), PNG or JPEG images, "
        "or a folder of these for each class"
    )


def _from_classes(folders: list[Path]) -> Data:
    paths, labels = [], []
    numbers = all(re.fullmatch("[0-9]{1,9}", folder.name) for folder in folders)
    for place, folder in enumerate(folders):
        found = images.images_in(folder)
        if not found:
            raise DataError(f"{folder}: must hold PNG or JPEG images of one class")
        paths += found
        labels += [int(folder.name) if numbers else place] * len(found)
    return Data(images.read_images(paths), np.array(labels, np.int64))


def _from_idx(path: Path, labels: Path | None) -> Data:
    x = idx.read_idx(path)
    if x.ndim == 1:
        raise DataError(f"{path}: must hold images (2 to 4 dimensions), not labels (1)")
    if x.ndim == 3:
        x = x[:, np.newaxis]
    return Data(x, None if labels is None else _checked_labels(labels, idx.read_idx(labels), x))


def _checked_inputs(path: Path, x: Array, name: str = "x") -> Array:
    if x.dtype.kind in "iu":
        if x.min() < 0 or x.max() > 255:
            raise DataError(
                f"{path}: {name} must be pixels (integers of 0 to 255) or floats, "
                f"not {x.dtype} of {x.min()} to {x.max()}"
            )
        x = x.astype(np.uint8, copy=False)
    elif x.dtype.kind != "f":
        raise DataError(f"{path}: {name} must be pixels (integers) or floats, not {x.dtype}")
    if x.ndim < 2:
        raise DataError(f"{path}: {name} must have 2 or more dimensions, not {x.ndim}")
    if not all(map(math.isfinite, (x.min(), x.max()))):
        index = np.unravel_index(np.argmin(np.isfinite(x)), x.shape)
        raise DataError(f"{path}: {name}{[int(i) for i in index]} must be finite, not {x[index]}")
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
