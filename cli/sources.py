"""Read models and data with their sha256, and check where commands write."""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

import fxpnn
from fxpnn import files
from fxpnn.analysis.points import MAX_FILE, Point, read
from fxpnn.datasets import Data, Split, array_shape, data_sha256, load_arrays, load_data
from fxpnn.errors import DataError, FormatError, ModelError
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Shape
from fxpnn.network.rows import rows
from fxpnn.quantization.settings import Plan

from .console.terminal import path_text
from .options import Pixels, Shapes

if TYPE_CHECKING:
    from fxpnn.onnx.read.model import Wanted

DEFAULT_CALIBRATION, DEFAULT_SHAPE = "mnist:calibration", (1, 28, 28)
"""The images on which formats are chosen unless others are given, where they fit a network."""

_Model = TypeVar("_Model", Network, FixedNetwork)


class ModelSource(msgspec.Struct, frozen=True):
    """The file of a model, its sha256 and the network's own name."""

    path: str
    sha256: str
    name: str


class DataSource(msgspec.Struct, frozen=True):
    """The data as the user named it, how many images of it, and the sha256 of these."""

    name: str
    images: int
    sha256: str


def is_fixed(path: Path) -> bool:
    """Tell by its name, else by its first bytes, whether a file is a .fxp and not ONNX."""
    if path.suffix in (".fxp", ".onnx"):
        return path.suffix == ".fxp"
    with files.opened(path, ModelError) as file:
        return file.read(9)[8:] == b"{"


def load_float(
    path: Path, shape: "Wanted" = None, pixels: Pixels | None = None
) -> tuple[Network, ModelSource]:
    """Load an ONNX model; ``shape`` gives its input the sizes that it leaves open.

    Raises:
        ModelError: it cannot be used, or is a .fxp.
    """
    network, _, source = load_planned(path, Plan(), pixels, shape)
    return network, source


def load_planned(
    path: Path, plan: Plan, pixels: Pixels | None = None, shape: "Wanted" = None
) -> tuple[Network, Plan, ModelSource]:
    """Load an ONNX model as ``load_float`` does, and complete a plan by the formats in it.

    Raises:
        ModelError: it cannot be used, or is a .fxp.
    """
    if is_fixed(path):
        raise ModelError(f"{path}: must be a float model (.onnx), not a quantized one")
    from fxpnn.onnx import load_quantized  # no .fxp needs it

    network, completed = load_quantized(path, plan, shape)
    return scaled(network, pixels), completed, source_of(path, network.name)


def shape_or_seen(shape: Shapes | None, name: str | None) -> "Wanted":
    """Return shapes that are given, and what asks data for others that a model leaves open."""
    from fxpnn.onnx.read.model import Sizes

    ask = None if name is None else partial(_seen, name)
    return Sizes(shape, ask) if isinstance(shape, Mapping) else shape or ask


def _seen(name: str, sizes: Shape, entry: str | None = None) -> Shape:
    """Return the shape of images, or of those of one input by its name.

    Grey images of one input may lack the axis of channels.
    """
    if entry is not None:
        return array_shape(name, entry)
    shape = load_data(name).x.shape[1:]
    return (1, *shape) if len(shape) == 2 and sizes[:1] in ((0,), (1,)) else shape


def load_fixed(path: Path, pixels: Pixels | None = None) -> tuple[FixedNetwork, ModelSource]:
    """Load a .fxp model.

    Raises:
        ModelError: it cannot be used, or is an ONNX model.
    """
    if not is_fixed(path):
        raise ModelError(
            f"{path}: must be a quantized model (.fxp); fxpnn quantize makes one from an ONNX model"
        )
    fixed = fxpnn.load(path)
    return scaled(fixed, pixels), source_of(path, fixed.name)


def load_images(
    name: str,
    shape: Shape,
    limit: int | None = None,
    pixels: Pixels | None = None,
    split: Split | None = None,
    labels: Path | None = None,
) -> tuple[Data, DataSource]:
    """Load data for a network whose one input has the given shape.

    Raises:
        DataError: the data cannot be used, do not fit, or are floats where pixels were scaled.
    """
    data = load_data(name, split=split, labels=labels)
    _check_scaled(name, [data.x], pixels)
    data = Data(_as_input(name, data.x[:limit], shape), data.y)
    return _described(name, data, limit)


