"""A folder with every layer's words for one image: written here, and read from a device.

Each tensor is a ``.npy`` and the text that ``$readmemh`` reads. Their names are made of the layers'
places and names (``layer_0_conv1``), so that any name of ONNX gives one that files, C and Verilog
take, and no two give the same; the manifest says which file is which layer's.
"""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
import numpy as np

import fxpnn
from fxpnn import files
from fxpnn.datasets import npz
from fxpnn.errors import DataError, one_line
from fxpnn.network.fixed import FixedNetwork, RawArray
from fxpnn.network.graph import INPUT
from fxpnn.network.images import words_of
from fxpnn.network.layers import Array
from fxpnn.targets import readmemh

MANIFEST = "manifest.json"
LONGEST = 40
"""The most letters that the name of a file takes from the name of its layer."""
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.(?:npy|hex)")
_MANIFEST_BYTES = 1 << 26
_VALUE_BYTES, _MORE_BYTES = 64, 1 << 16
"""A file of a tensor may have so many bytes for each value, comments included, and so many more."""


class TensorFiles(msgspec.Struct, frozen=True):
    """The files of a tensor: ``npy`` holds its words as integers, ``hex`` as two's complement."""

    name: str
    op: str
    shape: tuple[int, ...]
    format: str
    npy: str
    hex: str


class Manifest(msgspec.Struct, frozen=True):
    """What a dump holds, schema 1.

    ``model`` is the sha256 of the .fxp file, ``data`` that of the data set, ``index`` the image's
    place in it, counted from 0; the sums are empty where they are not known.
    """

    schema: Literal[1]
    version: str
    model: str
    data: str
    index: Annotated[int, msgspec.Meta(ge=0)]
    tensors: tuple[TensorFiles, ...]


@dataclass(frozen=True)
class Dump:
    """What a folder holds: raw words by layer, int64 of its shape, and the files they are from."""

    words: Mapping[str, RawArray]
    files: Mapping[str, str]
    manifest: Manifest | None


def safe_names(names: Sequence[str]) -> tuple[str, ...]:
    """Name things by their places, and letters, digits and ``_`` of their names.

    >>> safe_names(["/conv1/Conv.0", "Reg", "reg"])
    ('layer_0__conv1_Conv_0', 'layer_1_Reg', 'layer_2_reg')
    """
    width = len(str(len(names) - 1))
    kept = (re.sub(r"\W", "_", name[:LONGEST], flags=re.ASCII) for name in names)
    return tuple(f"layer_{place:0{width}}_{name}" for place, name in enumerate(kept))


def file_stems(fixed: FixedNetwork) -> dict[str, str]:
    """Give what the files of each input and of each layer begin with."""
    names, safe = [node.name for node in fixed.nodes], tuple[str, ...]((INPUT,))
    if fixed.further:
        entered = safe_names([it.name for it in fixed.inputs])
        safe = tuple(name.replace("layer", INPUT, 1) for name in entered)
    return dict(zip(fixed.shapes, (*safe, *safe_names(names)), strict=True))


def op_of(fixed: FixedNetwork, name: str) -> str:
    """Give the kind of a layer, as reports spell it, or ``Input``."""
    node = fixed.node(name)
    return "Input" if node is None else node.op


def manifest_of(fixed: FixedNetwork, model: str = "", data: str = "", index: int = 0) -> Manifest:
    """Say which files hold the input and every layer of a network."""
    stems = file_stems(fixed)
    tensors = (
        TensorFiles(
            name=name,
            op=op_of(fixed, name),
            shape=fixed.shapes[name],
            format=str(fixed.formats[name]),
            npy=f"{stem}.npy",
            hex=f"{stem}.hex",
        )
        for name, stem in stems.items()
    )
    return Manifest(1, fxpnn.__version__, model, data, index, tuple(tensors))


def check_target(folder: Path | str) -> None:
    """Raise ``DataError`` unless ``write`` may make a folder there: new, empty, or one of its."""
    folder = Path(folder)
    files.check_folder(folder, _written(folder))


def write(
    folder: Path | str,
    fixed: FixedNetwork,
    words: Mapping[str, Array],
    model: str = "",
    data: str = "",
    index: int = 0,
) -> Manifest:
    """Write the words of every layer and of the input, whole or not at all.

    Equal words give equal bytes. ``analysis.tracing.trace`` gives the words; the last three
    arguments are what the manifest says of their origin.

    Raises:
        DataError: the folder cannot be written, or holds what is none of an earlier dump; or words
            are missing, of another length, or none of the layer's format.
    """
    folder = Path(folder)
    manifest = manifest_of(fixed, model, data, index)
    files.write_folder(folder, _spelled(fixed, words, manifest), _written(folder))
    return manifest


