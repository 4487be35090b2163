"""Read weights beside a model: external data, only from inside the model's folder."""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from fxpnn.errors import ModelError
from fxpnn.onnx.graph.proto import MAX_BYTES, count, item_bytes


def is_external(tensor: onnx.TensorProto) -> bool:
    """Tell whether a tensor's data lies in another file."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def embed(model: onnx.ModelProto, folder: Path | None) -> onnx.ModelProto:
    """Return the model with the weights in it that it keeps in files of ``folder``.

    Raises:
        ModelError: a file lies elsewhere, cannot be read, or is smaller than the tensor says.
    """
    tensors = [tensor for tensor in model.graph.initializer if is_external(tensor)]
    if not tensors:
        return model
    if folder is None:
        raise ModelError("weights in other files must have a folder to lie in")
    total = sum(_bytes(tensor) for tensor in tensors)
    if total > MAX_BYTES:
        raise ModelError(f"weights must take at most {MAX_BYTES} bytes in all, not {total}")
    embedded = onnx.ModelProto()
    embedded.CopyFrom(model)
    for tensor in filter(is_external, embedded.graph.initializer):
        tensor.raw_data = _read(tensor, folder)
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
    return embedded


def fingerprint(content: bytes, model: onnx.ModelProto, embedded: onnx.ModelProto) -> str:
    """Return the sha256 of a model's file and, behind it, of its weights in other files."""
    found = hashlib.sha256(content)
    for kept, read in zip(model.graph.initializer, embedded.graph.initializer, strict=True):
        if is_external(kept):
            found.update(read.raw_data)
    return found.hexdigest()


def _bytes(tensor: onnx.TensorProto) -> int:
    return count(tensor) * item_bytes(tensor)


def _read(tensor: onnx.TensorProto, folder: Path) -> bytes:
    where = f"tensor {tensor.name}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _inside(entries.get("location", ""), folder, where)
    wanted = _bytes(tensor)
    offset = _count(entries, "offset", 0, where)
    length = _count(entries, "length", wanted, where)
    try:
        held = path.stat().st_size
        if length != wanted or offset + wanted > held:
            raise ModelError(
                f"{where}: must have its {wanted} bytes at {offset} of {path.name}, "
                f"not {min(length, max(held - offset, 0))}"
            )
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(wanted)
    except OSError as error:
        raise ModelError(f"{where}: {path} cannot be read: {error.strerror}") from None


def _inside(location: str, folder: Path, where: str) -> Path:
    """Return the file's path, or refuse one that a hostile model could use to read another's."""
    parts = PureWindowsPath(location)  # knows both separators, and drives
    outside = parts.anchor or PurePosixPath(location).is_absolute() or ".." in parts.parts
    try:
        path = (folder / location).resolve()
        outside = outside or not path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a null character, a loop of links
        outside = True
    if outside or not location or "\0" in location:
        raise ModelError(f"{where}: its file must lie in the model's folder, not {location!r}")
    with contextlib.suppress(OSError):  # a name longer than any file's
        if path.is_file():
            return path
    raise ModelError(f"{where}: its file {path} must be there")


def _count(entries: Mapping[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ModelError(f"{where}: {key} must be a count of bytes, not {text[:40]!r}")
    return int(text)
