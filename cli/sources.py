"""Read models and data with their sha256, and check where commands write."""

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

import fxpnn
from fxpnn import files
from fxpnn.datasets import Data, Split, data_sha256, load_data
from fxpnn.errors import DataError, FormatError, ModelError
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Shape
from fxpnn.quantization.settings import Plan

from .console.terminal import path_text, printable
from .options import Pixels

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


def load_float(path: Path, shape: Shape | None = None) -> tuple[Network, ModelSource]:
    """Load an ONNX model; ``shape`` gives its input the sizes that it leaves open.

    Raises:
        ModelError: it cannot be used, or is a .fxp.
    """
    network, _, source = load_planned(path, Plan(), shape=shape)
    return network, source


def load_planned(
    path: Path, plan: Plan, pixels: Pixels | None = None, shape: Shape | None = None
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
    """Load data for a network whose input has the given shape.

    Raises:
        DataError: the data cannot be used, do not fit, or are floats where pixels were scaled.
    """
    data = load_data(name, split=split, labels=labels)
    data = Data(data.x[:limit], None if data.y is None else data.y[:limit])
    _check_images(name, data.x, shape)
    if pixels is not None and pixels.given() and data.x.dtype != np.uint8:
        raise DataError(
            f"{name}: must hold uint8 pixels where --scale, --mean or --std is given, "
            f"not {data.x.dtype}, which is scaled already"
        )
    return data, DataSource(path_text(name), len(data.x), data_sha256(data))


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
        with tempfile.TemporaryFile(dir=target.resolve().parent):
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
    return ModelSource(path_text(path), digest, printable(name))


def scaled(network: _Model, pixels: Pixels | None) -> _Model:
    """Return the network with pixels that become numbers as the user says.

    Raises:
        FormatError: that does not fit the network.
    """
    if pixels is None or not pixels.given():
        return network
    try:
        return replace(network, scaling=replace(network.scaling, **pixels.given()))
    except ModelError as error:
        raise FormatError(f"--scale, --mean and --std must fit the model: {error}") from None


def _check_images(name: str, x: Array, shape: Shape) -> None:
    if x.shape[1:] != shape:
        wanted, found = (", ".join(map(str, ("N", *s))) for s in (shape, x.shape[1:]))
        raise DataError(f"{name}: images must be ({wanted}), as the network's input, not ({found})")