def load_for(
    network: Network | FixedNetwork,
    name: str,
    limit: int | None = None,
    pixels: Pixels | None = None,
    labels: Path | None = None,
) -> tuple[Data, DataSource]:
    """Load data for a network; those of several inputs become rows.

    Raises:
        DataError: as ``load_images``.
    """
    if not network.further:
        return load_images(name, network.input_shape, limit, pixels, labels=labels)
    arrays, y = load_arrays(name, [it.name for it in network.inputs], labels=labels)
    _check_scaled(name, [*arrays.values()], pixels)
    try:
        return _described(name, Data(rows(network, arrays), y), limit)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def _described(name: str, data: Data, limit: int | None) -> tuple[Data, DataSource]:
    """Return the first images, and what a user is told of them."""
    data = Data(data.x[:limit], None if data.y is None else data.y[:limit])
    return data, DataSource(path_text(name), len(data.x), data_sha256(data))


def _check_scaled(name: str, arrays: Sequence[Array], pixels: Pixels | None) -> None:
    """Raise ``DataError`` where there are no pixels that a user's scale could be of."""
    if pixels is not None and pixels.given() and all(x.dtype != np.uint8 for x in arrays):
        raise DataError(
            f"{name}: must hold uint8 pixels where --scale, --mean or --std is given, "
            f"not {arrays[0].dtype}, which is scaled already"
        )


def load_image(
    name: str, network: Network | FixedNetwork, index: int, pixels: Pixels | None = None
) -> tuple[Array, DataSource]:
    """Load one image of data; the source describes all of them.

    Raises:
        DataError: as ``load_images``, or there is none at ``index``.
    """
    images, source = load_for(network, name, pixels=pixels)
    if index >= len(images.x):
        raise DataError(f"{name}: must have an image {index}, not {len(images.x)} images, from 0")
    return images.x[index], source


def golden_images(
    fixed: FixedNetwork, name: str | None, limit: int
) -> tuple[Array, DataSource | None]:
    """Load images for hardware to be compared on; words that are drawn have no source.

    Raises:
        DataError: as ``load_images``.
    """
    from fxpnn.targets.vectors import BUNDLED, BUNDLED_SHAPE, default_images

    if name is None and fixed.image_shape != BUNDLED_SHAPE:
        return default_images(fixed, limit), None
    images, source = load_for(fixed, name or BUNDLED, limit)
    return images.x, source


def load_calibration(
    name: str | None, network: Network, pixels: Pixels | None = None
) -> tuple[Data, DataSource]:
    """Load the images on which formats are chosen, by default MNIST's where they fit.

    Raises:
        DataError: they cannot be used, or none are named and the default does not fit.
    """
    if name is None and network.image_shape != DEFAULT_SHAPE:
        raise DataError("--calibration must name the images on which formats are chosen")
    return load_for(network, name or DEFAULT_CALIBRATION, pixels=pixels)


def load_points(path: Path, search: str | None = None) -> list[Point]:
    """Load the points of a search: of the one of that checksum, or of any.

    Raises:
        DataError: the file is no such table, is cut, or is of another search.
    """
    return read(files.read(path, MAX_FILE, DataError), search, str(path))


def check_target(target: Path, *sources: Path | str | None) -> None:
    """Raise ``DataError`` unless a file can be written there; nothing is written yet.

    ``sources`` are what the command reads: writing over one of them is refused.
    """
    for source in sources:
        if source is not None and _same(target, Path(source)):
            raise DataError(f"{target}: must not be written over, for it is an input too")
    if target.exists() and not target.is_file():
        raise DataError(f"{target}: must be a file to write to, not a folder, pipe or device")
    try:
        with tempfile.TemporaryFile(dir=Path(os.path.realpath(target)).parent):
            pass
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from None


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:  # one of them does not exist
        return False


def source_of(path: Path, name: str) -> ModelSource:
    """Describe the file of a model.

    Raises:
        ModelError: it cannot be read.
    """
    with files.opened(path, ModelError) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelSource(path_text(path), digest, name)


def scaled(network: _Model, pixels: Pixels | None) -> _Model:
    """Return the network with pixels that become numbers as the user says.

    Raises:
        FormatError: that does not fit the network.
    """
    if pixels is None or not pixels.given():
        return network
    try:
        scaling = replace(network.scaling, assumed=False, **pixels.given())
        return network.with_scaling(scaling)
    except ModelError as error:
        raise FormatError(f"--scale, --mean and --std must fit the model: {error}") from None


def shapes_of(network: Network | FixedNetwork) -> dict[str, Shape]:
    """Return the shapes of a network's inputs by name, as files that leave sizes open need them."""
    return {it.name: it.shape for it in network.inputs}


def _as_input(name: str, x: Array, shape: Shape) -> Array:
    """Return images as a network's input of this shape: grey ones may lack the axis of channels."""
    if len(shape) == 3 and (1, *x.shape[1:]) == shape:
        return x[:, np.newaxis]
    if x.shape[1:] != shape:
        wanted, found = (", ".join(map(str, ("N", *s))) for s in (shape, x.shape[1:]))
        raise DataError(f"{name}: images must be ({wanted}), as the network's input, not ({found})")
    return x