def _spelled(
    fixed: FixedNetwork, words: Mapping[str, Array], manifest: Manifest
) -> Iterator[tuple[str, bytes]]:
    for it in manifest.tensors:
        if it.name not in words:
            raise DataError(
                f"words must be those of all layers of {fixed.name}, not lack {it.name}"
            )
        try:
            array = words_of(words[it.name], it.shape, fixed.formats[it.name]).astype("<i2")
        except DataError as error:
            raise DataError(f"words of {it.name}: {error}") from None
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, (1, 0), allow_pickle=False)
        yield it.npy, stream.getvalue()
        shape = "x".join(map(str, it.shape))
        header = one_line(f"{it.name}, {it.op} {shape} of {it.format}, last axis fastest")
        yield it.hex, readmemh.spell(array, fixed.formats[it.name].word, header)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    yield MANIFEST, text + b"\n"


def _written(folder: Path) -> set[str]:
    """Name the files of the dump that a folder is; none where it has no manifest."""
    try:
        manifest = _manifest(folder)
    except DataError:
        return set()
    if manifest is None:
        return set()
    return {MANIFEST}.union(*((it.npy, it.hex) for it in manifest.tensors))


def read(folder: Path | str, fixed: FixedNetwork) -> Dump:
    """Read the words of a network's layers, of a simulation or a board, those that are there.

    Files have the names that the manifest gives them or, without one, those that ``write`` would.
    Where a layer has both its files, they must hold the same. Words may have any shape: they are
    taken in C order.

    Raises:
        DataError: the folder holds none of them; or a file is damaged, of another length, or holds
            a value that its format has not; or the manifest is damaged or of another network.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: must be a folder of the files that fxpnn trace writes")
    manifest = _manifest(folder)
    if manifest is not None:
        _check_manifest(folder / MANIFEST, manifest, fixed)
    wanted = manifest or manifest_of(fixed)
    words, found = {}, {}
    for it in wanted.tensors:
        paths = [folder / name for name in (it.npy, it.hex) if (folder / name).exists()]
        if not paths:
            continue
        arrays = [_words(path, it, fixed) for path in paths]
        if (arrays[0] != arrays[-1]).any():
            raise DataError(
                f"{paths[0]}: must hold the same as {paths[1].name}; remove the one that is not "
                "the device's"
            )
        words[it.name], found[it.name] = arrays[0], paths[0].name
    if not words:
        last = wanted.tensors[-1]
        raise DataError(f"{folder}: must hold words of {fixed.name}'s layers, as {last.hex}")
    return Dump(MappingProxyType(words), MappingProxyType(found), manifest)


def _words(path: Path, it: TensorFiles, fixed: FixedNetwork) -> RawArray:
    shape, fmt = fixed.shapes[it.name], fixed.formats[it.name]
    limit = _VALUE_BYTES * math.prod(shape) + _MORE_BYTES
    npy = path.suffix == ".npy"
    read = npz.read_npy(path, limit) if npy else files.read(path, limit, DataError)
    try:
        if isinstance(read, bytes):
            read = readmemh.parse(read.decode("latin-1"), shape, fmt.word, fmt.signed)
        return words_of(read, shape, fmt)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder, ``None`` where it has none."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    content = files.read(path, _MANIFEST_BYTES, DataError)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: must be a manifest of schema 1: {error}") from None
    names = [name for it in manifest.tensors for name in (it.npy, it.hex)]
    for name in names:
        if not _FILE.fullmatch(name):
            raise DataError(f"{path}: must name .npy and .hex files beside it, not {name[:80]!r}")
    if len({name.lower() for name in names}) < len(names):
        raise DataError(f"{path}: must not name one file twice")
    return manifest


def _check_manifest(path: Path, manifest: Manifest, fixed: FixedNetwork) -> None:
    """Raise ``DataError`` unless a manifest speaks of a network's layers, each once."""
    known = {it.name: it for it in manifest_of(fixed).tensors}
    for it in manifest.tensors:
        mine = known.pop(it.name, None)
        if mine is None:
            raise DataError(f"{path}: must name each layer of {fixed.name} once, not {it.name!r}")
        for what in ("op", "shape", "format"):
            if getattr(it, what) != getattr(mine, what):
                raise DataError(
                    f"{path}: {what} of {it.name} must be {getattr(mine, what)}, as in "
                    f"{fixed.name}, not {getattr(it, what)!r}"
                )
