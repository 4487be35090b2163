"""Tell the model files of other frameworks from ONNX, and say how to export them."""

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from fxpnn.errors import ModelError

_CONVERT = "python -m tf2onnx.convert"
_REMEDIES: Mapping[str, str] = {
    "PyTorch": "torch.onnx.export(model, example, 'model.onnx')",
    "Keras": "model.export('model.onnx', format='onnx') or "
    f"{_CONVERT} --keras FILE --output model.onnx",
    "TensorFlow Lite": f"{_CONVERT} --tflite FILE --output model.onnx",
    "TensorFlow": f"{_CONVERT} --saved-model FOLDER --output model.onnx (or --graphdef FILE "
    "--inputs NAMES --outputs NAMES)",
}
_SUFFIXES: Mapping[str, str] = {
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".keras": "Keras",
    ".h5": "Keras",
    ".hdf5": "Keras",
    ".tflite": "TensorFlow Lite",
    ".pb": "TensorFlow",
}
_TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HEAD = 4096
"""The first bytes of an archive, which name its first members."""


def check(path: Path, content: bytes) -> None:
    """Refuse the file of another framework, told by its first bytes or, if not ONNX, its name.

    Raises:
        ModelError: the file is one; the message says how to export an ONNX model.
    """
    kind = _by_content(content)
    if kind is None and (named := _SUFFIXES.get(path.suffix.lower())) and not _is_onnx(content):
        kind = named
    if kind is not None:
        raise ModelError(f"must be an ONNX model, not one of {kind}; export it: {_REMEDIES[kind]}")


def _by_content(content: bytes) -> str | None:
    head = content[:_HEAD]
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "Keras"
    if head[4:8] == b"TFL3":
        return "TensorFlow Lite"
    zipped = head.startswith(b"PK\x03\x04")
    if head.startswith(_TORCH_MAGIC) or (zipped and b"/data.pkl" in head):
        return "PyTorch"
    return "Keras" if zipped and b"config.json" in head else None


def _is_onnx(content: bytes) -> bool:
    """Tell whether the bytes are a message with a graph; a model.pb may be ONNX."""
    try:
        return bool(onnx.ModelProto.FromString(content).HasField("graph"))
    except DecodeError:
        return False
